package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes a child lead a process group and get a SIGTERM when the thread
// that started it ends. It is not killed, so that it can end its own children.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// loopbackOnly makes the listening socket fd reachable through lo only.
func loopbackOnly(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"))
}

// sharePort allows several sockets to listen at the port of fd.
func sharePort(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
