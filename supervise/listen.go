package supervise

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// listeners are the listening sockets of one address, one for each loop. They
// are blocking and closed on exec; who accepts from one makes it non-blocking,
// for all who hold it.
type listeners struct {
	addr  string // host:port as served: a port of 0 in the configuration is the real one here
	files []*os.File
}

// listen opens n sockets for host and port. host is a name or an address
// without brackets; "" and "::" are every address of both families. Port 0 is
// one that is free. The backlog is the most that the system allows.
//
// Others may have set SO_REUSEPORT on the same port, and the system would then
// divide the connections among them and us without a word. So a socket without
// it looks first; two of us that start within the same microseconds are not
// told apart by that.
func listen(resolver Resolver, host string, port, n int) (*listeners, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	network, ip, err := listenAddr(ctx, resolver, host)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		probe, err := openListener(ctx, network, ip, port, false)
		if err != nil {
			return nil, err
		}
		probe.Close()
	}
	ls := &listeners{}
	for range n {
		f, bound, err := ls.next(ctx, network, ip, port)
		if err != nil {
			ls.close()
			return nil, err
		}
		ls.files = append(ls.files, f)
		port = bound // the others share the port that the first was given
	}
	ls.addr = net.JoinHostPort(host, strconv.Itoa(port))
	return ls, nil
}

// next opens the socket of one more loop and returns the port it is bound to.
func (ls *listeners) next(ctx context.Context, network, ip string, port int) (*os.File, int, error) {
	if !reusePortBalances && len(ls.files) > 0 {
		f, err := dupFile(ls.files[0])
		return f, port, err
	}
	l, err := openListener(ctx, network, ip, port, true)
	if err != nil {
		return nil, 0, err
	}
	defer l.Close()
	f, err := dupListener(l)
	return f, l.Addr().(*net.TCPAddr).Port, err
}

// close closes every socket; it may be called again.
func (ls *listeners) close() {
	for _, f := range ls.files {
		f.Close()
	}
	ls.files = nil
}

// listenAddr returns the network and address to listen on, in the words of
// package net. Of a name's addresses it takes the first IPv4 one, as net.Listen
// does.
func listenAddr(ctx context.Context, resolver Resolver, host string) (network, ip string, err error) {
	if host == "" || host == "::" {
		return "tcp", host, nil // both families
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		addrs, err := resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
		if addr, err = firstAddr(addrs); err != nil {
			return "", "", fmt.Errorf("listen %s: %w", host, err)
		}
	}
	if addr = addr.Unmap(); addr.Is4() {
		return "tcp4", addr.String(), nil
	}
	return "tcp6", addr.String(), nil
}

func firstAddr(addrs []netip.Addr) (netip.Addr, error) {
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return a, nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, fmt.Errorf("the name has no address")
	}
	return addrs[0], nil
}

// openListener opens one listening socket; its error names the address. Package
// net sets SO_REUSEADDR and the backlog.
func openListener(ctx context.Context, network, ip string, port int, shared bool) (*net.TCPListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctlErr := c.Control(func(fd uintptr) { err = setListenerOptions(int(fd), shared) })
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	lc.SetMultipathTCP(false) // it costs, and every byte would pass through another layer
	l, err := lc.Listen(ctx, network, net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func setListenerOptions(fd int, shared bool) error {
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, reusePort, 1); err != nil {
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		}
	}
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // accepted sockets inherit it
	return os.NewSyscallError("setsockopt TCP_NODELAY", err)
}

// dupListener returns the socket of l without the ties to Go's poller, which
// would wake up for every connection.
func dupListener(l *net.TCPListener) (f *os.File, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) { f, err = dupFD(int(fd)) })
	if ctlErr != nil {
		return nil, ctlErr
	}
	return f, err
}

func dupFile(f *os.File) (*os.File, error) { return dupFD(int(f.Fd())) }

// dupFD returns a second descriptor of the socket fd, which becomes blocking:
// package os hands non-blocking ones to Go's poller.
func dupFD(fd int) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	if err := unix.SetNonblock(dup, false); err != nil {
		unix.Close(dup)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(dup), "listener"), nil
}
