package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

type rawConn = syscall.RawConn

// wantFDs waits until as many descriptors are open as before. Another goroutine
// that was using one a moment ago may close it a little later.
func wantFDs(t testing.TB, before int) {
	t.Helper()
	if !testkit.Happens(func() bool { return testkit.OpenFDs() == before }) {
		t.Errorf("%d descriptors open, %d before", testkit.OpenFDs(), before)
	}
}

// TestMain checks that the tests leave no goroutine.
func TestMain(m *testing.M) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // Go opens its own poller now and never closes it
		ln.Close()
	}
	goroutines := runtime.NumGoroutine()
	code := m.Run()
	if !testkit.Happens(func() bool { return runtime.NumGoroutine() <= goroutines }) {
		println("goroutines left over:", runtime.NumGoroutine()-goroutines)
		code = 1
	}
	os.Exit(code)
}

// echo sends back what it reads, and ends when the peer ends.
type echo struct {
	part
	buf     []byte
	pending []byte
}

func (e *echo) Ready() {
	for {
		if len(e.pending) > 0 && e.Writable() {
			n, err := e.Write(e.pending)
			if err != nil {
				e.Close(true)
				return
			}
			e.pending = e.pending[n:]
		}
		if len(e.pending) > 0 || !e.Readable() {
			return
		}
		n, err := e.Read(e.buf)
		if err != nil {
			e.Close(err != io.EOF)
			return
		}
		e.pending = e.buf[:n]
	}
}

type echoes struct{ l *Loop }

func (a echoes) Accepted(fd int, _ netip.AddrPort) {
	e := &echo{buf: make([]byte, 4096)}
	a.l.Adopt(&e.Conn, e, fd)
}

// startEcho runs an echo loop on address until the test ends.
func startEcho(t testing.TB, address string) (l *Loop, at string) {
	t.Helper()
	before := testkit.OpenFDs()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	l = New(k, Options{})
	fd, at := listenOn(t, address)
	if err := l.Listen(fd, echoes{l}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); l.Run() }()
	t.Cleanup(func() {
		l.Stop()
		<-done
		unix.Close(fd)
		wantFDs(t, before)
	})
	return l, at
}

// onLoop runs f on the loop and returns its result.
func onLoop[T any](t testing.TB, l *Loop, f func() T) T {
	t.Helper()
	got := make(chan T, 1)
	if !l.Post(func() { got <- f() }) {
		t.Fatal("the loop has ended")
	}
	return <-got
}

func TestEchoOfManyBytesOverManyConns(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "s")} {
		l, at := startEcho(t, address)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { echoOnce(t, at, bytes.Repeat([]byte{byte('a' + i)}, 1<<20)) })
		}
		wg.Wait()
		testkit.Until(t, "the conns to close after their peers", func() bool { return onLoop(t, l, l.Conns) == 0 })
		if c := onLoop(t, l, l.Counters); c.Accepted != 8 || c.Panics != 0 {
			t.Errorf("%+v", c)
		}
	}
}

// echoOnce sends text, ends its side, and checks that all of it comes back.
func echoOnce(t *testing.T, at string, text []byte) {
	network := "tcp"
	if at[0] == '/' {
		network = "unix"
	}
	c, err := net.DialTimeout(network, at, testkit.Patience)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	go func() {
		c.Write(text)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes came back, %v, want %d", len(got), err, len(text))
	}
}

func TestStopClosesEveryConn(t *testing.T) {
	l, at := startEcho(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	c.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.Stop()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}

func TestLoopDialsWithRealSockets(t *testing.T) {
	_, at := startEcho(t, "127.0.0.1:0")
	gone := testkit.RefusingAddr(t)
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	l := New(k, Options{})
	defer l.Close()
	for _, tc := range []struct {
		at   string
		want error
	}{{at, nil}, {gone, unix.ECONNREFUSED}} {
		p := &part{}
		to := ipAddr(tc.at)
		err := l.Dial(&p.Conn, p, &to)
		if err == nil {
			turnUntil(t, l, func() bool { return p.called > 0 })
			err = p.DialResult()
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.at, err, tc.want)
		}
		p.Close(false)
	}
}

// turnUntil turns l until ok returns true.
func turnUntil(t testing.TB, l *Loop, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); !ok(); l.Turn(false) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

func TestPostAndStopFromManyGoroutines(t *testing.T) {
	for range 20 {
		k, err := NewKernel()
		if err != nil {
			t.Fatal(err)
		}
		l := New(k, Options{})
		var let, ran atomic.Int64
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 200 {
					if l.Post(func() { ran.Add(1) }) {
						let.Add(1)
					}
				}
				if i == 0 {
					l.Stop()
				}
			})
		}
		l.Run()
		wg.Wait()
		if let.Load() != ran.Load() || l.Post(func() {}) {
			t.Fatalf("%d let in, %d run", let.Load(), ran.Load())
		}
	}
}

func TestAnEchoTurnAllocatesNothing(t *testing.T) {
	l, fd := echoPair(t)
	text := []byte("0123456789")
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() { roundTrip(t, l, fd, text, buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// echoPair returns a loop to be turned by hand, and a non-blocking descriptor: the
// loop echoes what is written to it.
func echoPair(t testing.TB) (l *Loop, fd int) {
	t.Helper()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	l = New(k, Options{})
	listener, at := listenOn(t, "127.0.0.1:0")
	defer unix.Close(listener)
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(mustAddr(at).Port())})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); unix.Close(fd) })
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(listener, echoes{l}); err != nil {
		t.Fatal(err)
	}
	turnUntil(t, l, func() bool { return l.Conns() == 1 })
	l.Unlisten()
	return l, fd
}

func roundTrip(t testing.TB, l *Loop, fd int, text, buf []byte) {
	if _, err := unix.Write(fd, text); err != nil {
		t.Fatal(err)
	}
	l.Turn(true)
	for n := 0; n == 0; {
		l.Turn(false)
		n, _ = unix.Read(fd, buf)
	}
}
