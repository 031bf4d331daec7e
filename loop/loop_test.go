package loop

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echo sends back what it reads, and closes at the end.
type echo struct {
	Conn
	buf    []byte
	ready  int // calls of Ready
	panics int
}

func (e *echo) Ready() {
	e.ready++
	for e.Readable() {
		n, err := e.Read(e.buf)
		if err != nil {
			e.Close(err != io.EOF)
			return
		}
		if n > 0 {
			e.Write(e.buf[:n])
		}
	}
}

func (e *echo) Panicked(any, []byte) {
	e.panics++
	e.Close(true)
}

// echoes accepts into echo conns.
type echoes struct {
	l     *Loop
	conns []*echo
	peers []netip.AddrPort
}

func (a *echoes) Accepted(fd int, peer netip.AddrPort) {
	e := &echo{buf: make([]byte, 4096)}
	a.conns = append(a.conns, e)
	a.peers = append(a.peers, peer)
	a.l.Adopt(&e.Conn, e, fd)
}

// startEcho runs an echo loop until the test ends and returns its address.
func startEcho(t testing.TB) (*Loop, string) {
	t.Helper()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	l := New(k, Options{})
	fd, addr := listenTCP(t, "127.0.0.1:0")
	if err := l.Listen(fd, &echoes{l: l}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); l.Run() }()
	t.Cleanup(func() { l.Stop(); <-done })
	return l, addr
}

// listenTCP returns a non-blocking listening socket, closed with the test.
func listenTCP(t testing.TB, addr string) (fd int, at string) {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: ap.Addr().Unmap().As4()}
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	sa, _ = unix.Getsockname(fd)
	return fd, netip.AddrPortFrom(ap.Addr(), uint16(sa.(*unix.SockaddrInet4).Port)).String()
}

func TestEchoInRun(t *testing.T) {
	l, addr := startEcho(t)
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 5)
	for range 3 {
		c.Write([]byte("hello"))
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("%q, %v", buf, err)
		}
	}
	got := make(chan int)
	l.Post(func() { got <- l.Conns() })
	if n := <-got; n != 1 {
		t.Errorf("%d conns, want 1", n)
	}
}
