package rewrite

import (
	"net/netip"
	"strings"
	"testing"

	"lb/proxy/front"

	"lb/config"
	"lb/httpparse"
)

const (
	line      = "GET /p?q HTTP/1.1\r\n"
	forwarded = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
)

// requestCase is a request from 192.0.2.1 and the head for its backend.
type requestCase struct {
	name, in, want string
	upgrade        string            // Request.Upgrade afterwards
	framing        httpparse.Framing // Request.Framing afterwards
}

// get is a GET in HTTP/1.1 with these field lines after Host.
func get(fields string) string { return line + "Host: a\r\n" + fields + "\r\n" }

// sent is the head that a stranger's GET becomes, with kept before lb's own field lines and
// added after them.
func sent(kept, added string) string {
	return line + "Host: a\r\n" + kept + forwarded + added + "\r\n"
}

// forgeries are fields that a stranger could forge.
const forgeries = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.1.1.1\r\n"

var requestCases = []requestCase{
	{name: "nothing to change", in: get("Accept: */*\r\n"), want: sent("Accept: */*\r\n", "")},
	{name: "white space", in: get("A:b\r\nC: \t d \r\n"), want: sent("A: b\r\nC: d\r\n", "")},
	{name: "forgeries", in: get("A: b\r\n" + forgeries), want: sent("A: b\r\n", "")},
	{name: "hop by hop", in: get("Connection: close, X-Hop, TE\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nTE: trailers\r\nX-Hop: 1\r\nHTTP2-Settings: A\r\nA: b\r\n"),
		want: sent("A: b\r\n", "TE: trailers\r\nConnection: TE\r\n")},
	{name: "absolute form", in: "GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n",
		want: "GET /?q HTTP/1.1\r\nHost: b:81\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: b:81\r\n\r\n"},
	{name: "asterisk", in: "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", want: "OPTIONS * HTTP/1.1\r\nHost: a\r\n" + forwarded + "\r\n"},
	{name: "empty Host", in: "GET /p?q HTTP/1.1\r\nHost:\r\n\r\n",
		want: line + "Host: \r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n"},
	{name: "another method, empty lines first", in: "\r\n\r\nBREW /p?q HTTP/1.1\r\nHost: a\r\n\r\n",
		want: "BREW /p?q HTTP/1.1\r\nHost: a\r\n" + forwarded + "\r\n"},

	{name: "1.0", in: "GET /p?q HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n", want: sent("", "")},
	{name: "1.0 without Host", in: "GET /p?q HTTP/1.0\r\n\r\n",
		want: line + "Host: \r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\r\n"},
	{name: "1.0, upgrade", in: "GET /p?q HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", want: sent("", "")},
	{name: "1.1, Expect", in: get("Expect: 100-continue\r\nContent-Length: 1\r\n"),
		want: sent("Expect: 100-continue\r\n", "Content-Length: 1\r\n"), framing: httpparse.Length},

	{name: "length 0", in: get("Content-Length: 0\r\n"), want: sent("", "Content-Length: 0\r\n"), framing: httpparse.Length},
	{name: "longest length", in: get("Content-Length: 9223372036854775807\r\n"),
		want: sent("", "Content-Length: 9223372036854775807\r\n"), framing: httpparse.Length},
	{name: "chunked", in: get("Trailer: X\r\nTransfer-Encoding: Chunked\r\n"),
		want: sent("Trailer: X\r\n", "Transfer-Encoding: chunked\r\n"), framing: httpparse.Chunked},
	{name: "Trailer without chunks", in: get("Trailer: X\r\n"), want: sent("", "")},

	{name: "websocket", in: get("Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"),
		want: sent("Sec-WebSocket-Key: k\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), upgrade: "websocket"},
	{name: "another protocol", in: get("Connection: Upgrade\r\nUpgrade: WebSocket/13\r\n"),
		want: sent("", "Connection: Upgrade\r\nUpgrade: WebSocket/13\r\n"), upgrade: "WebSocket/13"},
	{name: "upgrade list", in: get("Upgrade: websocket, a\r\nConnection: upgrade\r\nUpgrade: b\r\n"),
		want: sent("", "Connection: Upgrade\r\nUpgrade: websocket, a, b\r\n"), upgrade: "websocket, a, b"},
	{name: "h2c", in: get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"), want: sent("", "")},
	{name: "h2c in a list", in: get("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: a, H2C\r\n"), want: sent("", "")},
	{name: "upgrade without the option", in: get("Upgrade: websocket\r\n"), want: sent("", "")},
	{name: "the option without upgrade", in: get("Connection: upgrade\r\n"), want: sent("", "")},
	{name: "upgrade with a body", in: get("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"),
		want: sent("", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"), framing: httpparse.Length, upgrade: "websocket"},
}

func TestAppendHead(t *testing.T) {
	for _, tc := range requestCases {
		tc.check(t, &Request{Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Hops: -1})
	}
}

// check compares the head that r makes of the case's request, after HideForged, with the case.
func (tc requestCase) check(t *testing.T, r *Request) {
	t.Helper()
	r.Message, r.Text = parse(t, tc.in), []byte(tc.in)
	r.Message.HideForged(r.Text, r.Peer.Trusted, nil)
	bound := r.HeadBytes()
	got, ok := strings.CutPrefix(string(r.AppendHead([]byte("before "))), "before ")
	if got != tc.want || !ok || r.Upgrade != tc.upgrade || r.Framing != tc.framing {
		t.Errorf("%s: got\n%swant\n%supgrade %q, framing %d", tc.name, got, tc.want, r.Upgrade, r.Framing)
	}
	if len(got) > bound {
		t.Errorf("%s: %d bytes, HeadBytes says %d", tc.name, len(got), bound)
	}
}

// TestAppendHeadOfStream: the body of a stream has no HTTP/1 framing. lb sends it with its
// length, or else in chunks, which may have trailers. So may every stream to a backend.
func TestAppendHeadOfStream(t *testing.T) {
	for _, tc := range []struct {
		length  int64
		streams bool
		want    string
		framing httpparse.Framing
	}{
		{-1, false, sent("Trailer: X\r\n", "Transfer-Encoding: chunked\r\n"), httpparse.Chunked},
		{-1, true, sent("Trailer: X\r\n", "Transfer-Encoding: chunked\r\n"), httpparse.Chunked},
		{5, false, sent("", "Content-Length: 5\r\n"), httpparse.Length},
		{5, true, sent("Trailer: X\r\n", "Content-Length: 5\r\n"), httpparse.Chunked},
	} {
		in := get("Trailer: X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
		r := Request{Message: parse(t, in), Text: []byte(in), Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Hops: -1}
		r.Message.Framing, r.Message.Length, r.Streams = httpparse.Stream, tc.length, tc.streams
		if got := string(r.AppendHead(nil)); got != tc.want || r.Framing != tc.framing || r.Upgrade != "" {
			t.Errorf("length %d, streams %t: got\n%swant\n%sframing %d, upgrade %q", tc.length, tc.streams, got, tc.want, r.Framing, r.Upgrade)
		}
	}
}

// TestAppendMarks: with Marks, what came as never to be indexed stays marked, the path and the
// host too, unless the route sets the host.
func TestAppendMarks(t *testing.T) {
	in := strings.Replace(get("X-A:\t1\r\nX-B: 2\r\n"), "Host: ", "Host:\t", 1)
	marked := strings.Replace(sent("X-A:\t1\r\nX-B: 2\r\n", ""), "Host: ", "Host:\t", 1)
	for _, tc := range []struct {
		marks, path bool
		host, want  string
	}{
		{false, true, "", sent("X-A: 1\r\nX-B: 2\r\n", "")},
		{true, false, "", marked},
		{true, true, "", strings.Replace(marked, " HTTP/1.1", "\tHTTP/1.1", 1)},
		{true, false, "b", strings.Replace(marked, "Host:\ta", "Host: b", 1)},
	} {
		r := Request{Message: parse(t, in), Text: []byte(in), Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Hops: -1}
		r.Message.Marks, r.Message.Marked = tc.marks, tc.path
		if tc.host != "" {
			r.Route = &Route{Config: new(config.Route), host: tc.host}
		}
		if got := string(r.AppendHead(nil)); got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}

// TestAppendForwarded: a trusted client's fields about the origin are passed on, and its
// address is added; a stranger's fields are replaced. A unix socket has no address.
func TestAppendForwarded(t *testing.T) {
	const (
		ours  = "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
		proto = "X-Forwarded-Proto: https\r\n"
		host  = "X-Forwarded-Host: b\r\n"
	)
	for _, tc := range []struct {
		name, peer     string
		trusted        bool
		fields, passed string // passed is the part of fields that goes on
		added          string
	}{
		{"IPv6", "2001:db8::1", false, "", "", "X-Forwarded-For: 2001:db8::1\r\n" + ours},
		{"unix", "", false, forgeries, "", ours},
		{"trusted", "192.0.2.1", true, "", "", "X-Forwarded-For: 192.0.2.1\r\n" + ours},
		{"trusted IPv6, all fields", "2001:db8::1", true, "X-Forwarded-For: 1.1.1.1\r\n" + proto + host + "Forwarded: for=x\r\n", proto + host + "Forwarded: for=x\r\n",
			"X-Forwarded-For: 1.1.1.1, 2001:db8::1\r\n"},
		{"trusted, proto alone", "192.0.2.1", true, proto, proto, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: a\r\n"},
		{"trusted, host alone", "192.0.2.1", true, host, host, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"},
		{"trusted, lists", "192.0.2.1", true, "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For:\r\nX-Forwarded-For: 3.3.3.3\r\n", "",
			"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\r\n" + ours},
		{"trusted, nominated", "192.0.2.1", true, "Connection: X-Forwarded-For, X-Forwarded-Proto\r\nX-Forwarded-For: 1.1.1.1\r\n" + proto + "X-Real-IP: 1.1.1.1\r\n",
			proto + "X-Real-IP: 1.1.1.1\r\n", "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Host: a\r\n"},
		{"trusted unix", "", true, "", "", ours},
		{"trusted unix, list", "", true, "X-Forwarded-For: 1.1.1.1\r\n", "", "X-Forwarded-For: 1.1.1.1, unknown\r\n" + ours},
	} {
		c := requestCase{name: tc.name, in: get(tc.fields), want: line + "Host: a\r\n" + tc.passed + tc.added + "\r\n"}
		c.check(t, &Request{Config: new(config.Config), Peer: newPeer(tc.peer, tc.trusted), Hops: -1})
	}
}

// TestAppendHeadByRoute: a route sets fields, among them Host, and strips its path.
func TestAppendHeadByRoute(t *testing.T) {
	set := []config.Field{{Name: "Host", Value: "inner:80"}, {Name: "X-A", Value: "1"}, {Name: "X-Forwarded-For", Value: "x"}}
	strip := config.Route{Path: "/api", StripPrefix: true}
	for _, tc := range []struct {
		name     string
		route    config.Route
		in, want string
	}{
		{"fields", config.Route{Path: "/", SetRequestHeaders: set}, get("x-a: 2\r\nB: c\r\nX-A: 3\r\n"),
			line + "Host: inner:80\r\nB: c\r\nX-A: 1\r\nX-Forwarded-For: x\r\n" + forwarded + "\r\n"},
		{"fields without Host", config.Route{Path: "/", SetRequestHeaders: set[1:2]}, get("B: c\r\n"), sent("B: c\r\nX-A: 1\r\n", "")},
		{"strip", strip, stripped("/api/x?q"), stripped("/x?q")},
		{"strip all", strip, stripped("/api"), stripped("/")},
		{"strip to a slash", strip, stripped("/api/"), stripped("/")},
		{"strip to a query", strip, stripped("/api?q"), stripped("/?q")},
		{"strip to slashes", strip, stripped("/api//evil.example"), stripped("/evil.example")},
		{"strip once", strip, stripped("/api/api"), stripped("/api")},
		{"do not strip", config.Route{Path: "/api"}, stripped("/api/x"), stripped("/api/x")},
	} {
		if !strings.Contains(tc.want, forwarded) {
			tc.want = strings.TrimSuffix(tc.want, "\r\n") + forwarded + "\r\n"
		}
		route := NewRoute(&tc.route, false, &Tags{})
		requestCase{name: tc.name, in: tc.in, want: tc.want}.check(t, &Request{Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Route: &route, Hops: -1})
	}
}

// stripped is a GET of this target.
func stripped(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }

// TestHopsAndVia: Max-Forwards is replaced if it is to be passed on, and Via is added.
func TestHopsAndVia(t *testing.T) {
	const via = "Via: 1.1 lb\r\n"
	for _, tc := range []struct {
		name, fields, want, via string
		hops                    int64
	}{
		{"Max-Forwards of no concern", "Max-Forwards: 5\r\n", sent("Max-Forwards: 5\r\n", ""), "", -1},
		{"last hop", "Max-Forwards: 1\r\n", sent("", "Max-Forwards: 0\r\n"), "", 0},
		{"many hops", "Max-Forwards: 99\r\n", sent("", "Max-Forwards: 98\r\n"), "", 98},
		{"Via", "", sent("", via), via, -1},
		{"Via of others, and Max-Forwards", "Via: 1.0 x\r\nMax-Forwards: 2\r\n", sent("Via: 1.0 x\r\n", "Max-Forwards: 1\r\n"+via), via, 1},
	} {
		requestCase{name: tc.name, in: get(tc.fields), want: tc.want}.check(t, &Request{Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Via: []byte(tc.via), Hops: tc.hops})
	}
}

// TestOrigin: the last address in the list that is not a trusted proxy's. An entry that is
// no address ends the search at the address before it.
func TestOrigin(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, tc := range []struct {
		name, peer string
		trusted    bool
		fields     string
		want       string
	}{
		{"stranger", "192.0.2.1", false, "X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.1"},
		{"unix", "", false, "X-Forwarded-For: 1.1.1.1\r\n", ""},
		{"trusted, no list", "10.0.0.1", true, "", "10.0.0.1"},
		{"trusted, empty list", "10.0.0.1", true, "X-Forwarded-For:\r\n", "10.0.0.1"},
		{"one", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
		{"last of several", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n", "2.2.2.2"},
		{"beyond proxies", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1,2.2.2.2 ,\t10.0.0.3\r\nX: y\r\nX-Forwarded-For: 2001:db8::2\r\n", "2.2.2.2"},
		{"all trusted", "10.0.0.1", true, "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", "10.0.0.3"},
		{"IPv6", "2001:db8::1", true, "X-Forwarded-For: fe80::1\r\n", "fe80::1"},
		{"unknown last", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1, unknown\r\n", "10.0.0.1"},
		{"no address in between", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2\r\n", "10.0.0.2"},
		{"with ports", "10.0.0.1", true, "X-Forwarded-For: 1.1.1.1:80, 10.0.0.2:99\r\n", "1.1.1.1"},
		{"IPv6 with ports", "10.0.0.1", true, "X-Forwarded-For: [2001:DB9::1]:80, [2001:db8::1]:99\r\n", "2001:db9::1"},
		{"mapped", "10.0.0.1", true, "X-Forwarded-For: ::ffff:1.1.1.1, ::ffff:10.0.0.2\r\n", "1.1.1.1"},
		{"empty elements", "10.0.0.1", true, "X-Forwarded-For: ,1.1.1.1,,\r\n", "1.1.1.1"},
		{"Forwarded", "10.0.0.1", true, "Forwarded: for=2.2.2.2, For=\"[2001:db9::1]:80\";proto=https\r\nForwarded: for=10.0.0.3:1\r\n", "2001:db9::1"},
		{"both", "10.0.0.1", true, "Forwarded: for=2.2.2.2\r\nX-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
		{"Forwarded, hidden", "10.0.0.1", true, "Forwarded: for=2.2.2.2, for=_a;proto=http\r\n", "10.0.0.1"},
		{"Forwarded, without for", "10.0.0.1", true, "Forwarded: for=2.2.2.2, proto=http\r\n", "10.0.0.1"},
		{"Forwarded, open quotes", "10.0.0.1", true, "Forwarded: for=2.2.2.2, for=\"\r\n", "10.0.0.1"},
		{"Forwarded of a stranger", "192.0.2.1", false, "Forwarded: for=2.2.2.2\r\n", "192.0.2.1"},
		{"unix, trusted", "", true, "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"},
	} {
		in := get(tc.fields)
		r := Request{Message: parse(t, in), Text: []byte(in), Peer: newPeer(tc.peer, tc.trusted), Config: &config.Config{TrustedProxies: networks}}
		if got := string(r.Origin()); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRequestAllocations: the usual heads are written without an allocation.
func TestRequestAllocations(t *testing.T) {
	in := get("Connection: upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: 1.1.1.1\r\nX-A: 2\r\n")
	route := NewRoute(&config.Route{Path: "/p", StripPrefix: true, SetRequestHeaders: []config.Field{{Name: "X-A", Value: "1"}}}, false, &Tags{})
	cfg := &config.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Forwarded: true}
	r := Request{Message: parse(t, in), Text: []byte(in), Config: cfg, Peer: newPeer("192.0.2.1", true), Route: &route, Hops: 3}
	d := make([]byte, 0, r.HeadBytes())
	if n := testing.AllocsPerRun(100, func() { d = append(r.AppendHead(d[:0]), r.Origin()...) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestVia: a line says by which version the request came, without a name there is none.
func TestVia(t *testing.T) {
	v := NewVia("lb.example")
	h1, h2 := &front.Peer{}, &front.Peer{HTTP2: true}
	for want, got := range map[string][]byte{"1.0": v.For(h1, 0), "1.1": v.For(h1, 1), "2.0": v.For(h2, 1)} {
		if string(got) != "Via: "+want+" lb.example\r\n" {
			t.Errorf("%s: %q", want, got)
		}
	}
	if v = NewVia(""); len(v.For(h1, 0))+len(v.For(h1, 1))+len(v.For(h2, 1)) > 0 {
		t.Errorf("%q without a name", v)
	}
}
