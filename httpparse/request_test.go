package httpparse

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const host = "Host: h1.test\r\n"

// get is a GET with these lines after Host.
func get(fields string) string { return "GET / HTTP/1.1\r\n" + host + fields + "\r\n" }

// line is a request with this request line.
func line(l string) string { return l + "\r\n" + host + "\r\n" }

// post is a POST with these lines after Host.
func post(fields string) string { return "POST / HTTP/1.1\r\n" + host + fields + "\r\n" }

const (
	getSeen  = "GET / h1.test"
	postSeen = "POST / h1.test"
)

var requestLineCases = []headCase{
	{"get", line("GET /a?b=c HTTP/1.1"), "GET /a?b=c h1.test"},
	{"head", line("HEAD / HTTP/1.1"), "HEAD / h1.test"},
	{"unknown method", line("PROPFIND /x HTTP/1.1"), "PROPFIND /x h1.test"},
	{"method with a dash", line("M-SEARCH / HTTP/1.1"), "M-SEARCH / h1.test"},
	{"method of all token characters", line("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"), "!#$%&'*+-.^_`|~09azAZ / h1.test"},
	{"lower-case method is another one", line("get / HTTP/1.1"), "get / h1.test"},
	{"method of 64 bytes", line(strings.Repeat("A", 64) + " / HTTP/1.1"), strings.Repeat("A", 64) + " / h1.test"},
	{"method of 65 bytes", line(strings.Repeat("A", 65) + " / HTTP/1.1"), "refused: method too long"},
	{"method of 900 bytes", line(strings.Repeat("A", 900) + " / HTTP/1.1"), "refused: method too long"},
	{"long method of a kind", line(strings.Repeat("A", 64) + "( / HTTP/1.1"), "refused: invalid method"},
	{"paren in the method", line("G(T / HTTP/1.1"), "refused: invalid method"},
	{"colon in the method", line("GET: / HTTP/1.1"), "refused: invalid method"},
	{"obs-text in the method", line("G\xc9T / HTTP/1.1"), "refused: invalid method"},
	{"no method", line(" / HTTP/1.1"), "refused: invalid method"},
	{"method alone", line("GET"), "refused: invalid method"},
	{"LF after the method", "GET\n", "refused: bare LF"},
	{"TLS ClientHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "refused: invalid method"},
	{"NUL first", "\x00", "refused: invalid method"},

	{"two spaces before the target", line("GET  / HTTP/1.1"), "refused: invalid request target"},
	{"two spaces after the target", line("GET /  HTTP/1.1"), "refused: invalid HTTP version"},
	{"tab before the target", line("GET\t/ HTTP/1.1"), "refused: invalid method"},
	{"tab after the target", line("GET /\tHTTP/1.1"), "refused: invalid request target"},
	{"space in the target", line("GET /a b HTTP/1.1"), "refused: invalid HTTP version"},
	{"space at the end", line("GET / HTTP/1.1 "), "refused: invalid HTTP version"},
	{"vertical tab after the target", line("GET /\vHTTP/1.1"), "refused: invalid request target"},

	{"one empty line", "\r\n" + get(""), getSeen},
	{"four empty lines", "\r\n\r\n\r\n\r\n" + get(""), getSeen},
	{"five empty lines", "\r\n\r\n\r\n\r\n\r\n" + get(""), "refused: too many empty lines before the request"},
	{"bare LF as empty line", "\n" + get(""), "refused: bare LF"},
	{"LF after an empty line", "\r\n\n" + get(""), "refused: bare LF"},
	{"bare CR before the request", "\rGET / HTTP/1.1\r\n\r\n", "refused: bare CR"},
	{"space line before the request", " \r\n" + get(""), "refused: invalid method"},

	{"bare LF throughout", "GET / HTTP/1.1\nHost: h1.test\n\n", "refused: bare LF"},
	{"bare CR in the request line", "GET / HTTP/1.1\rX-Injected: 1\r\n" + host + "\r\n", "refused: bare CR"},
	{"CR CR LF", "GET / HTTP/1.1\r\r\n" + host + "\r\n", "refused: bare CR"},
	{"LF after the target", "GET /\n", "refused: bare LF"},

	{"1.0", line("GET / HTTP/1.0"), "GET / h1.test 1.0 close"},
	{"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET /  1.0 close"},
	{"1.2 acts as 1.1", line("GET / HTTP/1.2"), getSeen},
	{"1.9 acts as 1.1", line("GET / HTTP/1.9"), getSeen},
	{"2.0", line("GET / HTTP/2.0"), "refused: HTTP version not supported"},
	{"0.9", line("GET / HTTP/0.9"), "refused: HTTP version not supported"},
	{"9.9", line("GET / HTTP/9.9"), "refused: HTTP version not supported"},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused: HTTP version not supported"},
	{"2", line("GET / HTTP/2"), "refused: invalid HTTP version"},
	{"1.10", line("GET / HTTP/1.10"), "refused: invalid HTTP version"},
	{"11.1", line("GET / HTTP/11.1"), "refused: invalid HTTP version"},
	{"01.1", line("GET / HTTP/01.1"), "refused: invalid HTTP version"},
	{"1.x", line("GET / HTTP/1.x"), "refused: invalid HTTP version"},
	{"letters for digits", line("GET / HTTP/1.d"), "refused: invalid HTTP version"},
	{"2.0 and junk", line("GET / HTTP/2.0x"), "refused: invalid HTTP version"},
	{"lower case", line("GET / http/1.1"), "refused: invalid HTTP version"},
	{"other protocol", line("GET / RTSP/1.0"), "refused: invalid HTTP version"},
	{"NUL after the version", line("GET / HTTP/1.1\x00"), "refused: invalid HTTP version"},
	{"no version", line("GET /"), "refused: invalid HTTP version"},
	{"empty version", line("GET / "), "refused: invalid HTTP version"},
}

func TestRequestLine(t *testing.T) { checkHeads(t, newRequest, requestLineCases) }

var requestFieldCases = []headCase{
	{"none but Host", get(""), getSeen},
	{"white space around the value", get("X-A: \t  a b\t \t\r\n"), getSeen},
	{"no white space", get("X-A:a\r\n"), getSeen},
	{"tab in the value", get("X-A: a\tb\r\n"), getSeen},
	{"obs-text in the value", get("X-A: \x80\xff\xc3\xa9\r\n"), getSeen},
	{"empty value", get("X-A:\r\n"), getSeen},
	{"blank value", get("X-A:  \t \r\n"), getSeen},
	{"name of all token characters", get("X!#$%&'*+-.^_`|~9: ok\r\n"), getSeen},
	{"colon in the value", get("X-A::\r\n"), getSeen},
	{"space before the colon", get("X-A : 1\r\n"), "refused: space before the colon of a header line"},
	{"tab before the colon", get("X-A\t: 1\r\n"), "refused: space before the colon of a header line"},
	{"space in the name", get("X A: 1\r\n"), "refused: space before the colon of a header line"},
	{"empty name", get(": 1\r\n"), "refused: invalid header name"},
	{"no colon", get("X-Broken\r\n"), "refused: header line without a colon"},
	{"NUL in the name", get("X-\x00A: 1\r\n"), "refused: invalid header name"},
	{"paren in the name", get("X(A): 1\r\n"), "refused: invalid header name"},
	{"slash in the name", get("X/A: 1\r\n"), "refused: invalid header name"},
	{"at in the name", get("X@A: 1\r\n"), "refused: invalid header name"},
	{"bracket in the name", get("X[A: 1\r\n"), "refused: invalid header name"},
	{"brace in the name", get("X{A: 1\r\n"), "refused: invalid header name"},
	{"obs-text in the name", get("Transfer-Encoding\x88: chunked\r\n"), "refused: invalid header name"},
	{"LF in the name", get("X-A\nX-B: 1\r\n"), "refused: bare LF"},
	{"CR in the name", get("X-A\rX-B: 1\r\n"), "refused: header line without a colon"},
	{"NUL in the value", get("X-A: a\x00b\r\n"), "refused: control character in a header value"},
	{"DEL in the value", get("X-A: a\x7fb\r\n"), "refused: control character in a header value"},
	{"unit separator in the value", get("X-A: a\x1fb\r\n"), "refused: control character in a header value"},
	{"vertical tab before the value", get("X-A: \va\r\n"), "refused: control character in a header value"},
	{"bare CR in the value", get("X-A: a\rb\r\n"), "refused: bare CR"},
	{"CR CR LF", get("X-A: a\r\r\n"), "refused: bare CR"},
	{"bare LF in the value", get("X-A: a\nX-B: b\r\n"), "refused: bare LF"},
	{"bare LF as value", get("X-A:\n\r\n"), "refused: bare LF"},
	{"bare LF ends the head", "GET / HTTP/1.1\r\n" + host + "\n", "refused: bare LF"},
	{"bare CR ends the head", "GET / HTTP/1.1\r\n" + host + "\rX", "refused: bare CR"},
	{"fold", get("X-A: a\r\n b\r\n"), "refused: folded header line"},
	{"fold with a tab", get("X-A: a\r\n\tb\r\n"), "refused: folded header line"},
	{"fold first", "GET / HTTP/1.1\r\n X-Evil: 1\r\n" + host + "\r\n", "refused: folded header line"},
	{"fold of blanks", get("X-A: a\r\n \r\n"), "refused: folded header line"},

	{"no Host", "GET / HTTP/1.1\r\nX-A: 1\r\n\r\n", "refused: Host missing"},
	{"two Hosts", get("Host: other.test\r\n"), "refused: more than one Host"},
	{"the same Host twice", get(host), "refused: more than one Host"},
	{"two Hosts in 1.0", "GET / HTTP/1.0\r\n" + host + host + "\r\n", "refused: more than one Host"},
	{"hOST", "GET / HTTP/1.1\r\nhOST:h1.test\r\n\r\n", getSeen},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / "},
	{"bad Host in 1.0", "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", "refused: invalid Host"},

	{"close", get("Connection: close\r\n"), getSeen + " close"},
	{"CLOSE", get("Connection: CLOSE\r\n"), getSeen + " close"},
	{"keep-alive in 1.1", get("Connection: keep-alive\r\n"), getSeen},
	{"keep-alive in 1.0", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET /  1.0"},
	{"both in 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET /  1.0 close"},
	{"options on two lines", get("Connection: upgrade\r\nConnection: ,close ,\r\n"), getSeen + " close upgrade"},
	{"upgrade and keep-alive", get("Connection: keep-alive, Upgrade\r\n"), getSeen + " upgrade"},
	{"TE is not nominated", get("Connection: TE\r\n"), getSeen},
	{"nominated", get("Connection: close, X-Hop\r\n"), getSeen + " close nominated"},
	{"nothing in Connection", get("Connection: , ,\t,\r\n"), getSeen},
	{"64 nominated", get("Connection: x" + strings.Repeat(",x", 63) + "\r\n"), getSeen + " nominated"},
	{"65 nominated", get("Connection: x" + strings.Repeat(",x", 64) + "\r\n"), "refused: too many names in Connection"},
	{"space in an option", get("Connection: a b\r\n"), getSeen + " close"},
	{"quoted option", get("Connection: \"close\"\r\n"), getSeen + " close"},
	{"option with a parameter", get("Connection: close;x=1\r\n"), getSeen + " close"},
	{"keep-alive with a parameter", get("Connection: Keep-Alive, timeout=5\r\n"), getSeen + " close"},
	{"keep-alive; in 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive;\r\n\r\n", "GET /  1.0 close"},
	{"no option and others", get("Connection: X-Hop;, upgrade, (, keep-alive\r\n"), getSeen + " close upgrade"},
	{"malformed and nominated", get("Connection: ; X-A, X-Hop\r\n"), getSeen + " close nominated"},
	{"upgrade with a semicolon is none", get("Connection: upgrade;\r\n"), getSeen + " close"},
	{"NUL in an option", get("Connection: close\x00\r\n"), "refused: control character in a header value"},

	{"expect", get("Expect: 100-Continue\r\n"), getSeen + " expect"},
	{"expect in 1.0", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "GET /  1.0 close"},
	{"other expectation", get("Expect: magic\r\n"), getSeen},
	{"folded expect", get("Expect:\r\n 100-continue\r\n"), "refused: folded header line"},
}

func TestRequestFields(t *testing.T) { checkHeads(t, newRequest, requestFieldCases) }

var requestFramingCases = []headCase{
	{"length", post("Content-Length: 5\r\n"), postSeen + " length 5"},
	{"length 0", post("Content-Length: 0\r\n"), postSeen + " length 0"},
	{"leading zeros", post("Content-Length: 0005\r\n"), postSeen + " length 5"},
	{"many zeros", post("Content-Length: " + strings.Repeat("0", 300) + "5\r\n"), postSeen + " length 5"},
	{"2^63-1", post("Content-Length: 9223372036854775807\r\n"), postSeen + " length 9223372036854775807"},
	{"2^63", post("Content-Length: 9223372036854775808\r\n"), "refused: invalid Content-Length"},
	{"2^64+5", post("Content-Length: 18446744073709551621\r\n"), "refused: invalid Content-Length"},
	{"plus", post("Content-Length: +5\r\n"), "refused: invalid Content-Length"},
	{"minus", post("Content-Length: -1\r\n"), "refused: invalid Content-Length"},
	{"minus zero", post("Content-Length: -0\r\n"), "refused: invalid Content-Length"},
	{"hexadecimal", post("Content-Length: 0x5\r\n"), "refused: invalid Content-Length"},
	{"quoted", post("Content-Length: \"5\"\r\n"), "refused: invalid Content-Length"},
	{"two words", post("Content-Length: 5 5\r\n"), "refused: invalid Content-Length"},
	{"empty", post("Content-Length:\r\n"), "refused: invalid Content-Length"},
	{"comma", post("Content-Length: ,\r\n"), "refused: invalid Content-Length"},
	{"underscore", post("Content-Length: 1_0\r\n"), "refused: invalid Content-Length"},
	{"decimal point", post("Content-Length: 5.0\r\n"), "refused: invalid Content-Length"},
	{"Arabic digit", post("Content-Length: \xd9\xa5\r\n"), "refused: invalid Content-Length"},
	{"list that differs", post("Content-Length: 5, 6\r\n"), "refused: invalid Content-Length"},
	{"list of the same", post("Content-Length: 5, 5\r\n"), "refused: invalid Content-Length"},
	{"two lines that differ", post("Content-Length: 5\r\nCONTENT-LENGTH: 6\r\n"), "refused: more than one Content-Length"},
	{"two equal lines", post("Content-Length: 5\r\nContent-Length: 5\r\n"), "refused: more than one Content-Length"},
	{"after a bare CR", post("X-A: a\rContent-Length: 5\r\n"), "refused: bare CR"},
	{"space before the colon", post("Content-Length : 5\r\n"), "refused: space before the colon of a header line"},

	{"chunked", post("Transfer-Encoding: chunked\r\n"), postSeen + " chunked"},
	{"any case", post("tRANSFER-eNCODING:\tChUnKeD \r\n"), postSeen + " chunked"},
	{"xchunked", post("Transfer-Encoding: xchunked\r\n"), "refused: transfer coding not supported"},
	{"gzip", post("Transfer-Encoding: gzip\r\n"), "refused: transfer coding not supported"},
	{"identity", post("Transfer-Encoding: identity\r\n"), "refused: transfer coding not supported"},
	{"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n"), "refused: transfer coding not supported"},
	{"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n"), "refused: invalid Transfer-Encoding"},
	{"nested", post("Transfer-Encoding: identity, chunked, identity\r\n"), "refused: invalid Transfer-Encoding"},
	{"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n"), "refused: invalid Transfer-Encoding"},
	{"two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "refused: invalid Transfer-Encoding"},
	{"two lines, identity", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "refused: invalid Transfer-Encoding"},
	{"two lines, gzip", post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "refused: invalid Transfer-Encoding"},
	{"no coding", post("Transfer-Encoding:\r\n"), "refused: invalid Transfer-Encoding"},
	{"only a comma", post("Transfer-Encoding: ,\r\n"), "refused: invalid Transfer-Encoding"},
	{"comma after", post("Transfer-Encoding: chunked,\r\n"), "refused: invalid Transfer-Encoding"},
	{"comma before", post("Transfer-Encoding: ,chunked\r\n"), "refused: invalid Transfer-Encoding"},
	{"vertical tab", post("Transfer-Encoding: \vchunked\r\n"), "refused: control character in a header value"},
	{"control byte", post("Transfer-Encoding: chunked\x11\r\n"), "refused: control character in a header value"},
	{"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\n"), "refused: invalid Transfer-Encoding"},
	{"parameter", post("Transfer-Encoding: chunked;q=1\r\n"), "refused: invalid Transfer-Encoding"},
	{"two codings without a comma", post("Transfer-Encoding: gzip chunked\r\n"), "refused: invalid Transfer-Encoding"},
	{"encoded word", post("Transfer-Encoding: =?utf-8?B?Y2h1bmtlZA==?=\r\n"), "refused: invalid Transfer-Encoding"},
	{"obs-text", post("Transfer-Encoding: chunked\xa0\r\n"), "refused: invalid Transfer-Encoding"},
	{"with Content-Length", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "refused: Content-Length with Transfer-Encoding"},
	{"with Content-Length after", post("Transfer-Encoding: gzip\r\nContent-Length: 0\r\n"), "refused: Content-Length with Transfer-Encoding"},
	{"in 1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", "refused: Transfer-Encoding in HTTP/1.0"},
	{"name with a space", post("Transfer Encoding: chunked\r\n"), "refused: space before the colon of a header line"},
	{"near miss of the name", post("Transfer_Encoding: chunked\r\n"), postSeen},
}

