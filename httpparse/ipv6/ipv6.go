// Package ipv6 checks IPv6 addresses as URIs and Host have them, without allocating.
package ipv6

import "bytes"

// Valid reports whether s is an IPv6address (RFC 3986 3.2.2).
func Valid(s []byte) bool {
	groups, gap := 0, false
	if bytes.HasPrefix(s, doubleColon) {
		s, gap = s[2:], true
	}
	for len(s) > 0 {
		n := 0
		for n < len(s) && isHex(s[n]) {
			n++
		}
		if n < len(s) && s[n] == '.' {
			return isIPv4(s) && groupsFit(groups+2, gap)
		}
		if groups++; n == 0 || n > 4 {
			return false
		}
		switch s = s[n:]; {
		case len(s) == 0:
		case bytes.HasPrefix(s, doubleColon) && !gap:
			s, gap = s[2:], true
		case s[0] == ':' && len(s) > 1 && s[1] != ':':
			s = s[1:]
		default:
			return false
		}
	}
	return groupsFit(groups, gap)
}

var doubleColon = []byte("::")

// groupsFit reports whether n groups of 16 bits make an address; a gap stands
// for one group or more.
func groupsFit(n int, gap bool) bool { return n == 8 && !gap || n < 8 && gap }

// isIPv4 reports whether s is four numbers up to 255 with dots between them.
func isIPv4(s []byte) bool {
	for k := range 4 {
		n := 0
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
		if n == 0 || n > 3 || n > 1 && s[0] == '0' || n == 3 && string(s[:n]) > "255" {
			return false
		}
		if s = s[n:]; k < 3 {
			if len(s) == 0 || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
	}
	return len(s) == 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
