package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// rig is the system's kernel, for a test.
type rig struct {
	t *testing.T
	k Kernel
}

func newRig(t *testing.T) *rig {
	t.Helper()
	before := testkit.OpenFDs()
	k, err := NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.(KernelCloser).CloseKernel()
		wantFDs(t, before)
	})
	return &rig{t: t, k: k}
}

// until waits for an event of fd that has all of want.
func (r *rig) until(fd int, want Flags) Event {
	r.t.Helper()
	var got Flags
	buf := make([]Event, 16)
	for end := r.k.Now().Add(testkit.Patience); r.k.Now() < end; {
		n, err := r.k.Wait(buf, time.Second)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, ev := range buf[:n] {
			if ev.FD != int32(fd) {
				continue
			}
			if got |= ev.Flags; got&want == want {
				ev.Flags = got
				return ev
			}
		}
	}
	r.t.Fatalf("flags %04b of descriptor %d, want %04b", got, fd, want)
	return Event{}
}

// listen opens a listening socket and watches it.
func (r *rig) listen(address string) (fd int, at string) {
	r.t.Helper()
	fd, at = listenOn(r.t, address)
	if err := r.k.WatchListener(fd, 7); err != nil {
		r.t.Fatal(err)
	}
	return fd, at
}

// accept waits for one connection.
func (r *rig) accept(listener int) (int, netip.AddrPort) {
	r.t.Helper()
	if ev := r.until(listener, Readable); ev.Gen != 7 {
		r.t.Errorf("the listener's event carries gen %d, want 7", ev.Gen)
	}
	fd, peer, err := r.k.Accept(listener)
	if err != nil || fd < 0 {
		r.t.Fatalf("accept: %d, %v", fd, err)
	}
	return fd, peer
}

// pair returns a watched conn of the kernel and its peer, a net.Conn.
func (r *rig) pair() (fd int, peer *net.TCPConn) {
	r.t.Helper()
	listener, addr := r.listen("127.0.0.1:0")
	c, err := net.DialTimeout("tcp", addr, testkit.Patience)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(testkit.Patience))
	fd, _ = r.accept(listener)
	unix.Close(listener)
	if err := r.k.Watch(fd, 1); err != nil {
		r.t.Fatal(err)
	}
	return fd, c.(*net.TCPConn)
}

