package rewrite

import (
	"bytes"
	"net/netip"
)

// ParseAddr reads an IP address as proxies write it in lists: alone, with a port, or in
// brackets with a port or without. It does not allocate, as netip does for an error. An
// IPv4 address mapped into IPv6 becomes IPv4, and a zone is dropped.
func ParseAddr(s []byte) (addr netip.Addr, ok bool) {
	if len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && (s[end+1] != ':' || !isPort(s[end+2:])) {
			return addr, false
		}
		return parseIPv6(s[1:end])
	}
	colon := bytes.IndexByte(s, ':')
	if colon < 0 {
		return parseIPv4(s)
	}
	if bytes.IndexByte(s[colon+1:], ':') >= 0 {
		return parseIPv6(s)
	}
	if !isPort(s[colon+1:]) {
		return addr, false
	}
	return parseIPv4(s[:colon])
}

// isPort reports whether s is a port in digits.
func isPort(s []byte) bool {
	n, ok := number(s, 10, 5)
	return ok && n <= 1<<16-1
}

// number reads up to digitsMax digits of base 10 or 16.
func number(s []byte, base, digitsMax int) (n int, ok bool) {
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
	return n, len(s) > 0 && len(s) <= digitsMax
}

func parseIPv4(s []byte) (addr netip.Addr, ok bool) {
	var a [4]byte
	if !readIPv4(a[:], s) {
		return addr, false
	}
	return netip.AddrFrom4(a), true
}

// readIPv4 writes the address s to a. Leading zeros, which some read as octal, are refused.
func readIPv4(a, s []byte) bool {
	for i := range 4 {
		one := s
		if dot := bytes.IndexByte(s, '.'); dot >= 0 && i < 3 {
			one, s = s[:dot], s[dot+1:]
		} else if i < 3 {
			return false
		}
		n, ok := number(one, 10, 3)
		if !ok || n > 255 || one[0] == '0' && len(one) > 1 {
			return false
		}
		a[i] = byte(n)
	}
	return true
}

func parseIPv6(s []byte) (addr netip.Addr, ok bool) {
	if zone := bytes.IndexByte(s, '%'); zone >= 0 && zone+1 < len(s) {
		s = s[:zone]
	}
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
		n, ok := number(s[:end], 16, 4)
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

var gapText = []byte("::")
