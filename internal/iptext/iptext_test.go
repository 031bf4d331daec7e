package iptext

import (
	"net/netip"
	"testing"
)

// FuzzAddress compares what is read with what netip reads.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"1.2.3.4", "01.2.3.4", "::", "1::2:3", "::ffff:1.2.3.4", "1:2:3:4:5:6:7::", "::1%a", "1:2:3:4:5:6:1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := netip.ParseAddr(s)
		four, ok4 := IPv4([]byte(s))
		six, ok6 := IPv6([]byte(s))
		plain := err == nil && want.Zone() == ""
		if ok4 != (plain && want.Is4()) || ok6 != (plain && want.Is6()) || ok4 && four != want || ok6 && six != want.Unmap() {
			t.Errorf("%q: %v %t, %v %t, want %v, %v", s, four, ok4, six, ok6, want, err)
		}
	})
}
