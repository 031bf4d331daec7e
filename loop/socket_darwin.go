package loop

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// accept has no flags on darwin, so close-on-exec is set in a second step, and a
// fork must not come in between.
func accept(listener int) (int, unix.Sockaddr, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, sa, err := unix.Accept(listener)
	if err != nil {
		return -1, nil, err
	}
	return fd, sa, private(fd)
}

func socket(family int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	return fd, private(fd)
}

// private makes fd non-blocking and closed on exec. On error it closes fd.
func private(fd int) error {
	unix.CloseOnExec(fd)
	err := unix.SetNonblock(fd, true)
	if err != nil {
		unix.Close(fd)
	}
	return err
}

func writev(fd int, parts [][]byte) (int, error) { return unix.Writev(fd, parts) }
