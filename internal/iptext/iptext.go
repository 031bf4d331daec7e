// Package iptext reads IP addresses from text. It does not allocate, as net/netip does for an
// error.
package iptext

import (
	"bytes"
	"net/netip"
)

// Number reads up to digitsMax digits of base 10 or 16.
func Number(s []byte, base, digitsMax int) (n int, ok bool) {
	if len(s) == 0 || len(s) > digitsMax {
		return 0, false
	}
	for _, c := range s {
		d := 0
		switch low := c | 0x20; {
		case '0' <= c && c <= '9':
			d = int(c - '0')
		case base == 16 && 'a' <= low && low <= 'f':
			d = int(low-'a') + 10
		default:
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}

// Decimal is Number for base 10, up to most, without zeros in front, which some read as octal.
func Decimal(s []byte, digitsMax, most int) (n int, ok bool) {
	n, ok = Number(s, 10, digitsMax)
	return n, ok && n <= most && (s[0] != '0' || len(s) == 1)
}

// IPv4 reads four numbers with dots between.
func IPv4(s []byte) (addr netip.Addr, ok bool) {
	var a [4]byte
	if !readIPv4(a[:], s) {
		return addr, false
	}
	return netip.AddrFrom4(a), true
}

// readIPv4 writes the address s to a.
func readIPv4(a, s []byte) bool {
	for i := range 4 {
		one := s
		if dot := bytes.IndexByte(s, '.'); dot >= 0 && i < 3 {
			one, s = s[:dot], s[dot+1:]
		} else if i < 3 {
			return false
		}
		n, ok := Decimal(one, 3, 255)
		if !ok {
			return false
		}
		a[i] = byte(n)
	}
	return true
}

var gapText = []byte("::")

// IPv6 reads an address in any of its forms (RFC 4291 section 2.2), without a zone. One that is
// mapped from IPv4 becomes IPv4.
func IPv6(s []byte) (addr netip.Addr, ok bool) {
	var a [16]byte
	at, gap := 0, -1 // bytes read, and how many stand before "::"
	if bytes.HasPrefix(s, gapText) {
		s, gap = s[2:], 0
	}
	for len(s) > 0 {
		end := bytes.IndexByte(s, ':')
		if end < 0 {
			end = len(s)
		}
		if end == len(s) && bytes.IndexByte(s, '.') >= 0 {
			if at > 12 || !readIPv4(a[at:at+4], s) {
				return addr, false
			}
			at += 4
			break
		}
		n, ok := Number(s[:end], 16, 4)
		if !ok || at == 16 {
			return addr, false
		}
		a[at], a[at+1] = byte(n>>8), byte(n)
		at += 2
		switch s = s[end:]; {
		case len(s) == 0:
		case bytes.HasPrefix(s, gapText) && gap < 0:
			s, gap = s[2:], at
		case len(s) > 1 && s[1] != ':':
			s = s[1:]
		default:
			return addr, false
		}
	}
	if (gap < 0) != (at == 16) {
		return addr, false
	}
	if gap >= 0 {
		copy(a[16-(at-gap):], a[gap:at])
		clear(a[gap : 16-(at-gap)])
	}
	return netip.AddrFrom16(a).Unmap(), true
}
