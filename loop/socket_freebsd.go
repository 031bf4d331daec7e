package loop

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func accept(listener int) (int, unix.Sockaddr, error) {
	return unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

func socket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// writev writes at most three parts. x/sys has no writev for freebsd.
func writev(fd int, parts [][]byte) (int, error) {
	var vec [3]unix.Iovec
	for i, part := range parts {
		vec[i].Base = unsafe.SliceData(part)
		vec[i].SetLen(len(part))
	}
	n, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec)), uintptr(len(parts)))
	runtime.KeepAlive(parts)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
