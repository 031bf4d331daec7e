package supervise

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListenerOptions(t *testing.T) {
	ls, err := listen(net.DefaultResolver, "127.0.0.1", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer ls.close()
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
		if got := netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)).String(); got != ls.addr {
			t.Errorf("socket %d is at %s, want %s", i, got, ls.addr)
		}
	}
}

// Every socket has an accept queue of its own, and all of them get connections.
func TestListenersShareConnections(t *testing.T) {
	if !reusePortBalances {
		t.Skip("this system gives all connections to one of the sockets that share a port")
	}
	ls, err := listen(net.DefaultResolver, "127.0.0.1", 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer ls.close()
	const dials = 60
	for range dials {
		c, err := net.DialTimeout("tcp", ls.addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	var got [2]int
	until(t, "all connections", func() bool {
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

func TestListenAddr(t *testing.T) {
	names := resolverFunc(func(_ context.Context, _, host string) ([]netip.Addr, error) {
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

type resolverFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return f(ctx, network, host)
}

// A name server that does not answer holds nobody up for ever.
func TestListenNameTimeout(t *testing.T) {
	hung := resolverFunc(func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := listen(hung, "app.test", 0, 1); err == nil {
			t.Error("want an error")
		}
	}()
	wait(t, ended, "the wait for the name server to end")
}