func TestRequestFraming(t *testing.T) { checkHeads(t, newRequest, requestFramingCases) }

// TestLimits: a head may be as large as its limits and no larger, whether or not its end
// has come; bytes after the head do not count.
func TestLimits(t *testing.T) {
	l := Limits{HeadBytes: 96, Fields: 3, TargetBytes: 20}
	target := func(n int, end string) string { return "/" + strings.Repeat("a", n-1-len(end)) + end }
	room := l.HeadBytes - len("GET / HTTP/1.1\r\n"+host+"X: \r\n\r\n")
	for _, tc := range []headCase{
		{"target of the limit", line("GET " + target(20, "") + " HTTP/1.1"), "GET " + target(20, "") + " h1.test"},
		{"target above the limit", line("GET " + target(21, "") + " HTTP/1.1"), "refused: request target too long"},
		{"target without an end", "GET " + target(200, ""), "refused: request target too long"},
		{"bad byte after the limit", "GET " + target(22, "#"), "refused: request target too long"},
		{"bad byte before the limit", "GET " + target(20, "#"), "refused: invalid request target"},
		{"percent within the limit", line("GET " + target(20, "%20") + " HTTP/1.1"), "GET " + target(20, "%20") + " h1.test"},
		{"percent one over the limit", line("GET " + target(21, "%20") + " HTTP/1.1"), "refused: request target too long"},
		{"percent two over the limit", line("GET " + target(22, "%20") + " HTTP/1.1"), "refused: request target too long"},
		{"percent after the limit", line("GET " + target(23, "%20") + " HTTP/1.1"), "refused: request target too long"},
		{"fields of the limit", get("A: 1\r\nB: 2\r\n"), getSeen},
		{"fields above the limit", get("A: 1\r\nB: 2\r\nC: 3\r\n"), "refused: too many header fields"},
		{"head of the limit", get("X: " + strings.Repeat("v", room) + "\r\n"), getSeen},
		{"the next request after it", get("X: "+strings.Repeat("v", room)+"\r\n") + "GET", getSeen},
		{"head above the limit", get("X: " + strings.Repeat("v", room+1) + "\r\n"), "refused: header section too large"},
		{"head without an end", "GET / HTTP/1.1\r\nX: " + strings.Repeat("v", 200), "refused: header section too large"},
		{"fault after the limit", get("X: " + strings.Repeat("v", room+9) + "\x00\r\n"), "refused: header section too large"},
	} {
		t.Run(tc.name, func(t *testing.T) { checkHead(t, newRequest, l, tc) })
	}
}

