// Package netset decides whether an address is in one of many networks, in a time that grows
// with the logarithm of their number, and without an allocation.
package netset

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Set is a set of networks. The zero value is empty.
type Set struct {
	v4 []span[uint32]
	v6 []span[wide]
}

// span is a range of addresses, both ends included.
type span[A any] struct{ first, last A }

// wide is an address of IPv6.
type wide struct{ high, low uint64 }

func compareWide(a, b wide) int {
	if c := cmp.Compare(a.high, b.high); c != 0 {
		return c
	}
	return cmp.Compare(a.low, b.low)
}

// Of returns the set of these networks. An IPv4 address in IPv6 counts as IPv4.
func Of(networks []netip.Prefix) (s Set) {
	for _, n := range networks {
		addr, bits := n.Addr(), n.Bits()
		if addr.Is4In6() && bits >= 96 {
			addr, bits = addr.Unmap(), bits-96
		}
		if addr.Is4() {
			a := number(addr)
			rest := uint32(uint64(1)<<(32-bits) - 1)
			s.v4 = append(s.v4, span[uint32]{a &^ rest, a | rest})
			continue
		}
		a := wideOf(addr)
		rest := wide{high: ^uint64(0) >> min(bits, 64), low: ^uint64(0) >> max(0, bits-64)}
		s.v6 = append(s.v6, span[wide]{wide{a.high &^ rest.high, a.low &^ rest.low}, wide{a.high | rest.high, a.low | rest.low}})
	}
	s.v4, s.v6 = joined(s.v4, cmp.Compare[uint32]), joined(s.v6, compareWide)
	return s
}

// joined returns the spans in order, without those that others have in them. Networks
// overlap in no other way.
func joined[A any](list []span[A], compare func(a, b A) int) []span[A] {
	slices.SortFunc(list, func(a, b span[A]) int {
		if c := compare(a.first, b.first); c != 0 {
			return c
		}
		return compare(b.last, a.last)
	})
	out := list[:0]
	for _, s := range list {
		if n := len(out); n == 0 || compare(s.last, out[n-1].last) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Empty reports whether s has no network.
func (s *Set) Empty() bool { return len(s.v4)+len(s.v6) == 0 }

// Has reports whether addr is in one of the networks. An address that is not valid is in
// none.
func (s *Set) Has(addr netip.Addr) bool {
	switch {
	case !addr.IsValid():
		return false
	case addr.Is4() || addr.Is4In6():
		a := number(addr.Unmap())
		low, high := 0, len(s.v4)
		for low < high {
			if mid := int(uint(low+high) / 2); s.v4[mid].first > a {
				high = mid
			} else {
				low = mid + 1
			}
		}
		return low > 0 && a <= s.v4[low-1].last
	}
	a := wideOf(addr)
	low, high := 0, len(s.v6)
	for low < high {
		if mid := int(uint(low+high) / 2); compareWide(s.v6[mid].first, a) > 0 {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low > 0 && compareWide(a, s.v6[low-1].last) <= 0
}

func number(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

func wideOf(addr netip.Addr) wide {
	b := addr.As16()
	return wide{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Access says which clients are let in: none in a network of deny, whatever allow says; of the
// others, those in a network of allow, or all if it has none. nil lets everyone in.
type Access struct{ allow, deny Set }

// NewAccess returns the access that these lists give, or nil if they are empty.
func NewAccess(allow, deny []netip.Prefix) *Access {
	if len(allow)+len(deny) == 0 {
		return nil
	}
	return &Access{Of(allow), Of(deny)}
}

// Lets reports whether the client at addr is let in. An address that is not valid stands for
// a unix socket, whose clients are in no network.
func (a *Access) Lets(addr netip.Addr) bool {
	return a == nil || !a.deny.Has(addr) && (a.allow.Empty() || a.allow.Has(addr))
}
