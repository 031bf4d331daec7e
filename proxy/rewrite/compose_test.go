package rewrite

import (
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/grpc"
)

// composed is a Composer at the time of dated.
func composed() *Composer {
	c := NewComposer(func() time.Time { return time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC) })
	return &c
}

const dated = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

// parseAnswer returns the parsed response of a valid head.
func parseAnswer(t *testing.T, head string) (*httpparse.Response, []byte) {
	t.Helper()
	var p httpparse.ResponseParser
	p.Reset(&limits, httpparse.GET)
	b := []byte(head)
	if p.Feed(b) != httpparse.Done {
		t.Fatalf("%q: %v", head, p.Reason)
	}
	return &p.Response, b
}

// TestInterim: what goes on of a 1xx response has no Date and no length, and a 101 names
// its protocol.
func TestInterim(t *testing.T) {
	c := composed()
	for _, tc := range []struct{ head, phrase, upgrade string }{
		{"HTTP/1.1 103 Early\r\nUpgrade: x\r\n\r\n", "Early", ""},
		{"HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "Switching Protocols", "websocket"},
		{"HTTP/1.1 103 \r\nLink: </a>\r\n\r\n", "Early Hints", ""},
		{"HTTP/1.1 199 \r\n\r\n", "", ""},
	} {
		m, b := parseAnswer(t, tc.head)
		r := c.Interim(m, b)
		if r.Code != m.Code || string(r.Phrase) != tc.phrase || string(r.Upgrade) != tc.upgrade {
			t.Errorf("%q: %d %q, upgrade %q", tc.head, r.Code, r.Phrase, r.Upgrade)
		}
		if r.Message != &m.Message || len(r.Lines) > 0 || r.Length != -1 || r.Framing != httpparse.None || r.Drop != HopByHop {
			t.Errorf("%q: %+v", tc.head, r)
		}
	}
}

// TestFinal: lb adds the lines of the route, the cookie and a Date, unless one goes on.
func TestFinal(t *testing.T) {
	const theirs = "Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
	plain := NewRoute(&config.Route{SetResponseHeaders: []config.Field{{Name: "X-A", Value: "1"}}}, false, &Tags{})
	own := NewRoute(&config.Route{SetResponseHeaders: []config.Field{{Name: "Date", Value: "never"}}}, false, &Tags{})
	cookie := &Cookie{Name: "at", Value: "b1"}
	secure := &Cookie{Name: "at", Value: "b1", Secure: true}
	const set = "Set-Cookie: at=b1; Path=/; HttpOnly; SameSite=Lax"
	for _, tc := range []struct {
		fields string
		route  *Route
		cookie *Cookie
		want   string
	}{
		{"", nil, nil, dated},
		{theirs, nil, nil, ""},
		{theirs + "Connection: date\r\n", nil, nil, dated},
		{theirs + "Connection: x\r\n", nil, nil, ""},
		{"", &plain, nil, "X-A: 1\r\n" + dated},
		{theirs, &plain, nil, "X-A: 1\r\n"},
		{"", &own, cookie, "Date: never\r\n" + set + "\r\n"},
		{theirs, nil, secure, set + "; Secure\r\n"},
		{"", nil, cookie, set + "\r\n" + dated},
	} {
		m, b := parseAnswer(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"+tc.fields+"\r\n")
		r := composed().Final(m, b, tick.Instant(1), tc.route, true, tc.cookie, nil)
		if string(r.Lines) != tc.want {
			t.Errorf("%q: adds %q, want %q", tc.fields, r.Lines, tc.want)
		}
		if r.Code != 200 || string(r.Phrase) != "OK" || r.Framing != httpparse.Length || r.Length != 5 || !r.Keep || r.Own != nil || r.Upgrade != nil {
			t.Errorf("%q: %+v", tc.fields, r)
		}
	}
}

// TestFinalUpgrade: a 426 says to what, other answers do not.
func TestFinalUpgrade(t *testing.T) {
	for head, want := range map[string]string{
		"HTTP/1.1 426 No\r\nUpgrade: h2c\r\n\r\n": "h2c",
		"HTTP/1.1 426 No\r\n\r\n":                 "",
		"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\n\r\n": "",
	} {
		m, b := parseAnswer(t, head)
		if r := composed().Final(m, b, tick.Instant(1), nil, false, nil, nil); string(r.Upgrade) != want || r.Keep {
			t.Errorf("%q: upgrade %q, keep %t", head, r.Upgrade, r.Keep)
		}
	}
}

// TestOwn: a reply of lb's own says its code and why, and nothing without a text. Nothing is
// left of the reply before it.
func TestOwn(t *testing.T) {
	c := composed()
	m, b := parseAnswer(t, "HTTP/1.1 426 No\r\nUpgrade: h2c\r\nX: y\r\n\r\n")
	c.Final(m, b, tick.Instant(1), nil, true, nil, nil)
	for _, tc := range []struct {
		code       int
		text, body string
	}{
		{404, "no such path", "404 Not Found: no such path\n"},
		{308, "", ""},
		{500, "internal error", "500 Internal Server Error: internal error\n"},
	} {
		r, body := c.Own(tc.code, grpc.OK, tc.text, []byte("X-B: 2\r\n"), tick.Instant(1), true, nil)
		if string(body) != tc.body || r.Length != int64(len(tc.body)) {
			t.Errorf("%d: %q, length %d", tc.code, body, r.Length)
		}
		if r.Code != tc.code || string(r.Phrase) != string(Phrase(tc.code)) || string(r.Lines) != dated+"Content-Type: text/plain\r\n" || string(r.Own) != "X-B: 2\r\n" {
			t.Errorf("%d: %+v", tc.code, r)
		}
		if r.Message != nil || r.Upgrade != nil || r.Framing != httpparse.None || !r.Keep {
			t.Errorf("%d: %+v", tc.code, r)
		}
	}
}

// TestOwnForCall: the client of a call of gRPC learns the same from the fields of a head.
func TestOwnForCall(t *testing.T) {
	c := composed()
	for _, tc := range []struct {
		code          int
		text, message string
	}{
		{404, "no such path", "404 Not Found: no such path"},
		{503, "100%", "503 Service Unavailable: 100%25"},
		{308, "", "308 Permanent Redirect"},
	} {
		r, body := c.Own(tc.code, grpc.Unavailable, tc.text, []byte("X-B: 2\r\n"), tick.Instant(1), true, Strict("S: 1\r\n"))
		want := dated + "Content-Type: application/grpc\r\ngrpc-status: 14\r\ngrpc-message: " + tc.message + "\r\nS: 1\r\n"
		if string(r.Lines) != want || string(r.Own) != "X-B: 2\r\n" {
			t.Errorf("%d: %q, %q", tc.code, r.Lines, r.Own)
		}
		if r.Code != 200 || string(r.Phrase) != "OK" || body != nil || r.Length != 0 || r.Framing != httpparse.None || !r.Keep {
			t.Errorf("%d: %+v, body %q", tc.code, r, body)
		}
	}
}

// TestComposerAllocates: nothing, once its memory is there.
func TestComposerAllocates(t *testing.T) {
	c := composed()
	m, b := parseAnswer(t, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		r := c.Final(m, b, tick.Instant(1), nil, true, &Cookie{Name: "at", Value: "b1"}, nil)
		if ReplyBytes(r) < len(b)+len(r.Lines) {
			t.Error("the bound is less than the head")
		}
		c.Own(503, grpc.OK, "no backend can take the request", nil, tick.Instant(1), true, nil)
		c.Own(503, grpc.Unavailable, "no backend can take the request", nil, tick.Instant(1), true, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestStrict: what becomes of Strict-Transport-Security, by lb's own line and the client.
func TestStrict(t *testing.T) {
	if s := NewStrict(0); s != nil {
		t.Errorf("without a time: %q", s)
	}
	line := NewStrict(90*time.Minute + 999*time.Millisecond)
	if string(line) != "Strict-Transport-Security: max-age=5400\r\n" {
		t.Errorf("%q", line)
	}
	tls, plain := newPeer("192.0.2.1", false), newPeer("192.0.2.1", false)
	tls.Way = front.TLS
	for _, tc := range []struct {
		line   Strict
		peer   *front.Peer
		secure bool
		lines  string // that lb adds
		drops  bool   // the backend's
	}{
		{nil, tls, true, "", false}, {nil, plain, false, "", false},
		{line, tls, true, string(line), true}, {line, tls, false, string(line), true},
		{line, plain, false, "", true}, {line, plain, true, "", false},
	} {
		m, b := parseAnswer(t, "HTTP/1.1 200 OK\r\nDate: x\r\nStrict-Transport-Security: max-age=1\r\n\r\n")
		r := composed().Final(m, b, tick.Instant(1), nil, true, nil, tc.line.For(tc.peer, tc.secure))
		if string(r.Lines) != tc.lines || r.Drop.Has(httpparse.StrictTransport) != tc.drops {
			t.Errorf("%+v: adds %q, drops %t", tc, r.Lines, r.Drop.Has(httpparse.StrictTransport))
		}
		own, _ := composed().Own(503, grpc.OK, "no", nil, tick.Instant(1), true, tc.line.For(tc.peer, tc.secure))
		if strings.Contains(string(own.Lines), "Strict") != (tc.lines != "") {
			t.Errorf("%+v: lb's own has %q", tc, own.Lines)
		}
	}
	route := NewRoute(&config.Route{SetResponseHeaders: []config.Field{{Name: "strict-transport-security", Value: "x"}, {Name: "X-A", Value: "1"}}}, true, &Tags{})
	if string(route.response) != "X-A: 1\r\n" {
		t.Errorf("of a route: %q", route.response)
	}
}