// TestStatus: each refusal has the status code that a client expects.
func TestStatus(t *testing.T) {
	other := map[Reason]int{
		LongTarget: 414, OtherScheme: 421, LongHead: 431, ManyFields: 431, ManyNominated: 431,
		LongMethod: 501, OtherCoding: 501, OtherVersion: 505,
	}
	texts := map[string]bool{}
	for r := NoReason + 1; r < reasons; r++ {
		want := other[r]
		if want == 0 {
			want = 400
		}
		if got := r.Status(); got != want {
			t.Errorf("%v: %d, want %d", r, got, want)
		}
		if s := r.String(); s == "" || texts[s] {
			t.Errorf("reason %d has the text %q: empty, or that of another", r, s)
		}
		texts[r.String()] = true
	}
}

// TestEarlyRefusal: a fault that a few bytes show is reported at once.
func TestEarlyRefusal(t *testing.T) {
	for in, want := range map[string]Reason{
		"\x16":                                BadMethod,
		"\n":                                  BareLF,
		"G\x00":                               BadMethod,
		"GET /a\x00":                          BadTarget,
		"GET / HTTQ":                          BadVersion,
		"GET / HTTP/1.1\n":                    BareLF,
		"GET /" + strings.Repeat("a", 16<<10): LongTarget,
		get("X\x00")[:33]:                     BadName,
	} {
		var r RequestParser
		r.Reset(&testLimits)
		if st := r.Feed([]byte(in)); st != Bad || r.Reason != want {
			t.Errorf("%.20q: status %d, %v; want %v", in, st, r.Reason, want)
		}
	}
}

