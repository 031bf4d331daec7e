//go:build darwin || freebsd

package loop

import (
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// scratch is memory for system calls that take pointers; one loop makes one call at
// a time. Accept still allocates the address.
type scratch struct {
	to    sockaddr
	parts [3][]byte
	poll  [1]unix.PollFd
}

func (k *kqueue) Read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && n == 0:
			return 0, io.EOF
		}
		return outcome(n, err)
	}
}

func (k *kqueue) Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return outcome(n, err)
		}
	}
}

func (k *kqueue) Writev(fd int, a, b, c []byte) (int, error) {
	parts := k.sock.parts[:0]
	for _, part := range [...][]byte{a, b, c} {
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	defer clear(parts) // the bytes belong to the caller
	if len(parts) == 0 {
		return 0, nil
	}
	for {
		n, err := writev(fd, parts)
		if err != unix.EINTR {
			return outcome(n, err)
		}
	}
}

func (k *kqueue) Takes(fd int) bool {
	k.sock.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	n, err := unix.Poll(k.sock.poll[:], 0)
	return n > 0 || err != nil
}

// outcome turns "not ready now" into no error, and the count of a failure into 0.
func outcome(n int, err error) (int, error) {
	switch err {
	case nil:
		return n, nil
	case unix.EAGAIN:
		return 0, nil
	}
	return 0, err
}

func (k *kqueue) Accept(listener int) (int, netip.AddrPort, error) {
	for {
		fd, sa, err := accept(listener)
		switch err {
		case nil:
			prepare(fd, sa)
			return fd, addrOf(sa), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return -1, netip.AddrPort{}, nil
		default:
			return -1, netip.AddrPort{}, err
		}
	}
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return peerOf(netip.AddrFrom4(a.Addr), a.Port)
	case *unix.SockaddrInet6:
		return peerOf(netip.AddrFrom16(a.Addr), a.Port)
	}
	return netip.AddrPort{}
}

func (k *kqueue) Dial(to *Addr) (int, error) {
	family, sa, err := k.sock.to.set(to)
	if err != nil {
		return -1, err
	}
	fd, err := socket(family)
	if err != nil {
		return -1, err
	}
	prepare(fd, sa)
	if err := connect(fd, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// prepare sets what every new socket needs: no Nagle delay, and no signal for a
// write after the peer has gone.
func prepare(fd int, sa unix.Sockaddr) {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	if _, local := sa.(*unix.SockaddrUnix); !local {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
}

func (k *kqueue) DialResult(fd int) error { return socketError(fd) }

func (k *kqueue) ShutdownWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

func (k *kqueue) Close(fd int, reset bool) {
	if reset {
		lingerZero(fd)
	}
	unix.Close(fd)
}

func (k *kqueue) LocalAddr(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrOf(sa)
}
