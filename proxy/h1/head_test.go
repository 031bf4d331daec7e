package h1

import (
	"testing"

	"lb/httpparse"
	"lb/proxy/front"
)

var limits = httpparse.Limits{HeadBytes: 4 << 10, Fields: 20, TargetBytes: 1 << 10}

// TestAppendHead: the framing of a response and its Connection field, by the version of
// the request.
func TestAppendHead(t *testing.T) {
	const none, length, chunked, closing = httpparse.None, httpparse.Length, httpparse.Chunked, httpparse.Close
	for _, tc := range []struct {
		name   string
		minor  uint8
		reply  front.Reply
		fields string // of the message, or "" if there is none
		want   string
		to     httpparse.Framing
		keep   bool
	}{
		{"1.1 goes on", 1, front.Reply{Code: 200, Framing: length, Length: 5, Keep: true}, "",
			"HTTP/1.1 200 P\r\nContent-Length: 5\r\n\r\n", length, true},
		{"1.1 ends", 1, front.Reply{Code: 200, Framing: length, Length: 5}, "",
			"HTTP/1.1 200 P\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", length, false},
		{"1.0 goes on", 0, front.Reply{Code: 200, Framing: length, Length: 5, Keep: true}, "",
			"HTTP/1.1 200 P\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", length, true},
		{"1.0 ends", 0, front.Reply{Code: 200, Framing: length, Length: 0}, "",
			"HTTP/1.1 200 P\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", length, false},
		{"1.1, until the end", 1, front.Reply{Code: 200, Framing: closing, Length: -1, Keep: true}, "",
			"HTTP/1.1 200 P\r\nTransfer-Encoding: chunked\r\n\r\n", chunked, true},
		{"1.0, until the end", 0, front.Reply{Code: 200, Framing: closing, Length: -1, Keep: true}, "",
			"HTTP/1.1 200 P\r\nConnection: close\r\n\r\n", closing, false},
		{"1.1, chunks", 1, front.Reply{Code: 200, Framing: chunked, Length: -1, Keep: true}, "A: b\r\nTrailer: X\r\n",
			"HTTP/1.1 200 P\r\nA: b\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n", chunked, true},
		{"1.0, chunks", 0, front.Reply{Code: 200, Framing: chunked, Length: -1, Keep: true}, "A: b\r\nTrailer: X\r\n",
			"HTTP/1.1 200 P\r\nA: b\r\nConnection: close\r\n\r\n", closing, false},
		{"trailers promised by a body until the end", 1, front.Reply{Code: 200, Framing: closing, Length: -1, Keep: true}, "Trailer: X\r\n",
			"HTTP/1.1 200 P\r\nTransfer-Encoding: chunked\r\n\r\n", chunked, true},
		{"trailers promised by a length", 1, front.Reply{Code: 200, Framing: length, Length: 1, Keep: true}, "Trailer: X\r\n",
			"HTTP/1.1 200 P\r\nContent-Length: 1\r\n\r\n", length, true},
		{"fields, lines, the conn, own lines, the length", 1, front.Reply{Code: 503, Framing: none, Length: 2,
			Drop: httpparse.SetOf(httpparse.Date), Lines: []byte("L: 1\r\n"), Own: []byte("O: 2\r\n")}, "B:c\r\nDate: now\r\n",
			"HTTP/1.1 503 P\r\nB: c\r\nL: 1\r\nConnection: close\r\nO: 2\r\nContent-Length: 2\r\n\r\n", none, false},
		{"no body", 1, front.Reply{Code: 204, Framing: none, Length: -1, Keep: true}, "",
			"HTTP/1.1 204 P\r\n\r\n", none, true},
		{"the length of no body", 0, front.Reply{Code: 304, Framing: none, Length: 1000, Keep: true}, "",
			"HTTP/1.1 304 P\r\nConnection: keep-alive\r\nContent-Length: 1000\r\n\r\n", none, true},
		{"interim", 1, front.Reply{Code: 103, Framing: none, Length: -1}, "Link: <a>\r\n",
			"HTTP/1.1 103 P\r\nLink: <a>\r\n\r\n", none, false},
		{"101", 1, front.Reply{Code: 101, Framing: none, Length: -1, Upgrade: []byte("websocket")}, "A: b\r\n",
			"HTTP/1.1 101 P\r\nA: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", none, false},
		{"426", 1, front.Reply{Code: 426, Framing: length, Length: 0, Upgrade: []byte("TLS/1.0"), Keep: true}, "",
			"HTTP/1.1 426 P\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\nContent-Length: 0\r\n\r\n", length, true},
		{"426 at the end", 0, front.Reply{Code: 426, Framing: length, Length: 0, Upgrade: []byte("TLS/1.0")}, "",
			"HTTP/1.1 426 P\r\nConnection: close\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\nContent-Length: 0\r\n\r\n", length, false},
	} {
		c := &Conn{req: new(request)}
		c.req.Minor = tc.minor
		r := tc.reply
		r.Phrase = []byte("P")
		if tc.fields != "" {
			var p httpparse.ResponseParser
			p.Reset(&limits, httpparse.GET)
			r.Text = []byte("HTTP/1.1 200 OK\r\n" + tc.fields + "\r\n")
			if p.Feed(r.Text) != httpparse.Done {
				t.Fatalf("%s: %v", tc.name, p.Reason)
			}
			r.Message = &p.Message
		}
		if got := string(c.AppendHead([]byte("before "), &r)); got != "before "+tc.want || r.To != tc.to || r.Keep != tc.keep {
			t.Errorf("%s: got\n%swant\n%sto %d, want %d; keep %t, want %t", tc.name, got, tc.want, r.To, tc.to, r.Keep, tc.keep)
		}
	}
}
