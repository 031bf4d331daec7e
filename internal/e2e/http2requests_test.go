package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Requests of HTTP/2 that HTTP/1 could not have carried, or that two servers may read in
// two ways: no byte of them reaches a backend, whatever it speaks.

// h2Odd is such a request.
type h2Odd struct {
	name     string
	fields   []h2Field
	data     []string               // frames; nil: the head ends the stream
	trailers []h2Field              // nil: the last DATA ends it
	late     bool                   // the fault comes after the head, which may have gone on
	endless  bool                   // the trailers do not end the stream
	pass     func(r h2Request) bool // what a backend must get; nil: nothing
}

const smuggle = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: smuggled\r\n\r\n"

// h2Refused are requests of which a backend must not hear.
func h2Refused() (list []h2Odd) {
	add := func(name string, pairs ...string) { list = append(list, h2Odd{name: name, fields: h2Get(pairs...)}) }
	for _, f := range h2Fields("transfer-encoding", "chunked", "transfer-encoding", "identity", "connection", "close", "connection", h2Case,
		"keep-alive", "timeout=5", "proxy-connection", "keep-alive", "upgrade", "h2c", "upgrade", "websocket", "te", "gzip", "te", "trailers, deflate") {
		add(f.name+": "+f.value, f.name, f.value)
	}
	for _, name := range []string{"X-Upper", "hosT", "", " x", "x ", "x y", "x:y", "x\ry", "x\ny", "x\r\nx-smuggled", "x\x00", "x\x01", "x\x7f", "x\x80", "x\xff", "x\t", "x(", "x\"", "x/y"} {
		add(fmt.Sprintf("name %q", name), name, "smuggled")
	}
	for _, value := range []string{"a\rb", "a\nb", "a\x00b", "\x00", "a\r\nx-smuggled: 1", smuggle, " a", "a ", "\ta", "a\t", "a\r\n b", "a\x01b", "a\x7fb"} {
		add(fmt.Sprintf("value %q", value), "x-value", value)
		add(fmt.Sprintf("value %q of a cookie", value), "cookie", value)
	}
	for _, path := range []string{"", "x", "a/b", "/a b", "/a\r\nx-smuggled: y", "/ HTTP/1.1\r\nhost: smuggled\r\n\r\n", "*", "http://smuggled/", "/a#b", "/\x00", "/\x7f", "/\xc3\xa4", "/\t", "?q", " /", "/ "} {
		add(fmt.Sprintf(":path %q", path), ":path", path)
	}
	for _, authority := range []string{"a/b", "u@a", "u:p@a.test", "a b", " a", "a,b", "a\r\nx-smuggled: b", "a?x", "a#x", "a:b", "[::1", "", "a\\b", "a\x00"} {
		add(fmt.Sprintf(":authority %q", authority), ":authority", authority)
		add(fmt.Sprintf("host %q", authority), ":authority", h2None, "host", authority)
	}
	for _, method := range []string{"", "G ET", "GET ", "GET /smuggled HTTP/1.1\r\nx: y", "GET\r\n", "GE\x00T", "(GET)", "GET:"} {
		add(fmt.Sprintf(":method %q", method), ":method", method)
	}
	for _, scheme := range []string{"", "ht tp", "http\r\nx-smuggled: y", "http:", "http://smuggled", "h\x00"} {
		add(fmt.Sprintf(":scheme %q", scheme), ":scheme", scheme)
	}
	add("no authority", ":authority", h2None)
	add("another host", "host", "b.test")
	add("two hosts", "host", "a.test", "host", "a.test")
	add("no method", ":method", h2None)
	add("no scheme", ":scheme", h2None)
	add("no path", ":path", h2None)
	add("pseudo-field of an answer", ":status", "200")
	add("unknown pseudo-field", ":foo", "1")
	add("upper-case pseudo-field", ":Path", "/smuggled")
	add("protocol of a GET", ":protocol", "websocket")
	add("CONNECT", ":method", "CONNECT", ":scheme", h2None, ":path", h2None, ":authority", "127.0.0.1:80")
	add("CONNECT with a path", ":method", "CONNECT")
	for _, f := range h2Get() {
		list = append(list, h2Odd{name: "two " + f.name, fields: append(h2Fields(f.name, f.value), h2Get()...)},
			h2Odd{name: f.name + " after a field", fields: append(h2Get(f.name, h2None, "x-first", "1"), f)})
	}
	return append(list, h2BadLengths()...)
}

