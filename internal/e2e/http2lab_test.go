package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// lb with HTTP/2 on both sides: clients in the clear and over TLS, and a backend for
// each protocol, which notes the bytes that it gets.

// h2Kinds are the protocols of backends. The field X-To of a request chooses one.
var h2Kinds = []string{"http1", "h2c", "h2"}

// h2Case finds a request at the backends; h2To chooses the backend.
const h2Case, h2To = "x-case", "x-to"

// h2Lab is lb between such clients and backends.
type h2Lab struct {
	*process
	clear, secure string // listeners
	origins       map[string]*h2Origin
}

// startH2 starts lb with more tables and more keys at the top, between raw backends. Every
// pool has the lines of pool. A backend answers as answer says; nil: 200 with "ok".
func startH2(t *testing.T, mode, keys, tables, pool string, answer func(r *h2Request)) *h2Lab {
	t.Helper()
	if answer == nil {
		answer = func(r *h2Request) { r.reply(200, nil, "ok") }
	}
	origins, addrs := map[string]*h2Origin{}, map[string]string{}
	for _, kind := range h2Kinds {
		origins[kind] = newH2Origin(t, kind, answer)
		addrs[kind] = origins[kind].addr
	}
	dir := t.TempDir()
	l := &h2Lab{origins: origins, secure: testkit.FreePort(t)}
	s := setup{admin: true, keys: keys, backends: to(addrs["http1"]), tables: tables + h2Pools(t, dir, pool, addrs),
		listeners: []string{"127.0.0.1:0", l.secure + "\ntls = true"}}
	l.process = start(t, mode, s.withCert(t, dir))
	l.clear = l.addr
	noteListener(t, l.secure, true)
	return l
}

// h2Pools are pools for backends of each kind at addrs, with the lines of pool, and the
// routes to them. Files are in dir.
func h2Pools(t *testing.T, dir, pool string, addrs map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range h2Kinds {
		host, port, _ := net.SplitHostPort(addrs[kind])
		fmt.Fprintf(&b, "[[pools]]\nname = %q\nprotocol = %q\n%s", kind, kind, pool)
		if kind == "h2" {
			fmt.Fprintf(&b, "[pools.tls]\nca = %q\nserver_name = \"localhost\"\n", ca(t).Write(t, dir, "backends"))
		}
		fmt.Fprintf(&b, "[[pools.backends]]\nhost = %q\nport = %s\n", host, port)
		if kind == "h2" {
			b.WriteString("tls = true\n")
		}
		fmt.Fprintf(&b, "[[routes]]\nheaders = { \"x-to\" = %q }\npool = %q\n", kind, kind)
	}
	return b.String()
}

// h2Client opens an HTTP/2 conn to addr, over TLS if lb speaks that there. Its SETTINGS
// are pairs.
func h2Client(t testing.TB, addr string, pairs ...uint32) *h2Conn {
	t.Helper()
	h, err := tryH2(addr, pairs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.end(t) })
	return h
}

// tryH2 is h2Client for any goroutine, which has to close the conn.
func tryH2(addr string, pairs ...uint32) (*h2Conn, error) {
	c, err := connectH2(addr)
	if err != nil {
		return nil, err
	}
	return newH2Conn(c, false, h2Settings(pairs...)).start(), nil
}

// connectH2 opens the conn on which a client may speak HTTP/2.
func connectH2(addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: testkit.Patience}
	cfg, is := secureAddrs.Load(addr)
	if !is {
		return d.Dial("tcp", addr)
	}
	own := cfg.(*tls.Config).Clone()
	own.NextProtos = []string{"h2", "http/1.1"}
	c, err := tls.DialWithDialer(&d, "tcp", addr, own)
	if err == nil && c.ConnectionState().NegotiatedProtocol != "h2" {
		c.Close()
		return nil, errors.New("ALPN has not chosen h2")
	}
	return c, err
}

// dialH2 is connectH2 for the goroutine of the test.
func dialH2(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := connectH2(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// end closes h and wants lb to have kept the rules on it.
func (h *h2Conn) end(t testing.TB) {
	t.Helper()
	h.close()
	for _, fault := range h.odd {
		t.Errorf("lb has sent: %s", fault)
	}
}

// h2Request is a request at a backend.
type h2Request struct {
	kind           string
	id             string // X-Case
	method, target string
	text           string    // what came up to the body: bytes of HTTP/1, else fields as lines
	fields         []h2Field // with names in lower case
	body           string
	trailers       []h2Field
	whole          bool // came to its end
	stream         *h2Stream
	conn           net.Conn
	in             *http.Request
	closed         *atomic.Bool // the conn of HTTP/1 goes no further
}

// h2Origin is a backend that speaks one protocol.
type h2Origin struct {
	kind, addr string
	answer     func(r *h2Request)
	settings   []uint32 // of ours
	manual     bool     // opens no window
	early      bool     // answer begins with the head, and reads the body itself

	mu    sync.Mutex
	seen  []*h2Request
	conns []*h2Conn
	bad   []string // bytes of HTTP/1 that are no request
}

// newH2Origin starts a backend. At the end of the test it ends, and lb must have kept the
// rules.
func newH2Origin(t *testing.T, kind string, answer func(r *h2Request)) *h2Origin {
	t.Helper()
	o := &h2Origin{kind: kind, answer: answer}
	pair := named(t).TLS(t)
	o.addr = script(t, func(c net.Conn) {
		switch kind {
		case "http1":
			o.serveHTTP1(c)
			return
		case "h2":
			secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
			if secure.Handshake() != nil || secure.ConnectionState().NegotiatedProtocol != "h2" {
				return // a check of health may be another protocol
			}
			c = secure
		case "https1":
			o.serveHTTP1(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}))
			return
		}
		o.serveHTTP2(c)
	})
	t.Cleanup(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, bad := range o.bad {
			t.Errorf("%s backend: got %q, which is no request", kind, bad)
		}
		for _, h := range o.conns {
			h.mu.Lock()
			for _, fault := range h.odd {
				t.Errorf("%s backend: lb has sent: %s", kind, fault)
			}
			h.mu.Unlock()
		}
	})
	return o
}

