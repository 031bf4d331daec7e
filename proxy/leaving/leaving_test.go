package leaving

import (
	"strings"
	"testing"

	"lb/board"
	"lb/httpparse"
)

// TestOf: which answers ask for no new clients. The field is never passed on.
func TestOf(t *testing.T) {
	for _, tc := range []struct {
		lines   string
		header  string
		spoiled bool
		want    board.Reason
	}{
		{"HTTP/1.1 200 OK", "", false, board.ReasonNone},
		{"HTTP/1.1 503 X|Connection: close", "", false, board.ReasonClosing503},
		{"HTTP/1.0 503 X|connection: foo, Close", "", false, board.ReasonClosing503},
		{"HTTP/1.1 503 X|Connection: close", "", true, board.ReasonNone},
		{"HTTP/1.1 503 X", "", false, board.ReasonNone},
		{"HTTP/1.0 503 X", "", false, board.ReasonNone}, // which closes anyway
		{"HTTP/1.1 502 X|Connection: close", "", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|X-Drain: 1", "", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|x-drain: 1", "X-Drain", false, board.ReasonDrainField},
		{"HTTP/1.1 200 OK|x-drain: soon", "X-Drain", false, board.ReasonDrainField},
		{"HTTP/1.1 503 X|Connection: close|X-Drain: yes", "X-Drain", true, board.ReasonDrainField},
		{"HTTP/1.1 503 X|Connection: close|X-Drain: no", "X-Drain", false, board.ReasonClosing503},
		{"HTTP/1.1 200 OK|X-Drain: No", "X-Drain", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|X-Drain: false", "X-Drain", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|X-Drain: 0", "X-Drain", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|X-Drain:", "X-Drain", false, board.ReasonNone},
		{"HTTP/1.1 200 OK|X-Draining: 1", "X-Drain", false, board.ReasonNone},
	} {
		text := []byte(strings.ReplaceAll(tc.lines, "|", "\r\n") + "\r\nContent-Length: 0\r\n\r\n")
		var p httpparse.ResponseParser
		p.Reset(&httpparse.Limits{HeadBytes: 1 << 10, Fields: 10}, httpparse.GET)
		if s := p.Feed(text); s != httpparse.Done {
			t.Fatalf("%q: %v %v", text, s, p.Reason)
		}
		if got := Of(&p.Response, text, tc.header, tc.spoiled); got != tc.want {
			t.Errorf("%q, %q: %v, want %v", tc.lines, tc.header, got, tc.want)
		}
		if _, there := p.Lookup(text, "X-Drain"); there != (tc.header == "" && strings.Contains(tc.lines, "X-Drain:")) && !strings.Contains(tc.lines, "x-drain") {
			t.Errorf("%q, %q: is the field there? %v", tc.lines, tc.header, there)
		}
	}
}
