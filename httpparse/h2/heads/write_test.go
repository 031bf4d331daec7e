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
	f.Add(neverBlock(":method", "GET", ":scheme", "https", ":path!", "/", ":authority!", "a", "x!", "y", "te!", "Trailers", "http2-settings", "", "cookie!", "s=1"))
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
			sent := bytes.Clone(text)
			if res.Marked {
				sent[bytes.IndexByte(sent, '\r')-len(" HTTP/1.1")] = '\t'
			}
			again := AppendRequest(nil, sent, "https")
			if len(again) > len(text)+len(text)/64+64 { // see h2.HeadRoom
				t.Fatalf("%d bytes of text became %d", len(text), len(again))
			}
			back, whole := r.Request(make([]byte, 0, limits.HeadBytes), table, append([]byte{0x20}, again...), &limits, "", false)
			if whole.Verdict != Whole || whole.Marked != res.Marked || !sameLines(back, passedOn(text)) {
				t.Fatalf("%q came back as %q, %+v", text, back, whole)
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
	marked := map[string]bool{}
	for _, f := range fields {
		if marked[f.Name] = marked[f.Name] || f.Sensitive; f.Sensitive && f.Name[0] != ':' {
			f.Name += " never"
		}
		if n := strings.TrimSuffix(f.Name, " never"); n[0] != ':' && n != "cookie" && n != "host" && !(res.WebSocket && n == "sec-websocket-key") {
			want = append(want, f.Name+": "+f.Value)
		}
	}
	if res.Marked != marked[":path"] {
		t.Fatalf("%q: the path is marked: %v", text, res.Marked)
	}
	for _, f := range m.Fields {
		n, never := string(f.Name.Of(text)), text[f.Name.Off+f.Name.Len+1] == '\t'
		switch {
		case n == "cookie" && never != marked[n], n == "host" && never != marked[":authority"] && never != marked[n]:
			t.Fatalf("%q: %s is marked: %v", text, n, never)
		case n != "cookie" && n != "host" && !(res.WebSocket && slices.Contains([]string{"connection", "upgrade", "sec-websocket-key"}, n)):
			if never {
				n += " never"
			}
			got = append(got, n+": "+string(f.Value.Of(text)))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q has the fields %q, want %q", text, got, want)
	}
}

// passedOn is text as another server reads what AppendRequest makes of it.
func passedOn(text []byte) []byte {
	var b []byte
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.Trim(value, " \t\r\n")
		switch short := len(value) < 20; {
		case name == "http2-settings": // of an HTTP/1 conn
			continue
		case name == "te":
			line = []byte("te: trailers\r\n")
		case name == "authorization", name == "proxy-authorization", name == "cookie" && short, name == "set-cookie" && short:
			line = []byte(name + ":\t" + value + "\r\n")
		}
		b = append(b, line...)
	}
	return b
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

// neverBlock is as block, of fields each of which is never to be indexed if its name ends with "!".
func neverBlock(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		name, never := strings.CutSuffix(fields[i], "!")
		e.WriteField(hpack.HeaderField{Name: name, Value: fields[i+1], Sensitive: never})
	}
	return b.Bytes()
}

// neverOf decodes a block by the decoder of x/net, as the fields of neverBlock.
func neverOf(t *testing.T, block []byte) (fields []string) {
	t.Helper()
	all, err := hpack.NewDecoder(0, nil).DecodeFull(block)
	if err != nil {
		t.Fatalf("%q: %v", block, err)
	}
	for _, f := range all {
		if f.Sensitive {
			f.Name += "!"
		}
		fields = append(fields, f.Name, f.Value)
	}
	return fields
}

// TestNever: what came as never to be indexed is marked in text, and goes on as it came.
func TestNever(t *testing.T) { // RFC 7541 6.2.3
	in := []string{":method", "GET", ":scheme", "https", ":path!", "/", ":authority!", "a", "x!", "y", "accept-encoding!", "gzip, deflate", "z", "", "e!", "",
		"cookie", "theme=0123456789abcdef", "cookie!", "s=1"}
	r, table := desk()
	text, res := r.Request(make([]byte, 0, 1<<10), table, neverBlock(in...), &limits, "", true)
	want := "GET / HTTP/1.1|host:\ta|x:\ty|accept-encoding:\tgzip, deflate|z: |e:\t|cookie:\ttheme=0123456789abcdef; s=1||"
	if got := show(text, res); got != want || !res.Marked {
		t.Errorf("%q, the path is marked: %v; want %q", got, res.Marked, want)
	}
	out := append(slices.Clone(in[:len(in)-4]), "cookie!", "theme=0123456789abcdef; s=1")
	if got := neverOf(t, AppendRequest(nil, bytes.Replace(text, []byte("/ HTTP"), []byte("/\tHTTP"), 1), "https")); !slices.Equal(got, out) {
		t.Errorf("a request goes on as %q, want %q", got, out)
	}
	if text, res = r.Request(text[:0], table, neverBlock(":method!", "GET", ":scheme!", "https", ":path", "/", "host!", "a"), &limits, "", true); show(text, res) != "GET / HTTP/1.1|host:\ta||" || res.Marked {
		t.Errorf("%q, the path is marked: %v", text, res.Marked)
	}
	in = []string{":status", "200", "server!", "b", "x", "y", "set-cookie!", "id=0123456789abcdef"}
	text, _ = r.Response(text[:0], table, neverBlock(in...), &limits)
	if got := neverOf(t, AppendResponse(nil, text)); !slices.Equal(got, in) {
		t.Errorf("an answer goes on as %q, want %q", got, in)
	}
	in = []string{"grpc-status", "0", "x!", "y"}
	text, _ = r.Trailers(text[:0], table, neverBlock(in...), &limits)
	if got := neverOf(t, AppendTrailers(nil, text)); !slices.Equal(got, in) {
		t.Errorf("trailers go on as %q, want %q", got, in)
	}
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
