package heads

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"lb/httpparse"
)

// fieldsOf decodes a block by the decoder of x/net, as "name: value|".
func fieldsOf(t *testing.T, block []byte) string {
	t.Helper()
	fields, err := hpack.NewDecoder(0, nil).DecodeFull(block)
	if err != nil {
		t.Fatalf("%q: %v", block, err)
	}
	s := ""
	for _, f := range fields {
		s += f.Name + ": " + f.Value + "|"
	}
	return s
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "|", "\r\n")) }

func TestAppend(t *testing.T) { // RFC 9113 8.2, 8.3
	request := func(s string) []byte { return AppendRequest(nil, crlf(s), "https") }
	response := func(s string) []byte { return AppendResponse(nil, crlf(s)) }
	trailers := func(s string) []byte { return AppendTrailers(nil, crlf(s)) }
	for _, tc := range []struct {
		in   string
		as   func(string) []byte
		want string
	}{
		{"GET / HTTP/1.1|Host: a||", request, ":method: GET|:scheme: https|:path: /|:authority: a|"},
		{"POST /p?q HTTP/1.1|X: y|Host: a:1|Z: ||", request, ":method: POST|:scheme: https|:path: /p?q|:authority: a:1|x: y|z: |"},
		{"OPTIONS * HTTP/1.1|Host: a||", request, ":method: OPTIONS|:scheme: https|:path: *|:authority: a|"},
		{"PURGE / HTTP/1.1|host:a|User-Agent:  curl ||", request, ":method: PURGE|:scheme: https|:path: /|:authority: a|user-agent: curl|"},
		{"GET / HTTP/1.1||", request, ":method: GET|:scheme: https|:path: /|"},
		{"GET / HTTP/1.1|Host: a|Connection: close, x|Keep-Alive: 5|Proxy-Connection: close|Transfer-Encoding: chunked|Upgrade: h2c|HTTP2-Settings: AA|Hostile: h|TEA: t||", request,
			":method: GET|:scheme: https|:path: /|:authority: a|hostile: h|tea: t|"},
		{"GET / HTTP/1.1|Host: a|TE: gzip, Trailers|Expect: 100-continue||", request, ":method: GET|:scheme: https|:path: /|:authority: a|te: trailers|expect: 100-continue|"},
		{"GET / HTTP/1.1|Host: a|TE: gzip||", request, ":method: GET|:scheme: https|:path: /|:authority: a|"},
		{"GET / HTTP/1.1|Host: a|Cookie: a=b; c=d|Content-Length: 5||", request, ":method: GET|:scheme: https|:path: /|:authority: a|cookie: a=b; c=d|content-length: 5|"},
		{"HTTP/1.1 200 OK|Content-Length: 5|Host: x||", response, ":status: 200|content-length: 5|host: x|"},
		{"HTTP/1.1 404 ||", response, ":status: 404|"},
		{"HTTP/1.1 503||", response, ":status: 503|"},
		{"HTTP/1.1 103 Early Hints|Link: x||", response, ":status: 103|link: x|"},
		{"HTTP/1.1 200 OK|Connection: close|Transfer-Encoding: chunked|Sec-WebSocket-Accept: x||", response, ":status: 200|sec-websocket-accept: x|"},
		{"HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: websocket|Sec-WebSocket-Accept: x|Sec-WebSocket-Protocol: p||", response, ":status: 200|sec-websocket-protocol: p|"},
		{"Grpc-Status: 0|X: y|", trailers, "grpc-status: 0|x: y|"},
		{"Grpc-Status: 0||", trailers, "grpc-status: 0|"},
		{"|", trailers, ""},
		{"Connection: x|X: y|", trailers, "x: y|"},
	} {
		if got := fieldsOf(t, tc.as(tc.in)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.in, got, tc.want)
		}
	}
}

// browser is a usual browser's head.
var browser = []string{":method", "GET", ":authority", "www.example.com", ":scheme", "https", ":path", "/assets/app.js?v=3",
	"sec-ch-ua", `"Chromium";v="131"`, "sec-ch-ua-mobile", "?0", "user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
	"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "sec-fetch-site", "none", "sec-fetch-mode", "navigate",
	"accept-encoding", "gzip, deflate, br, zstd", "accept-language", "en-US,en;q=0.9", "cookie", "session=0123456789abcdef", "cookie", "theme=dark", "priority", "u=0, i"}

// FuzzRequest checks that what becomes of a block is refused, or is one head that
// httpparse reads, with the fields of the block and no more.
func FuzzRequest(f *testing.F) {
	for _, table := range [][]headCase{requestCases, fieldCases, lengthCases} {
		for _, tc := range table {
			f.Add(tc.block(usual))
		}
	}
	f.Add(block(browser...))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, table := desk()
		text, res := r.Request(make([]byte, 0, limits.HeadBytes), table, in, &limits, "a2V5", true)
		if res.Verdict != Whole {
			if len(text) > 0 && (res.Verdict != TooLarge || !bytes.HasSuffix(text, []byte("\r\n"))) {
				t.Fatalf("%v, with text %q", res.Verdict, text)
			}
			return
		}
		fields, err := hpack.NewDecoder(4096, nil).DecodeFull(in)
		if err != nil {
			t.Fatalf("%q: x/net: %v", in, err)
		}
		var p httpparse.RequestParser
		l := limits
		l.Fields += 3 // those of a WebSocket
		p.Reset(&l)
		switch st := p.Feed(text); {
		case st == httpparse.More || p.HeadLen != uint32(len(text)) && st == httpparse.Done:
			t.Fatalf("%q is not one head: %v, %d", text, st, p.HeadLen)
		case st == httpparse.Bad:
			mayRefuse(t, text, p.Reason)
			return
		}
		sameFields(t, fields, text, &p.Message, res)
		if res.Length >= 0 && p.Length != res.Length {
			t.Fatalf("%q: Content-Length %d and %d", text, p.Length, res.Length)
		}
		if !res.Connect && !res.WebSocket {
			again := AppendRequest(nil, text, "https")
			if len(again) > len(text)+len(text)/64+64 { // see h2.HeadRoom
				t.Fatalf("%d bytes of text became %d", len(text), len(again))
			}
			back, res := r.Request(make([]byte, 0, limits.HeadBytes), table, append([]byte{0x20}, again...), &limits, "", false)
			if res.Verdict != Whole || !sameLines(back, text) {
				t.Fatalf("%q came back as %q, %v %v", text, back, res.Verdict, res.Reason)
			}
		}
	})
}

