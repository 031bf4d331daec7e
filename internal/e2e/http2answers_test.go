package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// Answers of HTTP/2 backends that are none: the client learns of the fault, and gets none
// of the bytes.

// h2BadAnswer is what a backend sends on a stream. A retry gets the same.
type h2BadAnswer struct {
	name   string
	send   func(s *h2Stream)
	late   bool // the head may go on: the client's answer must look cut
	either bool // or the client gets a clean answer
	method string
}

// h2BadHeads are answers whose heads are none.
func h2BadHeads() (list []h2BadAnswer) {
	add := func(name string, fields []h2Field) {
		list = append(list, h2BadAnswer{name: name, send: func(s *h2Stream) { s.head(false, fields); s.data(true, []byte("smuggled")) }})
	}
	add("no :status", h2Fields("x-a", "1"))
	add("no fields", nil)
	for _, status := range []string{"", "20", "2000", "abc", "+20", "200 ", " 200", "200 OK", "2x0", "200\r\nx-smuggled: 1", "000", "099", "101"} {
		add(fmt.Sprintf(":status %q", status), h2Fields(":status", status))
	}
	add("two :status", h2Fields(":status", "200", ":status", "204"))
	add(":status after a field", h2Fields("x-a", "1", ":status", "200"))
	for _, f := range h2Fields(":method", "GET", ":path", "/", ":foo", "1", ":Status", "200",
		"X-Upper", "1", "", "1", "x y", "1", "x:y", "1", "x\r\nx-smuggled", "1", "x\ny", "1", "x\x00", "1", "x ", "1", " x", "1", "x\x80", "1", "x(", "1",
		"x-a", "b\r\nx-smuggled: 1", "x-a", "b\rc", "x-a", "b\nc", "x-a", "b\x00c", "x-a", "b\r\n\r\nHTTP/1.1 200 OK\r\nx-smuggled: 1\r\n\r\n", "set-cookie", "a=\r\nb",
		"transfer-encoding", "chunked", "connection", "close", "connection", "x-a", "keep-alive", "timeout=5", "proxy-connection", "close", "upgrade", "h2c",
		"content-length", "8, 9", "content-length", "0x8", "content-length", "+8", "content-length", "-8", "content-length", "eight", "content-length", "", "content-length", "18446744073709551624") {
		add(fmt.Sprintf("%q: %q", f.name, f.value), append(h2Fields(":status", "200"), f))
	}
	add("two lengths", h2Fields(":status", "200", "content-length", "8", "content-length", "9"))
	for _, value := range []string{" a", "a ", "\ta", "a\t", "a\x01b", "a\x7fb"} {
		add(fmt.Sprintf("value %q", value), h2Fields(":status", "200", "x-a", value))
		list[len(list)-1].either = true
	}
	return list
}