// h2BadLengths are requests whose Content-Length is none, or does not fit their content.
func h2BadLengths() (list []h2Odd) {
	for _, length := range []string{"5, 6", "5, 5", "5,", "0x5", "+5", "-5", "five", "5 ", " 5", "5\x00", "5\r\nx: y", "5.0", "18446744073709551616", "99999999999999999999", "", "05 6", "5;"} {
		list = append(list, h2Odd{name: fmt.Sprintf("content-length %q", length), fields: h2Post("content-length", length), data: []string{"12345"}},
			h2Odd{name: fmt.Sprintf("content-length %q and no content", length), fields: h2Post("content-length", length)})
	}
	for _, pair := range [][]string{{"5", "5"}, {"5", "6"}, {"6", "5"}} {
		list = append(list, h2Odd{name: "content-length twice: " + strings.Join(pair, ", "),
			fields: h2Post("content-length", pair[0], "content-length", pair[1]), data: []string{"12345"}})
	}
	smuggled := "12345GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
	return append(list,
		h2Odd{name: "a length, and no content", fields: h2Post("content-length", "5")},
		h2Odd{name: "less than the length", fields: h2Post("content-length", "50"), data: []string{"12345"}, late: true},
		h2Odd{name: "less than the length, in two frames", fields: h2Post("content-length", "50"), data: []string{"12345", ""}, late: true},
		h2Odd{name: "less than the length, then trailers", fields: h2Post("content-length", "50"), data: []string{"12345"}, trailers: h2Fields("x-sum", "1"), late: true},
		h2Odd{name: "more than the length", fields: h2Post("content-length", "5"), data: []string{smuggled}, late: true},
		h2Odd{name: "more than the length, later", fields: h2Post("content-length", "5"), data: []string{"12345", smuggled}, late: true},
		h2Odd{name: "a length of 0 with content", fields: h2Post("content-length", "0"), data: []string{smuggled}, late: true},
	)
}

// h2BadTrailers are requests whose trailers are none. The request must not end well.
func h2BadTrailers() (list []h2Odd) {
	for _, f := range h2Fields(":path", "/smuggled", ":method", "GET", ":status", "200", ":foo", "x", "X-Upper", "1", "x y", "1", "", "1", "x:y", "1",
		"x-sum", "a\r\nb", "x-sum", "a\x00b", "x-sum", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n", "x\r\ny", "1", "x-sum", " a") {
		list = append(list, h2Odd{name: fmt.Sprintf("trailer %q: %q", f.name, f.value), fields: h2Post(), data: []string{"12345"}, trailers: []h2Field{f}, late: true})
	}
	return append(list, h2Odd{name: "trailers without an end", fields: h2Post(), data: []string{"12345"}, trailers: h2Fields("x-sum", "1"), endless: true, late: true})
}

// all returns the values of the fields of that name.
func (r h2Request) all(name string) (values []string) {
	for _, f := range r.fields {
		if f.name == name {
			values = append(values, f.value)
		}
	}
	return values
}

// host returns what r is for: Host, or :authority.
func (r h2Request) host() string {
	return strings.Join(append(r.all(":authority"), r.all("host")...), "|")
}

