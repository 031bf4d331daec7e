package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// open returns n sockets at address, which is closed with the test.
func open(t *testing.T, address string, n int, known ...*Set) *Set {
	t.Helper()
	a, err := Resolve(t.Context(), net.DefaultResolver, address)
	if err != nil {
		t.Fatal(err)
	}
	ls, err := a.Open(t.Context(), n, known)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ls.Leave)
	return ls
}

func TestListenerOptions(t *testing.T) {
	ls := open(t, "127.0.0.1:0", 3)
	if len(ls.files) != 3 {
		t.Fatalf("%d sockets, want 3", len(ls.files))
	}
	for i, f := range ls.files {
		fd := int(f.Fd())
		for name, opt := range map[string][2]int{
			"SO_ACCEPTCONN": {unix.SOL_SOCKET, unix.SO_ACCEPTCONN},
			"SO_REUSEADDR":  {unix.SOL_SOCKET, unix.SO_REUSEADDR},
			"SO_REUSEPORT":  {unix.SOL_SOCKET, reusePort},
			"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		} {
			if v, err := unix.GetsockoptInt(fd, opt[0], opt[1]); err != nil || v == 0 {
				t.Errorf("socket %d: %s is %d, %v; want it on", i, name, v, err)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("socket %d: not closed on exec, %v", i, err)
		}
		sa, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		in4 := sa.(*unix.SockaddrInet4)
		if got := netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)).String(); got != ls.Addr {
			t.Errorf("socket %d is at %s, want %s", i, got, ls.Addr)
		}
	}
}

// Every socket has an accept queue of its own, and all of them get connections.
func TestListenersShareConnections(t *testing.T) {
	if !reusePortBalances {
		t.Skip("this system gives all connections to one of the sockets that share a port")
	}
	ls := open(t, "127.0.0.1:0", 2)
	const dials = 60
	for range dials {
		c, err := net.DialTimeout("tcp", ls.Addr, testkit.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var got [2]int
	testkit.Until(t, "all connections", func() bool {
		for i, f := range ls.files {
			fd := int(f.Fd())
			unix.SetNonblock(fd, true)
			for {
				c, _, err := unix.Accept(fd)
				if err != nil {
					break
				}
				unix.Close(c)
				got[i]++
			}
		}
		return got[0]+got[1] == dials
	})
	if got[0] == 0 || got[1] == 0 { // by chance: below 1e-17
		t.Errorf("connections by socket: %v, want some at each", got)
	}
}

// More loops get more sockets, and the old ones stay. Fewer loops share all of them.
func TestGrowAndDeal(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]", "[::]", "0.0.0.0", ""} {
		ls := open(t, host+":0", 2)
		before := slices.Clone(ls.files)
		for _, n := range []int{4, 3, 1} {
			if err := Grow([]*Set{ls}, n); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(ls.files[:len(before)], before) {
			t.Error("sockets were exchanged")
		}
		if reusePortBalances && len(ls.files) != 4 {
			t.Errorf("%s: %d sockets, want 4", host, len(ls.files))
		}
		supervisetest.WantSameOptions(t, ls.files)
		for n := 1; n <= len(ls.files); n++ {
			var dealt []*os.File
			for place := range n {
				share := ls.dealTo(place, n)
				if len(share) == 0 {
					t.Errorf("nothing for loop %d of %d", place, n)
				}
				dealt = append(dealt, share...)
			}
			if !ls.Shared && len(dealt) != len(ls.files) {
				t.Errorf("%d sockets are dealt to %d loops, want %d", len(dealt), n, len(ls.files))
			}
		}
	}
}

// Sockets are found by their address, however it is written.
func TestAt(t *testing.T) {
	port := testkit.HoldPort(t)
	names := supervisetest.ResolverFunc(func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	})
	dir := t.TempDir()
	tcp := open(t, fmt.Sprintf("127.0.0.1:%d", port), 1)
	path := open(t, "unix:"+dir+"/s", 1)
	any := open(t, "127.0.0.1:0", 1)
	for _, tc := range []struct {
		address string
		at      *Set // nil: none
	}{
		{fmt.Sprintf("127.0.0.1:%d", port), tcp},
		{fmt.Sprintf("app.test:%d", port), tcp},
		{fmt.Sprintf("[::ffff:127.0.0.1]:%d", port), tcp},
		{fmt.Sprintf("0.0.0.0:%d", port), nil},
		{fmt.Sprintf(":%d", port), nil},
		{"127.0.0.1:0", nil},
		{"unix:" + dir + "/s", path},
		{"unix:" + dir + "/./s", path},
		{"unix:" + dir + "/other", nil},
	} {
		a, err := Resolve(t.Context(), names, tc.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, ls := range []*Set{tcp, path, any, {}} {
			if got := ls.At(a); got != (ls == tc.at) {
				t.Errorf("%s at %s: %v", ls.Addr, tc.address, got)
			}
		}
	}
}

// Another address of one of our ports is not taken by another program. A port of which
// nobody says that it is ours is.
func TestOpenKnownPort(t *testing.T) {
	port := testkit.HoldPort(t)
	old := open(t, fmt.Sprintf("127.0.0.1:%d", port), 1)
	all := fmt.Sprintf("0.0.0.0:%d", port)
	open(t, all, 1, old).Close()
	a, err := Resolve(t.Context(), net.DefaultResolver, all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(t.Context(), 1, nil); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("error %v, want the port to be taken", err)
	}
}

// More sockets are opened for all sets or for none.
func TestGrowAllOrNone(t *testing.T) {
	if !reusePortBalances {
		t.Skip("this system has one socket for all loops")
	}
	well, closed := open(t, "127.0.0.1:0", 1), open(t, "127.0.0.1:0", 1)
	closed.files[0].Close()
	fds := testkit.OpenFDs()
	if err := Grow([]*Set{well, closed}, 3); err == nil {
		t.Error("sockets like one that is closed: want an error")
	}
	if len(well.files) != 1 || testkit.OpenFDs() != fds {
		t.Errorf("%d sockets after an error, and %d descriptors more", len(well.files), testkit.OpenFDs()-fds)
	}
}

// Sockets may be dealt out for a worker's successor while others are opened, and while all
// are closed.
func TestListenersDealtAtAnyTime(t *testing.T) {
	ls := open(t, "127.0.0.1:0", 1)
	var deals atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for ; !testkit.IsClosed(end); deals.Add(1) {
			ls.Deal(2)
		}
	}()
	someDeals := func() {
		before := deals.Load()
		testkit.Until(t, "the sockets to be dealt out", func() bool { return deals.Load() > before+1 })
	}
	for n := range 8 {
		if err := Grow([]*Set{ls}, 1+n); err != nil {
			t.Error(err)
		}
		someDeals()
	}
	ls.Close()
	someDeals()
	close(end)
	<-ended
}