// h2BadBodies are answers whose heads do not fit what follows, or that end too early.
func h2BadBodies() []h2BadAnswer {
	ok := h2Fields(":status", "200")
	length := func(n string) []h2Field { return append(ok[:1:1], h2Fields("content-length", n)...) }
	trailers := func(f ...string) func(s *h2Stream) {
		return func(s *h2Stream) { s.head(false, ok); s.data(false, []byte("abc")); s.head(true, h2Fields(f...)) }
	}
	return []h2BadAnswer{
		{name: "a length and no content", send: func(s *h2Stream) { s.head(true, length("5")) }},
		{name: "less than the length", send: func(s *h2Stream) { s.head(false, length("50")); s.data(true, []byte("12345")) }, late: true},
		{name: "less than the length, with trailers", send: func(s *h2Stream) {
			s.head(false, length("50"))
			s.data(false, []byte("12345"))
			s.head(true, h2Fields("x-sum", "1"))
		}, late: true},
		{name: "more than the length", send: func(s *h2Stream) { s.head(false, length("3")); s.data(true, []byte("12345")) }, late: true},
		{name: "content of 0 bytes", send: func(s *h2Stream) { s.head(false, length("0")); s.data(true, []byte("smuggled")) }, late: true, either: true},
		{name: "DATA first", send: func(s *h2Stream) { s.data(false, []byte("smuggled")); s.head(true, ok) }},
		{name: "an interim answer alone", send: func(s *h2Stream) { s.head(true, h2Fields(":status", "103")) }},
		{name: "DATA after an interim answer", send: func(s *h2Stream) { s.head(false, h2Fields(":status", "103")); s.data(true, []byte("smuggled")) }},
		{name: "trailers with :status", send: trailers(":status", "200"), late: true},
		{name: "trailers with an upper-case name", send: trailers("X-Sum", "1"), late: true},
		{name: "trailers with CRLF", send: trailers("x-sum", "1\r\n\r\nHTTP/1.1 200 OK\r\nx-smuggled: 1\r\n\r\n"), late: true},
		{name: "trailers with NUL", send: trailers("x-sum", "\x00"), late: true},
		{name: "trailers without an end", send: func(s *h2Stream) {
			s.head(false, ok)
			s.data(false, []byte("abc"))
			s.head(false, h2Fields("x-sum", "1"))
		}, late: true},
		{name: "content of a HEAD", method: "HEAD", send: func(s *h2Stream) { s.head(false, length("8")); s.data(true, []byte("smuggled")) }, late: true, either: true},
		{name: "content of a 204", send: func(s *h2Stream) { s.head(false, h2Fields(":status", "204")); s.data(true, []byte("smuggled")) }, late: true, either: true},
		{name: "content of a 304", send: func(s *h2Stream) { s.head(false, h2Fields(":status", "304")); s.data(true, []byte("smuggled")) }, late: true, either: true},
		{name: "a reset", send: func(s *h2Stream) { s.rst(http2.ErrCodeInternal) }},
		{name: "a reset without a fault", send: func(s *h2Stream) { s.rst(http2.ErrCodeNo) }},
		{name: "a reset after the head", send: func(s *h2Stream) { s.head(false, ok); s.rst(http2.ErrCodeInternal) }, late: true},
		{name: "a reset in the content", send: func(s *h2Stream) { s.head(false, ok); s.data(false, []byte("abc")); s.rst(http2.ErrCodeNo) }, late: true},
		{name: "a reset within the length", send: func(s *h2Stream) {
			s.head(false, length("9"))
			s.data(false, []byte("abc"))
			s.rst(http2.ErrCodeCancel)
		}, late: true},
		{name: "the end of the conn", send: func(s *h2Stream) { s.c.leave() }},
		{name: "the end of the conn in the content", send: func(s *h2Stream) { s.head(false, ok); s.data(false, []byte("abc")); s.c.leave() }, late: true},
	}
}

// leave closes the conn after what waits to be written.
func (h *h2Conn) leave() {
	h.mu.Lock()
	h.leaving = true
	h.mu.Unlock()
	h.news.Broadcast()
	h.wrote.Wait()
	h.Conn.Close()
}

// h2BadConns are answers that end the conn to the backend: what is sent breaks it, not
// the stream alone.
func h2BadConns() (list []h2BadAnswer) {
	const idle = 1<<30 + 1
	add := func(name string, frames ...[]byte) {
		list = append(list, h2BadAnswer{name: name, send: func(s *h2Stream) { s.c.send(frames...) }})
	}
	add("DATA of an idle stream", h2Frame(http2.FrameData, 0, idle, []byte("smuggled")))
	add("HEADERS of an idle stream", h2Frame(http2.FrameHeaders, endHeaders, idle, h2Block(h2Fields(":status", "200"))))
	add("DATA of the conn", h2Frame(http2.FrameData, 0, 0, []byte("smuggled")))
	add("PUSH_PROMISE", h2Frame(http2.FramePushPromise, endHeaders, 1, append(u32(2), h2Block(h2Get())...)))
	add("a frame that is too long", h2Frame(http2.FrameData, 0, 1, make([]byte, 70_000)))
	add("SETTINGS of an odd length", h2Frame(http2.FrameSettings, 0, 0, []byte("12345")))
	add("SETTINGS on a stream", h2Frame(http2.FrameSettings, 0, 1, nil))
	add("ENABLE_PUSH of a server", h2Frame(http2.FrameSettings, 0, 0, h2Settings(2, 1)))
	add("a window that is too large", h2Frame(http2.FrameSettings, 0, 0, h2Settings(4, 1<<31)))
	add("an overflow of the window", h2Frame(http2.FrameWindowUpdate, 0, 0, u32(1<<31-1)))
	add("WINDOW_UPDATE of 0", h2Frame(http2.FrameWindowUpdate, 0, 0, u32(0)))
	add("PING of 7 bytes", h2Frame(http2.FramePing, 0, 0, []byte("1234567")))
	add("RST_STREAM of an idle stream", h2Frame(http2.FrameRSTStream, 0, idle, u32(8)))
	add("CONTINUATION alone", h2Frame(http2.FrameContinuation, endHeaders, 1, nil))
	add("a block within a block", h2Frame(http2.FrameHeaders, 0, 1, nil), h2Frame(http2.FrameData, 0, 1, nil))
	add("HPACK without sense", h2Frame(http2.FrameHeaders, endHeaders, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))
	add("an index that is not there", h2Frame(http2.FrameHeaders, endHeaders, 1, []byte{0xff, 0x40}))
	add("a table that is too large", h2Frame(http2.FrameHeaders, endHeaders, 1, h2Int(nil, 5, 0x20, 1<<20)))
	add("padding beyond the frame", h2Frame(http2.FrameData, http2.FlagDataPadded, 1, []byte{9, 1, 2}))
	add("HTTP/1", []byte("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"))
	add("a flood of PING", times(50_000, h2Frame(http2.FramePing, 0, 0, []byte("12345678"))))
	add("a flood of SETTINGS", times(50_000, h2Frame(http2.FrameSettings, 0, 0, nil)))
	add("a head of 2 MiB", bytes.Repeat(h2Frame(http2.FrameContinuation, 0, 1, make([]byte, 16384)), 128))
	list[len(list)-1].send = func(s *h2Stream) {
		s.c.send(h2Frame(http2.FrameHeaders, 0, s.id, h2Block(h2Fields(":status", "200"))))
		more := h2Frame(http2.FrameContinuation, 0, s.id, bytes.Repeat(h2Block(h2Fields("x-smuggled", strings.Repeat("a", 1000))), 16))
		for range 128 {
			s.c.send(more)
		}
	}
	return list
}