// h2Passed are requests that are not refused, and what arrives of them.
func h2Passed() (list []h2Odd) {
	add := func(name string, pass func(r h2Request) bool, pairs ...string) {
		list = append(list, h2Odd{name: name, fields: h2Get(pairs...), pass: pass})
	}
	add("the same host", func(r h2Request) bool { return r.host() == "a.test:80" }, ":authority", "a.test:80", "host", "a.test:80")
	add("host alone", func(r h2Request) bool { return r.host() == "b.test" }, ":authority", h2None, "host", "b.test")
	add("OPTIONS *", func(r h2Request) bool { return r.method == "OPTIONS" && r.target == "*" }, ":method", "OPTIONS", ":path", "*")
	add("a query", func(r h2Request) bool { return r.target == "/a?q=a|b&c={d}&%zz" }, ":path", "/a?q=a|b&c={d}&%zz")
	add("unknown method", func(r h2Request) bool { return r.method == "BREW" }, ":method", "BREW")
	add("crumbs of a cookie", func(r h2Request) bool {
		return strings.Join(r.all("cookie"), "; ") == "a=1; b=2; c=3" && (r.kind != "http1" || len(r.all("cookie")) == 1)
	},
		"cookie", "a=1", "x-between", "1", "cookie", "b=2", "cookie", "c=3")
	add("te: trailers", func(r h2Request) bool { return strings.Join(r.all("te"), "|") == "trailers" }, "te", "trailers")
	add("an empty value", func(r h2Request) bool { return len(r.all("x-empty")) == 1 && r.all("x-empty")[0] == "" }, "x-empty", "")
	add("equal names", func(r h2Request) bool { return strings.Join(r.all("x-two"), "|") == "1|2" }, "x-two", "1", "x-two", "2")
	add("bytes beyond ASCII", func(r h2Request) bool { return strings.Join(r.all("x-high"), "|") == "\xc3\xa4\xff" }, "x-high", "\xc3\xa4\xff")
	add("aliases of framing", func(r h2Request) bool {
		return len(r.all("content_length"))+len(r.all("transfer_encoding"))+len(r.all("x_forwarded_for")) == 0 && r.all("x_other")[0] == "1"
	}, "content_length", "5", "transfer_encoding", "chunked", "x_forwarded_for", "smuggled", "x_other", "1")
	add("claims", func(r h2Request) bool { return strings.Join(r.all("x-forwarded-for"), "|") == "127.0.0.1" }, "x-forwarded-for", "6.6.6.6", "forwarded", "for=6.6.6.6")
	add("http2-settings", func(r h2Request) bool { return len(r.all("http2-settings")) == 0 }, "http2-settings", "AAMAAABk")
	chunked := func(r h2Request) bool {
		return r.kind != "http1" || r.in.ContentLength == -1 || r.in.ContentLength == 5
	}
	list = append(list,
		h2Odd{name: "a length", fields: h2Post("content-length", "5"), data: []string{"12", "345"}, pass: func(r h2Request) bool { return r.body == "12345" && strings.Join(r.all("content-length"), "|") == "5" }},
		h2Odd{name: "no length", fields: h2Post(), data: []string{"12", "", "345", ""}, pass: func(r h2Request) bool { return r.body == "12345" && chunked(r) }},
		h2Odd{name: "no content", fields: h2Post(), pass: func(r h2Request) bool { return r.body == "" && len(r.all("transfer-encoding")) == 0 }},
		h2Odd{name: "a length of 0", fields: h2Post("content-length", "0"), pass: func(r h2Request) bool { return r.body == "" }},
		h2Odd{name: "trailers", fields: h2Post("trailer", "x-sum"), data: []string{"12345"}, trailers: h2Fields("x-sum", "five", "x-more", "1"), pass: func(r h2Request) bool {
			return r.body == "12345" && h2Value(r.trailers, "x-sum") == "five" && chunked(r)
		}})
	for _, f := range h2Fields("content-length", "1", "host", "smuggled", "transfer-encoding", "chunked", "connection", "close", "authorization", "smuggled", "cookie", "smuggled", "x-forwarded-for", "6.6.6.6", "content_length", "1") {
		list = append(list, h2Odd{name: "trailer " + f.name, fields: h2Post(), data: []string{"12345"}, trailers: h2Fields("x-sum", "five", f.name, f.value), late: true,
			pass: func(r h2Request) bool { return h2Value(r.trailers, f.name) == "" }})
	}
	return list
}

