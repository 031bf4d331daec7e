package loop

import (
	"io"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scratch is memory for system calls that take pointers: one loop makes one
// call at a time, so nothing is allocated for any of them.
type scratch struct {
	from    unix.RawSockaddrAny
	fromLen uint32
	to      sockaddr
	vec     [3]unix.Iovec
}

// raw makes a call that does not block and gives its many answers a smaller
// form: being interrupted means again, and EAGAIN is 0 without an error.
func raw(trap uintptr, fd int, p unsafe.Pointer, n, flags int) (int, unix.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case unix.EAGAIN:
			return 0, unix.EAGAIN
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

func (k *epoll) Read(fd int, b []byte) (int, error) {
	n, errno := raw(unix.SYS_RECVFROM, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), 0)
	switch {
	case n > 0:
		return n, nil
	case errno == 0:
		return 0, io.EOF
	}
	return 0, notReady(errno)
}

func (k *epoll) Write(fd int, b []byte) (int, error) {
	n, errno := raw(unix.SYS_SENDTO, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), unix.MSG_NOSIGNAL)
	return n, notReady(errno)
}

func (k *epoll) Writev(fd int, a, b, c []byte) (int, error) {
	vec := k.sock.vec[:0]
	for _, part := range [...][]byte{a, b, c} {
		if len(part) > 0 {
			vec = append(vec, unix.Iovec{Base: unsafe.SliceData(part), Len: uint64(len(part))})
		}
	}
	if len(vec) == 0 {
		return 0, nil
	}
	n, errno := raw(unix.SYS_WRITEV, fd, unsafe.Pointer(&k.sock.vec), len(vec), 0)
	clear(vec) // the bytes belong to others
	return n, notReady(errno)
}

// notReady makes "not ready now" no error.
func notReady(errno unix.Errno) error {
	if errno == 0 || errno == unix.EAGAIN {
		return nil
	}
	return errno
}

func (k *epoll) Accept(listener int) (int, netip.AddrPort, error) {
	s := &k.sock
	for {
		s.fromLen = unix.SizeofSockaddrAny
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&s.from)),
			uintptr(unsafe.Pointer(&s.fromLen)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(fd), peerOf(&s.from), nil
		case unix.EINTR:
		default:
			return -1, netip.AddrPort{}, notReady(errno)
		}
	}
}

func (k *epoll) Dial(to *Addr) (int, error) {
	family, length, err := k.sock.to.set(to)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if family != unix.AF_UNIX {
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	_, errno := raw(unix.SYS_CONNECT, fd, unsafe.Pointer(&k.sock.to), length, 0)
	if errno != 0 && errno != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, errno
	}
	return fd, nil
}

func (k *epoll) DialResult(fd int) error { return socketError(fd) }

func (k *epoll) ShutdownWrite(fd int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (k *epoll) Close(fd int, reset bool) {
	if reset {
		lingerZero(fd)
	}
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}
