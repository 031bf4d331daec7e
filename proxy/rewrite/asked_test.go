package rewrite

import (
	"testing"

	"lb/config"
)

// TestHashed: what the request does not have is replaced by the address of its client.
func TestHashed(t *testing.T) {
	const head = "GET /p/a?q=/b HTTP/1.1\r\nHost: a\r\nX-User: u1\r\nCookie: b=1; at=c2\r\n\r\n"
	r := Request{Message: parse(t, head), Text: []byte(head), Peer: newPeer("192.0.2.1", false), Config: new(config.Config)}
	for _, tc := range []struct {
		h    config.Hash
		want string
	}{
		{config.Hash{Key: config.KeyPath}, "/p/a"},
		{config.Hash{Key: config.KeyHeader, Name: "x-user"}, "u1"},
		{config.Hash{Key: config.KeyHeader, Name: "x-other"}, "192.0.2.1"},
		{config.Hash{Key: config.KeyCookie, Name: "at"}, "c2"},
		{config.Hash{Key: config.KeyCookie, Name: "AT"}, "192.0.2.1"},
		{config.Hash{Key: config.KeyClientIP}, "192.0.2.1"},
	} {
		if got := string(r.Hashed(tc.h)); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.h, got, tc.want)
		}
	}
}

// TestWaitsFor100: as long as none of the body has come, and the backend hears of it.
func TestWaitsFor100(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, tc := range []struct {
		head, body string
		want       bool
	}{
		{post + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", "", true},
		{post + "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", "", true},
		{post + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", "x", false},
		{post + "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", "", false},
		{post + "Content-Length: 2\r\n\r\n", "", false},
		{post + "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: expect\r\n\r\n", "", false},
		{post + "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: x\r\n\r\n", "", true},
	} {
		r := Request{Message: parse(t, tc.head), Text: []byte(tc.head + tc.body)}
		if got := r.WaitsFor100(); got != tc.want {
			t.Errorf("%q: %t, want %t", tc.head+tc.body, got, tc.want)
		}
	}
}
