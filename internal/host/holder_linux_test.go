package host

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// TestPortHolder: a port that this process listens on, by IPv4 and by IPv6, and one that no
// process does.
func TestPortHolder(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Log(err)
			continue
		}
		port := ln.Addr().(*net.TCPAddr).Port
		other, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
		if err == nil {
			defer other.Close()
		} else if strings.HasPrefix(addr, "[") {
			t.Logf("another process has port %d of IPv4", port)
			ln.Close()
			continue
		}
		want := fmt.Sprintf("process %d (", os.Getpid())
		if got := PortHolder(port); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
		ln.Close()
	}
	if got := PortHolder(testkit.HoldPort(t)); got != "" { // bound, and does not listen
		t.Errorf("a port without a listener is held by %q", got)
	}
}

// TestEldest: a master, not its workers, whatever their numbers are; and no process that has
// ended.
func TestEldest(t *testing.T) {
	for want, parents := range map[string]map[string]string{
		"":     {"7": ""},
		"41":   {"41": "1"},
		"3000": {"3000": "1", "2999": "3000", "301": "2999", "9": ""},
	} {
		if got := eldest(parents); got != want {
			t.Errorf("%v: %q, want %q", parents, got, want)
		}
	}
}