// listenOn opens a non-blocking listening socket on an IP address and port or, if
// there is a slash, a path. The caller closes it.
func listenOn(t testing.TB, address string) (fd int, at string) {
	t.Helper()
	network := "tcp"
	if address[0] == '/' {
		network = "unix"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("cannot listen on %s here: %v", address, err)
	}
	at = ln.Addr().String()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	raw, err := ln.(interface {
		SyscallConn() (rawConn, error)
	}).SyscallConn()
	if err == nil {
		err = raw.Control(func(s uintptr) { fd, _ = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	}
	if err != nil || fd <= 0 {
		t.Fatalf("a descriptor for %s: %d, %v", at, fd, err)
	}
	ln.Close()
	return fd, at
}

func TestNothingReadyIsNoError(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	if n, err := r.k.Read(fd, make([]byte, 8)); n != 0 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
	chunk := make([]byte, 1<<20)
	for range 1000 {
		n, err := r.k.Write(fd, chunk)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Error("the socket takes bytes for ever")
}

func TestAcceptFindsNothing(t *testing.T) {
	r := newRig(t)
	listener, _ := listenOn(t, "127.0.0.1:0")
	defer unix.Close(listener)
	if fd, peer, err := r.k.Accept(listener); fd != -1 || peer.IsValid() || err != nil {
		t.Errorf("%d, %v, %v", fd, peer, err)
	}
}

func TestBytesAndTheEnd(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	peer.Write([]byte("hello"))
	if ev := r.until(fd, Readable|Writable); ev.Gen != 1 || ev.Flags&(PeerShut|Hangup) != 0 {
		t.Errorf("%+v", ev)
	}
	buf := make([]byte, 64)
	if n, err := r.k.Read(fd, buf); string(buf[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}

	peer.Write([]byte("last"))
	peer.CloseWrite()
	if ev := r.until(fd, Readable|PeerShut); ev.Flags&Hangup != 0 {
		t.Error("a half-close is reported as a hang-up")
	}
	if n, err := r.k.Read(fd, buf); string(buf[:n]) != "last" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if n, err := r.k.Read(fd, buf); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}

	if n, err := r.k.Write(fd, []byte("answer")); n != 6 || err != nil {
		t.Errorf("Write after the peer's end: %d, %v", n, err)
	}
	if err := r.k.ShutdownWrite(fd); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(peer); string(got) != "answer" || err != nil {
		t.Errorf("the peer reads %q, %v", got, err)
	}
}

// TestAnOrderlyEndOfBothSidesIsNoHangup: both sides have ended in order while bytes
// are unread. That is no hang-up, and nothing is lost.
func TestAnOrderlyEndOfBothSidesIsNoHangup(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	r.k.ShutdownWrite(fd)
	io.ReadAll(peer)
	peer.Write([]byte("late"))
	peer.CloseWrite()
	if ev := r.until(fd, Readable|PeerShut); ev.Flags&Hangup != 0 {
		t.Error("reported as a hang-up")
	}
	buf := make([]byte, 64)
	if n, err := r.k.Read(fd, buf); string(buf[:n]) != "late" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestReset(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer r.k.Close(fd, false)
	peer.SetLinger(0)
	peer.Close()
	r.until(fd, Readable|Hangup)
	if _, err := r.k.Read(fd, make([]byte, 8)); err != unix.ECONNRESET {
		t.Errorf("Read: %v, want ECONNRESET", err)
	}
	for range 2 { // twice: no SIGPIPE, which would end this process
		if _, err := r.k.Write(fd, []byte("x")); err != unix.EPIPE && err != unix.ECONNRESET {
			t.Errorf("Write: %v, want EPIPE", err)
		}
		if _, err := r.k.Writev(fd, []byte("x"), nil, nil); err != unix.EPIPE && err != unix.ECONNRESET {
			t.Errorf("Writev: %v, want EPIPE", err)
		}
	}
}

func TestCloseAndCloseWithReset(t *testing.T) {
	for _, tc := range []struct {
		reset bool
		want  error
	}{{false, io.EOF}, {true, unix.ECONNRESET}} {
		r := newRig(t)
		fd, peer := r.pair()
		r.k.Close(fd, tc.reset)
		if _, err := peer.Read(make([]byte, 8)); !errors.Is(err, tc.want) {
			t.Errorf("reset %v: the peer reads %v, want %v", tc.reset, err, tc.want)
		}
		peer.Close()
	}
}

func TestWritev(t *testing.T) {
	tests := []struct{ a, b, c string }{
		{"one", "", ""}, {"", "two", ""}, {"", "", "three"},
		{"one", "two", ""}, {"one", "", "three"}, {"", "two", "three"}, {"one", "two", "three"}, {"", "", ""},
	}
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	for _, tc := range tests {
		want := tc.a + tc.b + tc.c
		n, err := r.k.Writev(fd, []byte(tc.a), []byte(tc.b), []byte(tc.c))
		if n != len(want) || err != nil {
			t.Errorf("%q: %d, %v", tc, n, err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(peer, got); string(got) != want || err != nil {
			t.Errorf("%q: the peer reads %q, %v", tc, got, err)
		}
	}
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 1000 {
		n, err := r.k.Writev(fd, chunk, chunk, chunk)
		if err != nil {
			t.Fatal(err)
		}
		if n < 3*len(chunk) {
			return
		}
	}
	t.Error("the socket takes bytes for ever")
}

func TestAcceptAndDial(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name, listen string
		dial         func(at string) Addr
		peer         string // the address that Accept returns, "" for none
	}{
		{"IPv4", "127.0.0.1:0", ipAddr, "127.0.0.1"},
		{"IPv6", "[::1]:0", ipAddr, "::1"},
		{"IPv4 on an IPv6 socket", "[::]:0", func(at string) Addr {
			return Addr{IP: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), mustAddr(at).Port())}
		}, "127.0.0.1"},
		{"IPv4 in IPv6", "127.0.0.1:0", func(at string) Addr {
			return Addr{IP: netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), mustAddr(at).Port())}
		}, "127.0.0.1"},
		{"unix", filepath.Join(dir, "s"), func(at string) Addr { return Addr{Path: at} }, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			listener, at := r.listen(tc.listen)
			defer unix.Close(listener)
			to := tc.dial(at)
			out, err := r.k.Dial(&to)
			if err != nil {
				t.Fatal(err)
			}
			defer r.k.Close(out, false)
			if err := r.k.Watch(out, 3); err != nil {
				t.Fatal(err)
			}
			r.until(out, Writable)
			if err := r.k.DialResult(out); err != nil {
				t.Fatal(err)
			}
			in, peer := r.accept(listener)
			defer r.k.Close(in, false)
			if tc.peer == "" && peer.IsValid() || tc.peer != "" && peer.Addr() != netip.MustParseAddr(tc.peer) {
				t.Errorf("the peer is %v, want %q", peer, tc.peer)
			}
			for _, fd := range []int{in, out} {
				checkSocket(t, fd, tc.peer != "")
			}
			if peer.IsValid() && portOf(t, out) != peer.Port() {
				t.Errorf("the peer's port is %d, want %d", peer.Port(), portOf(t, out))
			}
		})
	}
}

