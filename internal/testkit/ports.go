package testkit

import (
	"fmt"
	"syscall"
	"testing"
)

// HoldPort returns a TCP port that is kept for the test until it ends: the system
// does not hand it out as a free port, but a listener that asks for it by number gets
// it, at any IPv4 address and any number of times. While none listens, connections are
// refused.
//
// A socket that is bound and does not listen holds the port. With SO_REUSEADDR, which
// Go sets on listeners, it does not keep others from listening. Only on Linux may they
// listen at 0.0.0.0 as well.
func HoldPort(t testing.TB) (port int) {
	t.Helper()
	return bind(t, [4]byte{}, true)
}

// FreePort is HoldPort as an address, 127.0.0.1:port.
func FreePort(t testing.TB) (addr string) {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", HoldPort(t))
}

// RefusingAddr returns an address, 127.0.0.1:port, that refuses connections until
// the test ends: a socket that does not listen is bound to it, and no other can be.
func RefusingAddr(t testing.TB) (addr string) {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", bind(t, [4]byte{127, 0, 0, 1}, false))
}

// bind keeps a free port of ip bound until the test ends. With reuse, others may
// bind and listen there.
func bind(t testing.TB, ip [4]byte, reuse bool) (port int) {
	t.Helper()
	syscall.ForkLock.RLock() // a process started here would hold the port for longer
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if reuse {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: ip}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at.(*syscall.SockaddrInet4).Port
}