// TestVerdictStays: a verdict is final.
func TestVerdictStays(t *testing.T) {
	for in, want := range map[string]Status{get(""): Done, "\n": Bad} {
		var r RequestParser
		r.Reset(&testLimits)
		for range 3 {
			if st := r.Feed([]byte(in)); st != want {
				t.Errorf("%q: status %d, want %d", in, st, want)
			}
		}
	}
}

func TestIdempotent(t *testing.T) {
	for name, want := range map[string]bool{
		"GET": true, "HEAD": true, "PUT": true, "DELETE": true, "OPTIONS": true, "TRACE": true,
		"POST": false, "PATCH": false, "PROPFIND": false, "get": false,
	} {
		r := parsed(t, line(name+" / HTTP/1.1"))
		if got := r.Idempotent(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// parsed returns the parsed request of a valid head.
func parsed(t *testing.T, in string) *RequestParser {
	t.Helper()
	r := new(RequestParser)
	r.Reset(&testLimits)
	if r.Feed([]byte(in)) != Done {
		t.Fatalf("%q: %v", in, r.Reason)
	}
	return r
}

// TestFields: names, values and ids come in the order of the lines.
func TestFields(t *testing.T) {
	in := get("x-a: 1\r\nCookie:a=1\r\ncOOkie:  b=2\t\r\nX-A:\r\n")
	r := parsed(t, in)
	var got []string
	for _, f := range r.Fields {
		got = append(got, fmt.Sprintf("%s|%s|%v", f.Name.Of([]byte(in)), f.Value.Of([]byte(in)), f.ID))
	}
	want := "Host|h1.test|Host x-a|1| Cookie|a=1|Cookie cOOkie|b=2|Cookie X-A||"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
	if r.Seen != SetOf(Host, Cookie) {
		t.Errorf("seen %b", r.Seen)
	}
	if f, ok := r.Find(Cookie); !ok || string(f.Value.Of([]byte(in))) != "a=1" {
		t.Errorf("Find(Cookie) is %v, %v: not the first one", f, ok)
	}
	if _, ok := r.Find(Via); ok {
		t.Error("Find(Via) found what is not there")
	}
}

func TestHasToken(t *testing.T) {
	in := []byte(get("Upgrade: h2c , WebSocket\r\nTE: trailers\r\nUpgrade: foo/2\r\n"))
	r := parsed(t, string(in))
	for _, tc := range []struct {
		id    FieldID
		token string
		want  bool
	}{
		{Upgrade, "websocket", true}, {Upgrade, "h2c", true}, {Upgrade, "foo/2", true},
		{Upgrade, "foo", false}, {Upgrade, "web", false}, {TE, "trailers", true}, {Via, "x", false},
	} {
		if got := r.HasToken(in, tc.id, tc.token); got != tc.want {
			t.Errorf("%v has %q: %v, want %v", tc.id, tc.token, got, tc.want)
		}
	}
}

// TestMemory: Reset grows Fields once and keeps them; parsing allocates nothing.
func TestMemory(t *testing.T) {
	var r RequestParser
	var p ResponseParser
	var tr Trailers
	head, reply, trailers := []byte(get("Connection: x-a, close\r\nExpect: 100-continue\r\nX-A: 1\r\n")), []byte(okHead), []byte("X-T: 1\r\n\r\n")
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(&testLimits)
		r.Feed(head[:20])
		p.Reset(&testLimits, GET)
		tr.Reset(&testLimits, false)
		if r.Feed(head) != Done || p.Feed(reply) != Done || tr.Feed(trailers) != Done {
			t.Fatal("refused")
		}
		out = AppendFields(out[:0], head, &r.Message, SetOf(Host))
		out = AppendTrailers(r.AppendPath(out, head), trailers, &tr)
		r.HasToken(head, Connection, "close")
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
	small := Limits{HeadBytes: 100, Fields: 2, TargetBytes: 10}
	first := &r.Fields[:1][0]
	if r.Reset(&small); &r.Fields[:1][0] != first {
		t.Error("Reset for fewer fields took new memory")
	}
}

// TestReset: after Reset, a parser that has read a head with everything in it is like one
// that has read nothing.
func TestReset(t *testing.T) {
	limits := Limits{HeadBytes: 1 << 10, Fields: 10, TargetBytes: 100}
	var used, fresh RequestParser
	used.Reset(&limits)
	in := "POST http://h/p HTTP/1.0\r\nHost: h\r\nConnection: close, keep-alive, upgrade, x-a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
	if used.Feed([]byte(in)) != Done {
		t.Fatal(used.Reason)
	}
	used.Reset(&limits)
	fresh.Reset(&limits)
	if !reflect.DeepEqual(used, fresh) {
		t.Errorf("%+v, want %+v", used, fresh)
	}
	var usedResponse, freshResponse ResponseParser
	usedResponse.Reset(&limits, POST)
	if usedResponse.Feed([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close, x-a\r\n\r\n")) != Bad {
		t.Fatal("a coding that is not chunked alone is not refused")
	}
	usedResponse.Reset(&limits, GET)
	freshResponse.Reset(&limits, GET)
	if !reflect.DeepEqual(usedResponse, freshResponse) {
		t.Errorf("%+v, want %+v", usedResponse, freshResponse)
	}
}