// TestHTTP2Requests sends the requests to backends of each protocol. After each of them
// the conn goes on.
func TestHTTP2Requests(t *testing.T) {
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		l := startH2(t, mode, "", "", "", nil)
		t.Run("all", func(t *testing.T) {
			for front, addr := range map[string]string{"clear": l.clear, "secure": l.secure} {
				for _, kind := range h2Kinds {
					if front == "secure" && kind != "http1" {
						continue // the same session, and the same backends
					}
					t.Run(front+" to "+kind, func(t *testing.T) {
						t.Parallel()
						p := &h2Player{l: l, addr: addr, kind: kind}
						for i, c := range append(append(h2Refused(), h2BadTrailers()...), h2Passed()...) {
							p.play(t, fmt.Sprintf("%s-%d", front, i), c)
						}
					})
				}
			}
		})
		for kind, o := range l.origins {
			for _, r := range o.all() {
				if strings.Contains(r.text+r.body+h2Text(r.trailers), "smuggled") && !strings.Contains(r.text, "after-") {
					t.Errorf("%s got %q", kind, r.text)
				}
			}
		}
	})
}

// all returns the requests that have come.
func (o *h2Origin) all() (list []h2Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.seen {
		list = append(list, *r)
	}
	return list
}

// h2Player sends odd requests on one conn.
type h2Player struct {
	l          *h2Lab
	addr, kind string
	conn       *h2Conn
}

// play sends c and checks both sides, and that the next request on the conn is answered.
func (p *h2Player) play(t *testing.T, id string, c h2Odd) {
	t.Helper()
	if p.conn == nil || p.conn.next > 80 { // more faults of one conn are a flood
		p.conn = h2Client(t, p.addr)
	}
	a := p.send(id, c)
	got := p.l.origins[p.kind].of(id)
	switch {
	case c.pass == nil || c.late && a.status != 200:
		if !a.reset && (a.status < 400 || a.status > 599) || a.status >= 500 && a.status != 501 {
			t.Errorf("%s: %v; want 400 or a reset", c.name, a)
		}
		for _, r := range got {
			if !c.late || r.whole {
				t.Errorf("%s: the backend got %q with %q, whole: %v", c.name, r.text, r.body, r.whole)
			}
		}
	case len(got) != 1 || a.status != 200:
		t.Errorf("%s: %d requests at the backend, and %v; want one, and 200", c.name, len(got), a)
	case !c.pass(got[0]) || !got[0].whole:
		t.Errorf("%s: the backend got %q with %q, trailers %q, whole: %v", c.name, got[0].text, got[0].body, got[0].trailers, got[0].whole)
	}
	next := p.conn.ask(true, h2Get(h2To, p.kind, h2Case, "after-"+id)).answer()
	if !next.whole(200) {
		t.Errorf("%s: the next request on the conn: %v, GOAWAY %v", c.name, next, p.conn.goaways)
		p.conn = nil
	}
}

// send sends c, frame by frame, and returns the answer.
func (p *h2Player) send(id string, c h2Odd) h2Answer {
	fields := append(c.fields, h2Fields(h2To, p.kind, h2Case, id)...)
	s := p.conn.ask(c.data == nil, fields)
	for i, text := range c.data {
		s.data(i == len(c.data)-1 && c.trailers == nil, []byte(text))
	}
	if c.trailers != nil {
		s.head(!c.endless, c.trailers)
	}
	return s.answer()
}
