package netset

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// address returns the address s, or for "" that of a unix socket.
func address(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s)
	return addr
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestLets(t *testing.T) {
	for _, tc := range []struct {
		name        string
		allow, deny []netip.Prefix
		in, out     []string
	}{
		{"nothing said", nil, nil, []string{"10.0.0.1", "::1", ""}, nil},
		{"deny alone", nil, prefixes("10.0.0.0/8", "2001:db8::/32"),
			[]string{"11.0.0.0", "9.255.255.255", "2001:db9::", "", "::ffff:11.0.0.1"},
			[]string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1", "2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"}},
		{"allow alone", prefixes("10.0.0.0/8"), nil, []string{"10.1.2.3", "::ffff:10.1.2.3"}, []string{"11.0.0.1", "::1", ""}},
		{"deny wins", prefixes("10.0.0.0/8"), prefixes("10.9.0.0/16"), []string{"10.8.255.255", "10.10.0.0"}, []string{"10.9.0.0", "10.9.255.255"}},
		{"however narrow allow is", prefixes("10.9.1.1/32"), prefixes("10.9.0.0/16"), nil, []string{"10.9.1.1"}},
		{"all", prefixes("0.0.0.0/0", "::/0"), nil, []string{"0.0.0.0", "255.255.255.255", "::", "ffff::"}, []string{""}},
		{"mapped", prefixes("::ffff:10.0.0.0/104"), nil, []string{"10.1.1.1"}, []string{"11.1.1.1"}},
		{"one address", prefixes("::1/128", "1.2.3.4/32"), nil, []string{"::1", "1.2.3.4"}, []string{"::2", "::", "1.2.3.5", "1.2.3.3"}},
		{"one in another", prefixes("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/16"), nil, []string{"10.200.0.1"}, []string{"11.0.0.1"}},
	} {
		a := NewAccess(tc.allow, tc.deny)
		for _, s := range tc.in {
			if !a.Lets(address(s)) {
				t.Errorf("%s: %q is not let in", tc.name, s)
			}
		}
		for _, s := range tc.out {
			if a.Lets(address(s)) {
				t.Errorf("%s: %q is let in", tc.name, s)
			}
		}
	}
}

// networksOf makes networks of text, 18 bytes each.
func networksOf(text []byte) (list []netip.Prefix) {
	for ; len(text) >= 18; text = text[18:] {
		var addr netip.Addr
		if text[0]%2 == 0 {
			addr = netip.AddrFrom4([4]byte(text[2:6]))
		} else {
			addr = netip.AddrFrom16([16]byte(text[2:18]))
		}
		p, err := addr.Prefix(int(text[1]) % (addr.BitLen() + 1))
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

// FuzzHas: an address is in a set if it is in one of its networks.
func FuzzHas(f *testing.F) {
	f.Add([]byte("\x00\x08\x0a\x00\x00\x00aaaaaaaaaaaa\x00\x10\x0a\x01\x00\x00aaaaaaaaaaaa"), []byte("\x0a\x01\x00\x01aaaaaaaaaaaa"))
	f.Add([]byte("\x01\x20\x20\x01\x0d\xb8aaaaaaaaaaaa"), []byte("\x20\x01\x0d\xb8aaaaaaaaaaaa"))
	f.Fuzz(func(t *testing.T, text, at []byte) {
		networks := networksOf(text)
		s := Of(networks)
		var b [16]byte
		copy(b[:], at)
		tries := []netip.Addr{netip.AddrFrom16(b), netip.AddrFrom4([4]byte(b[:4]))}
		for _, n := range networks {
			tries = append(tries, n.Addr(), n.Addr().Prev(), n.Addr().Next())
		}
		for _, addr := range tries {
			want := false
			for _, n := range networks {
				want = want || n.Contains(addr.Unmap()) || addr.Is4In6() && n.Contains(addr)
			}
			if got := s.Has(addr); got != want {
				t.Fatalf("%v in %v: %t, want %t", addr, networks, got, want)
			}
		}
	})
}

func BenchmarkHas(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	var list []netip.Prefix
	for range 10_000 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], rng.Uint32())
		p, _ := netip.AddrFrom4(a).Prefix(16 + rng.IntN(17))
		list = append(list, p)
	}
	a := NewAccess(nil, list)
	addr := netip.MustParseAddr("203.0.113.77")
	b.Run("10000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.Lets(addr)
		}
	})
}