// serveHTTP1 serves a conn of HTTP/1.
func (o *h2Origin) serveHTTP1(c net.Conn) {
	o.mu.Lock()
	early := o.early
	o.mu.Unlock()
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		raw.Reset()
		req, err := http.ReadRequest(in)
		if err != nil {
			if raw.Len() > 0 {
				o.mu.Lock()
				o.bad = append(o.bad, raw.String())
				o.mu.Unlock()
			}
			return
		}
		text, _, _ := strings.Cut(raw.String(), "\r\n\r\n")
		r := &h2Request{kind: o.kind, id: req.Header.Get(h2Case), method: req.Method, target: req.RequestURI, text: text + "\r\n\r\n", conn: c, in: req, closed: new(atomic.Bool)}
		for _, line := range strings.Split(text, "\r\n")[1:] {
			name, value, _ := strings.Cut(line, ": ")
			r.fields = append(r.fields, h2Field{strings.ToLower(name), value})
		}
		o.note(r)
		if !early {
			r.readBody(o)
		}
		if !r.whole && !early {
			return
		}
		if o.answer(r); r.closed.Load() {
			return
		}
	}
}

// readBody takes the rest of the request.
func (r *h2Request) readBody(o *h2Origin) {
	var body string
	var trailers []h2Field
	whole := false
	if r.in != nil {
		b, err := io.ReadAll(r.in.Body)
		body, whole = string(b), err == nil
		for name, values := range r.in.Trailer {
			trailers = append(trailers, h2Field{strings.ToLower(name), strings.Join(values, ", ")})
		}
	} else {
		a := r.stream.answer()
		body, trailers, whole = a.body, a.trailers, a.ended && !a.reset
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r.body, r.trailers, r.whole = body, trailers, whole
}

// serveHTTP2 serves a conn of HTTP/2.
func (o *h2Origin) serveHTTP2(c net.Conn) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	o.mu.Lock()
	h := newH2Conn(c, true, h2Settings(o.settings...))
	early := o.early
	h.manual = o.manual
	o.conns = append(o.conns, h)
	o.mu.Unlock()
	h.onHead = func(s *h2Stream) {
		a := s.sofar()
		r := &h2Request{kind: o.kind, id: h2Value(a.fields, h2Case), method: h2Value(a.fields, ":method"), target: h2Value(a.fields, ":path"),
			text: h2Text(a.fields) + "\r\n", fields: a.fields, stream: s, closed: new(atomic.Bool)}
		o.note(r)
		if !early {
			r.readBody(o)
		}
		if r.whole || early {
			o.answer(r)
		}
	}
	h.start()
	h.read.Wait()
	h.close()
}

func (o *h2Origin) note(r *h2Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, r)
}

// of returns the requests with that X-Case.
func (o *h2Origin) of(id string) (list []h2Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.seen {
		if r.id == id {
			list = append(list, *r)
		}
	}
	return list
}

// reply answers r with a status, fields and a body with its length.
func (r *h2Request) reply(status int, fields []h2Field, body string) {
	fields = append(slices.Clone(fields), h2Field{"content-length", fmt.Sprint(len(body))})
	if r.stream == nil {
		fmt.Fprintf(r.conn, "HTTP/1.1 %d OK\r\n%s\r\n%s", status, h2Text(fields), body)
		return
	}
	r.stream.head(body == "", append(h2Fields(":status", fmt.Sprint(status)), fields...))
	if body != "" {
		r.stream.data(true, []byte(body))
	}
}

// h2Get are the fields of a GET, with more or other fields: a pseudo-field replaces that
// of the same name, and one whose value is h2None is left out.
func h2Get(pairs ...string) []h2Field {
	list := h2Fields(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.test")
	for _, f := range h2Fields(pairs...) {
		at := slices.IndexFunc(list, func(g h2Field) bool { return g.name == f.name && strings.HasPrefix(f.name, ":") })
		switch {
		case at < 0:
			list = append(list, f)
		case f.value == h2None:
			list = slices.Delete(list, at, at+1)
		default:
			list[at].value = f.value
		}
	}
	return list
}

const h2None = "\xff"

// h2Post are the fields of a POST.
func h2Post(pairs ...string) []h2Field {
	return h2Get(append([]string{":method", "POST"}, pairs...)...)
}