// TestHTTP2Answers has backends send such answers to clients of HTTP/1 and HTTP/2.
func TestHTTP2Answers(t *testing.T) {
	bytesOnly(t)
	cases := append(append(h2BadHeads(), h2BadBodies()...), h2BadConns()...)
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "[eject]\nenabled = false\n", "", func(r *h2Request) {
			var i int
			if _, err := fmt.Sscanf(r.id, "bad-%d", &i); err != nil || r.stream == nil {
				r.reply(200, nil, "ok")
				return
			}
			cases[i].send(r.stream)
		})
		t.Run("all", func(t *testing.T) {
			for _, kind := range []string{"h2c", "h2"} {
				t.Run(kind, func(t *testing.T) { // one after the other, because some end the conn to the backend
					t.Parallel()
					h := h2Client(t, l.clear)
					for i, c := range cases {
						c.fromHTTP1(t, l, kind, i)
						c.fromHTTP2(t, h, kind, i)
					}
				})
			}
		})
	})
}

// fromHTTP1 asks for the answer with HTTP/1, and then for another on the same conn, if it
// stays.
func (c h2BadAnswer) fromHTTP1(t *testing.T, l *h2Lab, kind string, i int) {
	t.Helper()
	method := c.method
	if method == "" {
		method = "GET"
	}
	conn := dial(t, l.addr)
	defer conn.Close()
	var raw bytes.Buffer
	conn.in.Reset(io.TeeReader(conn.Conn, &raw))
	fields := "Host: a\r\nX-To: " + kind
	conn.send(t, lines(method+" / HTTP/1.1", fields, fmt.Sprintf("X-Case: bad-%d", i)))
	resp, err := http.ReadResponse(conn.in, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != 101 {
		resp, err = http.ReadResponse(conn.in, &http.Request{Method: method})
	}
	var broken error
	if err == nil {
		_, broken = io.ReadAll(resp.Body)
	}
	switch {
	case strings.Contains(raw.String(), "smuggled") && !c.either:
	case err != nil:
		t.Errorf("%s: %v", c.name, err)
	case resp.StatusCode == 502 && broken == nil, c.either && broken == nil, c.late && broken != nil:
		if resp.Close || broken != nil {
			return
		}
		conn.send(t, lines("GET / HTTP/1.1", fields))
		if resp, body, err := conn.try(); err == nil && (resp.StatusCode != 200 || body != "ok") || err != nil && !c.either {
			t.Errorf("%s: then %v, %q, %v; in all %q", c.name, resp, body, err, raw.String())
		}
		return
	}
	t.Errorf("%s: the client got %q, %v", c.name, raw.String(), broken)
}

// fromHTTP2 asks for the answer with HTTP/2.
func (c h2BadAnswer) fromHTTP2(t *testing.T, h *h2Conn, kind string, i int) {
	t.Helper()
	method := c.method
	if method == "" {
		method = "GET"
	}
	a := h.ask(true, h2Get(":method", method, h2To, kind, h2Case, fmt.Sprintf("bad-%d", i))).answer()
	switch bad := strings.Contains(a.body+h2Text(a.fields)+h2Text(a.trailers), "smuggled"); {
	case bad && !c.either:
		t.Errorf("%s: the client got %q %q", c.name, a.body, a.fields)
	case a.whole(502), c.either && a.ended, c.late && a.reset && !a.ended:
	default:
		t.Errorf("%s: %v", c.name, a)
	}
	if a := h.ask(true, h2Get(h2To, kind)).answer(); !a.whole(200) {
		t.Errorf("%s: then %v", c.name, a)
	}
}
