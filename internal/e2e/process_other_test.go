//go:build !linux

package e2e

import (
	"net"
	"testing"
)

// freePort returns an address that nobody listens at, for now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// watchMemory needs /proc; here it only says that it does nothing.
func (p *process) watchMemory(t *testing.T) (wantGrowth func(max int64)) {
	return func(int64) { t.Log("memory is not looked at on this system") }
}
