package rewrite

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddr(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"1.2.3.4", "1.2.3.4"},
		{"1.2.3.4:567", "1.2.3.4"},
		{"255.255.255.255:65535", "255.255.255.255"},
		{"2001:DB8::1", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"[2001:db8::1]:443", "2001:db8::1"},
		{"::", "::"},
		{"[::]:0", "::"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"[::ffff:1.2.3.4]:5", "1.2.3.4"},
		{"fe80::1%eth0", "fe80::1"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
	} {
		addr, ok := ParseAddr([]byte(tc.in))
		if !ok || addr.String() != tc.want {
			t.Errorf("%q: %v, %t; want %s", tc.in, addr, ok, tc.want)
		}
	}
	for _, in := range []string{"", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.04", "1.2.3.256", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536",
		"1.2.3.4:000000", "[1.2.3.4]", "[1.2.3.4]:5", "[::1", "[::1]x", "[::1]:", "::1]", "1::2::3", ":1", "1:", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::", "12345::", "g::", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "a.example", "a.example:80", " 1.2.3.4"} {
		if addr, ok := ParseAddr([]byte(in)); ok {
			t.Errorf("%q is read as %v", in, addr)
		}
	}
}

// FuzzParseAddr: every address that netip reads is read as the same address, with a port or
// without, and nothing else is.
func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "1.2.3.4:567", "2001:db8::1", "[2001:db8::1]:443", "::ffff:1.2.3.4", "1:2:3:4:5:6:7::", "fe80::1%eth0", "01.2.3.4", "[1.2.3.4]:5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		if err != nil {
			var with netip.AddrPort
			if with, err = netip.ParseAddrPort(s); err == nil {
				want = with.Addr()
			}
		}
		got, ok := ParseAddr([]byte(s))
		if err == nil && want.Is4In6() && want.Zone() != "" {
			return // netip refuses some of these
		}
		if port := s[strings.LastIndexByte(s, ':')+1:]; strings.Contains(want.Zone(), "]") || strings.HasPrefix(port, "0") && len(port) > 5 {
			return // netip alone takes zones with brackets and ports of any length
		}
		switch {
		case err == nil && (!ok || got != want.WithZone("").Unmap()):
			t.Errorf("%q: %v, %t; netip reads %v", s, got, ok, want)
		case err != nil && ok && s[0] != '[':
			t.Errorf("%q: %v; netip: %v", s, got, err)
		case err != nil && ok:
			if inner, err := netip.ParseAddr(s[1 : len(s)-1]); err != nil || inner.Is4() {
				t.Errorf("%q: %v", s, got)
			}
		}
	})
}
