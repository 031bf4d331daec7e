package ipv6

import (
	"net/netip"
	"strings"
	"testing"
)

// TestValid compares Valid with net/netip, which allocates.
func TestValid(t *testing.T) {
	parts := []string{"", ":", "::", "0", "1", "ffff", "12345", "g", "1.2.3.4", "255.0.0.255", "256.1.1.1", "01.1.1.1", "1.2.3", "%eth0"}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				for _, s := range []string{a + b + c, a + ":" + b + ":" + c, "1:2:3:4:5:" + a + ":" + b + c, "1:2:3:4:5:6:" + a + b + c} {
					addr, err := netip.ParseAddr(s)
					want := err == nil && addr.Is6() && addr.Zone() == "" && strings.Contains(s, ":")
					if got := Valid([]byte(s)); got != want {
						t.Errorf("%q: %t, want %t", s, got, want)
					}
				}
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { Valid([]byte("2001:db8::ffff:1.2.3.4")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
