package rewrite

import (
	"net/netip"
	"testing"

	"lb/httpparse"
	"lb/proxy/front"
)

var limits = httpparse.Limits{HeadBytes: 16 << 10, Fields: 100, TargetBytes: 4 << 10}

// parse returns the parsed request of a valid head.
func parse(t testing.TB, head string) *httpparse.Request {
	t.Helper()
	var p httpparse.RequestParser
	p.Reset(&limits)
	if p.Feed([]byte(head)) != httpparse.Done {
		t.Fatalf("%q: %v", head, p.Reason)
	}
	return &p.Request
}

// parseResponse returns the parsed fields of a response.
func parseResponse(t testing.TB, fields string) (m *httpparse.Message, text []byte) {
	t.Helper()
	var p httpparse.ResponseParser
	p.Reset(&limits, httpparse.GET)
	text = []byte("HTTP/1.1 200 OK\r\n" + fields + "\r\n")
	if p.Feed(text) != httpparse.Done {
		t.Fatalf("%q: %v", fields, p.Reason)
	}
	return &p.Message, text
}

// newPeer returns the peer at an IP address, or at a unix socket if addr is empty.
func newPeer(addr string, trusted bool) *front.Peer {
	p := new(front.Peer)
	if a, err := netip.ParseAddr(addr); err == nil {
		p.Set(netip.AddrPortFrom(a, 9), front.Plain)
	} else {
		p.Set(netip.AddrPort{}, front.Plain)
	}
	p.Checked, p.Trusted = 1, trusted
	return p
}
