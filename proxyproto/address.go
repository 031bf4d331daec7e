package proxyproto

import "lb/internal/iptext"

func parsePort(s []byte) (port uint16, ok bool) {
	n, ok := iptext.Decimal(s, 5, 1<<16-1)
	return uint16(n), ok
}
