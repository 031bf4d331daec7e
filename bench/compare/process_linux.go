package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes make a child the head of a process group, which is told to end
// when the thread that started it does. It is told, not killed, so that it can
// end what it has started itself.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// loopbackOnly has the listening socket fd be reached through lo alone.
func loopbackOnly(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
}

// sharePort lets several sockets listen where fd does.
func sharePort(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
