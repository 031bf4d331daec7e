package rewrite

import "testing"

func TestSwitches(t *testing.T) {
	for _, tc := range []struct {
		asked, to string
		want      bool
	}{
		{"websocket", "WebSocket", true},
		{"a, SPDY/3.1", "spdy/3.1", true},
		{"a, b", "a, b", false}, // one, not all of them
		{"websocket", "websocket/2", false},
		{"websocket", "", false},
		{"", "", false},
		{"", "websocket", false},
	} {
		if got := Switches(tc.asked, []byte(tc.to)); got != tc.want {
			t.Errorf("%q to %q: %t", tc.asked, tc.to, got)
		}
	}
}
