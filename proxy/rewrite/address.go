package rewrite

import (
	"bytes"
	"net/netip"

	"lb/internal/iptext"
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
		return iptext.IPv4(s)
	}
	if bytes.IndexByte(s[colon+1:], ':') >= 0 {
		return parseIPv6(s)
	}
	if !isPort(s[colon+1:]) {
		return addr, false
	}
	return iptext.IPv4(s[:colon])
}

// isPort reports whether s is a port in digits.
func isPort(s []byte) bool {
	n, ok := iptext.Number(s, 10, 5)
	return ok && n <= 1<<16-1
}

func parseIPv6(s []byte) (addr netip.Addr, ok bool) {
	if zone := bytes.IndexByte(s, '%'); zone >= 0 && zone+1 < len(s) {
		s = s[:zone]
	}
	return iptext.IPv6(s)
}
