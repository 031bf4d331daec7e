package listen

import (
	"context"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// backlogMax is more than any system allows; each cuts it to what it does allow.
const backlogMax = 1<<16 - 1

// netListen opens a listening socket; its error names the address. Package net
// sets SO_REUSEADDR and the greatest backlog. Only sockets that are shared can
// have the same address.
func netListen(ctx context.Context, network, ip string, port int, shared bool) (*net.TCPListener, error) {
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

// bindLike returns a socket with the address of the listening socket f. It does not
// listen yet, because it must get no connections before a loop accepts them.
func bindLike(f *os.File) (*os.File, error) {
	sa, err := unix.Getsockname(int(f.Fd()))
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	family := unix.AF_INET
	if _, ok := sa.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	syscall.ForkLock.RLock() // darwin has no SOCK_CLOEXEC
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := setUpLike(fd, int(f.Fd()), family, sa); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "listener"), nil // it blocks, so Go's poller leaves it alone
}

// setUpLike gives fd the options and the address sa of like.
func setUpLike(fd, like, family int, sa unix.Sockaddr) error {
	if err := setListenerOptions(fd, true); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_REUSEADDR", err)
	}
	if family == unix.AF_INET6 {
		only, err := unix.GetsockoptInt(like, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
		}
		if err != nil {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// DupListener returns the socket of l in a file that Go's poller does not know. l stays
// the caller's. Do not use (*net.TCPListener).File for that: Fd of its result makes the
// socket block, for every process that accepts from it.
func DupListener(l syscall.Conn) (f *os.File, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	ctlErr := raw.Control(func(fd uintptr) { f, err = dupQuietly(int(fd)) })
	if ctlErr != nil {
		return nil, ctlErr
	}
	return f, err
}

// dupQuietly returns a second descriptor of the socket fd in a file that Go's poller
// does not know; the poller would wake up for every connection. Package os gives it
// every non-blocking descriptor, and whether the socket blocks cannot be changed here
// without the processes that accept from it feeling it. So the file is made of another
// descriptor, which becomes the socket afterwards.
func dupQuietly(fd int) (*os.File, error) {
	var pair [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := unix.Pipe(pair[:]); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	unix.CloseOnExec(pair[0])
	unix.Close(pair[1])
	f := os.NewFile(uintptr(pair[0]), "listener")
	if err := dup2(fd, pair[0]); err != nil {
		f.Close()
		return nil, os.NewSyscallError("dup2", err)
	}
	return f, nil
}

// quietly takes fd, a socket, over and returns it in a file that Go's poller does not
// know.
func quietly(fd int) (*os.File, error) {
	defer unix.Close(fd)
	return dupQuietly(fd)
}
