package rewrite

import "testing"

func TestSwitches(t *testing.T) {
	for _, tc := range []struct {
		asked, to string
		want      bool
	}{
		{"websocket", "WebSocket", true},
		{"a, SPDY/3.1", "spdy/3.1", true},
		{"TLS/1.2, TLS/1.0", "TLS/1.0, HTTP/1.1", true}, // HTTP/1.1 over TLS/1.0
		{"HTTP/1.1", "TLS/1.0, HTTP/1.1", false},
		{"websocket", "websocket/2", false},
		{"websocket", "", false},
		{"websocket,", "", false},
		{"", "", false},
		{"", "websocket", false},
	} {
		if got := switches(tc.asked, []byte(tc.to)); got != tc.want {
			t.Errorf("%q to %q: %t", tc.asked, tc.to, got)
		}
	}
}