// Nothing that is done to a descriptor here affects other processes that accept from the
// same socket, and Go's poller does not know the descriptor.
func TestDupQuietly(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := DupListener(l.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v; the other descriptor would block", flags, err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v; want it closed on exec", flags, err)
	}
	if err := f.SetReadDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("a deadline can be set (%v), so Go's poller knows it", err)
	}
	if got, want := boundAddr(f).String(), l.Addr().String(); got != want {
		t.Errorf("it is the socket at %s, want %s", got, want)
	}
	if _, err := dupQuietly(-1); err == nil {
		t.Error("no descriptor: want an error")
	}
}

func TestListenAddr(t *testing.T) {
	names := supervisetest.ResolverFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
		switch host {
		case "both.test":
			return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}, nil
		case "six.test":
			return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host}
	})
	for _, tc := range []struct{ host, network, ip string }{
		{"", "tcp", ""},
		{"::", "tcp", "::"},
		{"0.0.0.0", "tcp4", "0.0.0.0"},
		{"127.0.0.1", "tcp4", "127.0.0.1"},
		{"::ffff:127.0.0.1", "tcp4", "127.0.0.1"},
		{"::1", "tcp6", "::1"},
		{"fe80::1%eth0", "tcp6", "fe80::1%eth0"},
		{"both.test", "tcp4", "127.0.0.1"},
		{"six.test", "tcp6", "2001:db8::1"},
	} {
		network, ip, err := listenAddr(t.Context(), names, tc.host)
		if err != nil || network != tc.network || ip != tc.ip {
			t.Errorf("%q: %s %s, %v; want %s %s", tc.host, network, ip, err, tc.network, tc.ip)
		}
	}
	if _, _, err := listenAddr(t.Context(), names, "none.test"); err == nil {
		t.Error("a name without an address: want an error")
	}
}