// mayRefuse checks that httpparse refuses what it alone looks at.
func mayRefuse(t *testing.T, text []byte, r httpparse.Reason) {
	t.Helper()
	switch r {
	case httpparse.BadHost, httpparse.NoHost, httpparse.LongMethod, httpparse.LongTarget, httpparse.BadTarget, httpparse.BadAuthority:
	default:
		t.Fatalf("%q: httpparse refuses it: %v", text, r)
	}
}

// sameFields checks that the lines of text are the fields of a block, apart from those that are put together or made.
func sameFields(t *testing.T, fields []hpack.HeaderField, text []byte, m *httpparse.Message, res Result) {
	t.Helper()
	var want, got []string
	for _, f := range fields {
		if f.Name[0] != ':' && f.Name != "cookie" && f.Name != "host" && !(res.WebSocket && f.Name == "sec-websocket-key") {
			want = append(want, f.Name+": "+f.Value)
		}
	}
	for _, f := range m.Fields {
		if n := string(f.Name.Of(text)); n != "cookie" && n != "host" && !(res.WebSocket && slices.Contains([]string{"connection", "upgrade", "sec-websocket-key"}, n)) {
			got = append(got, n+": "+string(f.Value.Of(text)))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q has the fields %q, want %q", text, got, want)
	}
}

// sameLines reports whether a and b have the same lines, in any order.
func sameLines(a, b []byte) bool {
	x, y := strings.Split(string(a), "\r\n"), strings.Split(string(b), "\r\n")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// FuzzResponse is FuzzRequest for answers and trailers.
func FuzzResponse(f *testing.F) {
	for _, tc := range append(fieldCases, lengthCases...) {
		f.Add(tc.block(":status: 200"))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, table := desk()
		text, res := r.Response(make([]byte, 0, limits.HeadBytes), table, in, &limits)
		if res.Verdict == Whole {
			var p httpparse.ResponseParser
			p.Reset(&limits, httpparse.GET)
			if st := p.Feed(bytes.Clone(text)); st != httpparse.Done || int(p.HeadLen) != len(text) || p.Code != res.Status {
				t.Fatalf("%q: %v, %v", text, st, p.Reason)
			}
		}
		r, table = desk()
		text, res = r.Trailers(make([]byte, 0, limits.HeadBytes), table, in, &limits)
		if res.Verdict == Whole {
			var p httpparse.Trailers
			l := limits
			l.HeadBytes += 2
			p.Reset(&l, false)
			text = append(text, "\r\n"...)
			if st := p.Feed(text); st != httpparse.Done || int(p.HeadLen) != len(text) {
				t.Fatalf("%q: %v, %v", text, st, p.Reason)
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	r, table := desk()
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	encode := func() []byte {
		buf.Reset()
		for i := 0; i < len(browser); i += 2 {
			e.WriteField(hpack.HeaderField{Name: browser[i], Value: browser[i+1]})
		}
		return bytes.Clone(buf.Bytes())
	}
	l := httpparse.Limits{HeadBytes: 8 << 10, Fields: 100, TargetBytes: 4 << 10}
	dst := make([]byte, 0, 8<<10)
	if _, res := r.Request(dst, table, encode(), &l, "", true); res.Verdict != Whole {
		b.Fatalf("%+v", res)
	}
	again := encode() // from the table
	b.ReportAllocs()
	for b.Loop() {
		if _, res := r.Request(dst, table, again, &l, "", true); res.Verdict != Whole {
			b.Fatalf("%+v", res)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	text := crlf("HTTP/1.1 200 OK|Server: lb|Date: Fri, 27 Nov 2026 00:00:00 GMT|Content-Type: text/plain|Content-Length: 1024|X-Request-Id: 0123456789abcdef||")
	dst := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		AppendResponse(dst, text)
	}
}

func TestNoAllocations(t *testing.T) {
	r, table := desk()
	in, l := block(browser...), httpparse.Limits{HeadBytes: 8 << 10, Fields: 100, TargetBytes: 4 << 10}
	dst, out := make([]byte, 0, 8<<10), make([]byte, 0, 8<<10)
	once := func() {
		text, res := r.Request(dst, table, in, &l, "", true)
		if res.Verdict != Whole {
			t.Fatalf("%+v", res)
		}
		AppendRequest(out, text, "https")
	}
	for range 100 { // the table fills
		once()
	}
	if n := testing.AllocsPerRun(100, once); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