func ipAddr(at string) Addr { return Addr{IP: mustAddr(at)} }

func portOf(t *testing.T, fd int) uint16 {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(a.Port)
	case *unix.SockaddrInet6:
		return uint16(a.Port)
	}
	return 0
}

// checkSocket checks what Kernel promises of every new socket.
func checkSocket(t *testing.T, fd int, tcp bool) {
	t.Helper()
	if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); f&unix.O_NONBLOCK == 0 {
		t.Error("the socket blocks")
	}
	if f, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); f&unix.FD_CLOEXEC == 0 {
		t.Error("the socket is not closed on exec")
	}
	if !tcp {
		return
	}
	if on, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
		t.Errorf("TCP_NODELAY is %d, %v", on, err)
	}
}

func TestDialFails(t *testing.T) {
	r := newRig(t)
	to := ipAddr(testkit.RefusingAddr(t))
	fd, err := r.k.Dial(&to)
	if err == nil {
		if err := r.k.Watch(fd, 1); err != nil {
			t.Fatal(err)
		}
		r.until(fd, Writable)
		err = r.k.DialResult(fd)
		r.k.Close(fd, false)
	}
	if err != unix.ECONNREFUSED {
		t.Errorf("%v, want ECONNREFUSED", err)
	}

	for _, tc := range []struct {
		name string
		to   Addr
		want error
	}{
		{"no such socket", Addr{Path: filepath.Join(t.TempDir(), "nobody")}, unix.ENOENT},
		{"a path that is too long", Addr{Path: "/" + string(make([]byte, 200))}, unix.EINVAL},
		{"no address", Addr{}, unix.EDESTADDRREQ},
	} {
		if fd, err := r.k.Dial(&tc.to); fd != -1 || err != tc.want {
			t.Errorf("%s: %d, %v, want -1, %v", tc.name, fd, err, tc.want)
		}
	}
}

func TestWaitTimeouts(t *testing.T) {
	r := newRig(t)
	buf := make([]Event, 4)
	for _, d := range []time.Duration{0, 1, time.Millisecond, 30*time.Millisecond + 1} {
		r.mustWait(buf, d)
	}
}

// mustWait wants a wait, in which nothing happens, to last as long as d. A signal,
// such as Go sends to its own threads, may end a wait early, but not every time.
func (r *rig) mustWait(buf []Event, d time.Duration) {
	r.t.Helper()
	for range 100 {
		start := r.k.Now()
		if n, err := r.k.Wait(buf, d); n != 0 || err != nil {
			r.t.Errorf("a wait of %v: %d, %v", d, n, err)
		}
		if r.k.Now().Sub(start) >= d {
			return
		}
	}
	r.t.Errorf("every wait of %v ends early", d)
}

func TestWakeEndsOneWait(t *testing.T) {
	r := newRig(t)
	buf := make([]Event, 4)
	lasted := false
	for i := 0; i < 20 && !lasted; i++ { // a signal may end a wait early, see mustWait
		for range 5 { // five are as good as one
			r.k.Wake()
		}
		if n, err := r.k.Wait(buf, -1); n != 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := r.k.Wait(buf, 0); n != 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		start := r.k.Now()
		if n, err := r.k.Wait(buf, 5*time.Millisecond); n != 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		lasted = r.k.Now().Sub(start) >= 5*time.Millisecond
	}
	if !lasted {
		t.Error("an old Wake ends every wait")
	}
	done := make(chan struct{})
	go func() { defer close(done); r.k.Wait(buf, -1) }()
	for {
		r.k.Wake()
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestEdgesComeOncePerChange(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	peer.Write([]byte("x"))
	r.until(fd, Readable)
	buf := make([]Event, 4)
	for range 2 { // one of them may still bring the other direction's edge
		if n, _ := r.k.Wait(buf, 0); n == 0 {
			break
		}
	}
	if n, _ := r.k.Wait(buf, 0); n != 0 {
		t.Errorf("unread bytes are reported again: %+v", buf[:n])
	}
	peer.Write([]byte("y"))
	r.until(fd, Readable)
}

// TestTakes: full writes alone do not say that a peer keeps up. Without a short write, an
// event follows when it does.
func TestTakes(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer unix.Close(fd)
	defer peer.Close()
	if !r.k.Takes(fd) {
		t.Fatal("a new conn takes nothing")
	}
	r.until(fd, Writable) // of the beginning
	part := make([]byte, 4<<10)
	for r.k.Takes(fd) {
		if n, err := r.k.Write(fd, part); n != len(part) || err != nil {
			t.Fatalf("wrote %d, %v, though it takes more", n, err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, peer)
		done <- err
	}()
	r.until(fd, Writable)
	if !r.k.Takes(fd) {
		t.Error("an event came, and it takes nothing")
	}
	r.k.ShutdownWrite(fd)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
