package heads

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"lb/httpparse"
	ours "lb/httpparse/h2/hpack"
)

var limits = httpparse.Limits{HeadBytes: 1 << 10, Fields: 10, TargetBytes: 512}

// block encodes fields, as names and values in turn.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// desk returns a Reader and a table.
func desk() (*Reader, *ours.Table) {
	table := new(ours.Table)
	table.Reset(4096)
	return NewReader(limits.HeadBytes, 4096), table
}

// show returns the text with | for CRLF, or the verdict.
func show(b []byte, r Result) string {
	switch r.Verdict {
	case TooLarge:
		return "too large"
	case Malformed:
		return "malformed: " + r.Reason.String()
	case Corrupt:
		return "corrupt"
	}
	return strings.ReplaceAll(string(b), "\r\n", "|")
}

// headCase is the fields of a head, each as "name: value", and show's text for it. The pseudo-fields of GET come first
// unless the fields begin with a colon.
type headCase struct{ name, fields, want string }

func (tc headCase) block(usual string) []byte {
	all := tc.fields
	if !strings.HasPrefix(all, ":") {
		all = strings.TrimSuffix(usual+"|"+all, "|")
	}
	var fields []string
	for f := range strings.SplitSeq(all, "|") {
		if f == "" {
			continue
		}
		i := 1 + strings.IndexByte(f[1:], ':')
		fields = append(fields, f[:i], f[min(i+2, len(f)):])
	}
	return block(fields...)
}

const usual = ":method: GET|:scheme: https|:path: /|:authority: a"

var requestCases = []headCase{
	{"a request", "", "GET / HTTP/1.1|host: a||"},
	{"fields", "a: b|c: d e|e: ", "GET / HTTP/1.1|host: a|a: b|c: d e|e: ||"},
	{"any order", ":path: /p?q|:authority: a:1|:method: POST|:scheme: http|x: y", "POST /p?q HTTP/1.1|host: a:1|x: y||"},
	{"host alone", ":method: GET|:scheme: https|:path: /|host: a", "GET / HTTP/1.1|host: a||"},
	{"host as :authority", "host: A|x: y", "GET / HTTP/1.1|host: a|x: y||"},
	{"no host, for httpparse to refuse", ":method: GET|:scheme: https|:path: /", "GET / HTTP/1.1||"},
	{"OPTIONS of the server", ":method: OPTIONS|:scheme: https|:path: *|:authority: a", "OPTIONS * HTTP/1.1|host: a||"},
	{"cookies (8.2.3)", "cookie: a=b|x: y|cookie: c=d|cookie: e=f", "GET / HTTP/1.1|host: a|x: y|cookie: a=b; c=d; e=f||"},
	{"te (8.2.2)", "te: trailers", "GET / HTTP/1.1|host: a|te: trailers||"},
	{"content-length", "content-length: 5", "GET / HTTP/1.1|host: a|content-length: 5||"},
	{"obs-text and tabs", "x: a\tb\x80\xff", "GET / HTTP/1.1|host: a|x: a\tb\x80\xff||"},
	{"CONNECT (8.5)", ":method: CONNECT|:authority: a:443", "CONNECT a:443 HTTP/1.1|host: a:443||"},
	{"WebSocket (RFC 8441)", ":method: CONNECT|:protocol: websocket|:scheme: https|:path: /chat|:authority: a|sec-websocket-key: theirs|sec-websocket-version: 13",
		"GET /chat HTTP/1.1|host: a|connection: upgrade|upgrade: websocket|sec-websocket-key: KEY|sec-websocket-version: 13||"},

	{"an empty host", ":method: GET|:scheme: https|:path: /|host: ", "malformed: bad authority"},
	{"no method", ":scheme: https|:path: /|:authority: a", "malformed: missing pseudo-field"},
	{"no scheme", ":method: GET|:path: /|:authority: a", "malformed: missing pseudo-field"},
	{"no path", ":method: GET|:scheme: https|:authority: a", "malformed: missing pseudo-field"},
	{"CONNECT without authority", ":method: CONNECT", "malformed: missing pseudo-field"},
	{"CONNECT with a path", ":method: CONNECT|:authority: a|:path: /", "malformed: unknown pseudo-field"},
	{"method twice", usual + "|:method: GET", "malformed: repeated pseudo-field"},
	{"path twice", usual + "|:path: /", "malformed: repeated pseudo-field"},
	{"unknown", usual + "|:foo: bar", "malformed: unknown pseudo-field"},
	{"of an answer", usual + "|:status: 200", "malformed: unknown pseudo-field"},
	{"late", "x: y|:path: /", "malformed: pseudo-field after a field"},
	{"late, the first of its name", ":method: GET|:scheme: https|:authority: a|x: y|:path: /", "malformed: missing pseudo-field"},
	{"a method with a space", ":method: GET /x|:scheme: https|:path: /|:authority: a", "malformed: bad method"},
	{"an empty method", ":method: |:scheme: https|:path: /|:authority: a", "malformed: bad method"},
	{"an injected line in the method", ":method: GET / HTTP/1.1\r\nx: y\r\n\r\nGET|:scheme: https|:path: /|:authority: a", "malformed: bad method"},
	{"ftp", ":method: GET|:scheme: ftp|:path: /|:authority: a", "malformed: bad scheme"},
	{"an empty path", ":method: GET|:scheme: https|:path: |:authority: a", "malformed: bad path"},
	{"a path without a slash", ":method: GET|:scheme: https|:path: x|:authority: a", "malformed: bad path"},
	{"an absolute path", ":method: GET|:scheme: https|:path: http://b/|:authority: a", "malformed: bad path"},
	{"a star for GET", ":method: GET|:scheme: https|:path: *|:authority: a", "malformed: bad path"},
	{"a path with a space", ":method: GET|:scheme: https|:path: / HTTP/1.1|:authority: a", "malformed: bad path"},
	{"a path with a fragment", ":method: GET|:scheme: https|:path: /#x|:authority: a", "malformed: bad path"},
	{"a path with CRLF", ":method: GET|:scheme: https|:path: /\r\nx: y|:authority: a", "malformed: bad path"},
	{"a path with a high byte", ":method: GET|:scheme: https|:path: /\xe9|:authority: a", "malformed: bad path"},
	{"an empty authority", ":method: GET|:scheme: https|:path: /|:authority: ", "malformed: bad authority"},
	{"an authority with a space", ":method: GET|:scheme: https|:path: /|:authority: a b", "malformed: bad authority"},
	{"an authority with LF", ":method: GET|:scheme: https|:path: /|:authority: a\nx: y", "malformed: bad authority"},
	{"host that differs", "host: b", "malformed: bad authority"},
	{"host twice", ":method: GET|:scheme: https|:path: /|host: a|host: a", "malformed: bad authority"},
	{"another protocol", ":method: CONNECT|:protocol: connect-udp|:scheme: https|:path: /|:authority: a", "malformed: bad protocol"},
	{"a protocol without CONNECT", usual + "|:protocol: websocket", "malformed: bad protocol"},
	{"a WebSocket without a path", ":method: CONNECT|:protocol: websocket|:scheme: https|:authority: a", "malformed: missing pseudo-field"},
	{"a WebSocket with a length", ":method: CONNECT|:protocol: websocket|:scheme: https|:path: /|:authority: a|content-length: 5", "malformed: bad content-length"},
}

var fieldCases = []headCase{
	{"upper case", "X: y", "malformed: bad field name"},
	{"a space in a name", "x y: z", "malformed: bad field name"},
	{"CRLF in a name", "x\r\ny: z", "malformed: bad field name"},
	{"a high byte in a name", "x\x80: z", "malformed: bad field name"},
	{"CRLF", "x: y\r\nz: z", "malformed: bad field value"},
	{"LF", "x: y\nz", "malformed: bad field value"},
	{"CR", "x: y\rz", "malformed: bad field value"},
	{"NUL", "x: y\x00z", "malformed: bad field value"},
	{"DEL", "x: abcdefghijk\x7f", "malformed: bad field value"},
	{"a control byte", "x: abcdefg\thijk\x1b", "malformed: bad field value"},
	{"a space before", "x:  y", "malformed: bad field value"},
	{"a space after", "x: y ", "malformed: bad field value"},
	{"a tab after", "x: y\t", "malformed: bad field value"},
	{"connection", "connection: close", "malformed: field of an HTTP/1 conn"},
	{"keep-alive", "keep-alive: 5", "malformed: field of an HTTP/1 conn"},
	{"proxy-connection", "proxy-connection: close", "malformed: field of an HTTP/1 conn"},
	{"transfer-encoding", "transfer-encoding: chunked", "malformed: field of an HTTP/1 conn"},
	{"upgrade", "upgrade: h2c", "malformed: field of an HTTP/1 conn"},
	{"te", "te: trailers, deflate", "malformed: bad te"},
}

var lengthCases = []headCase{
	{"twice", "content-length: 5|content-length: 5", "malformed: bad content-length"},
	{"a list", "content-length: 5, 5", "malformed: bad content-length"},
	{"hex", "content-length: 0x5", "malformed: bad content-length"},
	{"a sign", "content-length: +5", "malformed: bad content-length"},
	{"text", "content-length: five", "malformed: bad content-length"},
	{"nothing", "content-length: ", "malformed: bad content-length"},
	{"too large", "content-length: 9223372036854775808", "malformed: bad content-length"},
}

func TestRequests(t *testing.T) { // RFC 9113 8.2, 8.3
	for _, table := range [][]headCase{requestCases, fieldCases, lengthCases} {
		for _, tc := range table {
			r, table := desk()
			dst := append(make([]byte, 0, 2<<10), "before"...)
			got, res := r.Request(dst, table, tc.block(usual), &limits, "KEY", true)
			if !bytes.HasPrefix(got, []byte("before")) || show(got[len("before"):], res) != tc.want {
				t.Errorf("%s: %q, want %q", tc.name, show(got, res), tc.want)
			}
			if res.Verdict != Whole && string(got) != "before" {
				t.Errorf("%s: refused, with text %q", tc.name, got)
			}
		}
	}
	r, table := desk()
	_, res := r.Request(make([]byte, 0, 1<<10), table, requestCases[12].block(""), &limits, "KEY", false)
	if res.Reason != UnknownPseudo {
		t.Errorf("a WebSocket that was not announced: %v", res.Reason)
	}
}

func TestResponses(t *testing.T) { // RFC 9113 8.2, 8.3.2
	for _, tc := range append([]headCase{
		{"an answer", "", "HTTP/1.1 200 ||"},
		{"cookies stay apart", "set-cookie: a=b|set-cookie: c=d|cookie: e|cookie: f", "HTTP/1.1 200 |set-cookie: a=b|set-cookie: c=d|cookie: e|cookie: f||"},
		{"any code", ":status: 999|x: y", "HTTP/1.1 999 |x: y||"},
		{"no status", ":path: /", "malformed: unknown pseudo-field"},
		{"status twice", ":status: 200|:status: 200", "malformed: repeated pseudo-field"},
		{"two digits", ":status: 20", "malformed: bad status"},
		{"four digits", ":status: 2000", "malformed: bad status"},
		{"below 100", ":status: 099", "malformed: bad status"},
		{"101 (8.6)", ":status: 101", "malformed: bad status"},
		{"a phrase", ":status: 200 OK", "malformed: bad status"},
	}, append(fieldCases, lengthCases...)...) {
		r, table := desk()
		got, res := r.Response(make([]byte, 0, 1<<10), table, tc.block(":status: 200"), &limits)
		if show(got, res) != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, show(got, res), tc.want)
		}
	}
}

func TestNoPseudoFields(t *testing.T) {
	for _, fields := range [][]string{nil, {"x", "y"}} {
		r, table := desk()
		if _, res := r.Response(make([]byte, 0, 1<<10), table, block(fields...), &limits); res.Reason != MissingPseudo {
			t.Errorf("an answer of %q: %v", fields, res.Reason)
		}
		if _, res := r.Request(make([]byte, 0, 1<<10), table, block(fields...), &limits, "", true); res.Reason != MissingPseudo {
			t.Errorf("a request of %q: %v", fields, res.Reason)
		}
	}
	r, table := desk()
	if text, res := r.Trailers(make([]byte, 0, 1<<10), table, nil, &limits); res.Verdict != Whole || len(text) > 0 {
		t.Errorf("no trailers: %+v", res)
	}
}

func TestTrailers(t *testing.T) { // RFC 9113 8.1
	for _, tc := range append([]headCase{
		{"trailers", "grpc-status: 0|x: y", "grpc-status: 0|x: y|"},
		{"a pseudo-field", ":status: 200", "malformed: unknown pseudo-field"},
		{"a length says nothing", "content-length: x", "content-length: x|"},
	}, fieldCases...) {
		r, table := desk()
		got, res := r.Trailers(make([]byte, 0, 1<<10), table, tc.block(""), &limits)
		if show(got, res) != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, show(got, res), tc.want)
		}
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("x", limits.HeadBytes)
	for _, tc := range []headCase{
		{"a value", "x: " + long, "too large"},
		{"a name", long + ": x", "too large"},
		{"a path", ":method: GET|:scheme: https|:path: /" + long + "|:authority: a", "too large"},
		{"cookies", strings.Repeat("cookie: "+long[:100]+"|", 11), "too large"},
		{"fields", strings.Repeat("x: y|", 10), "too large"},
		{"fields that just fit", strings.Repeat("x: y|", 9), "GET / HTTP/1.1|host: a|" + strings.Repeat("x: y|", 9) + "|"},
		{"bytes that just fit", "x: " + long[:limits.HeadBytes-len("GET / HTTP/1.1..host: a..x: ....")], "GET / HTTP/1.1|host: a|x: " + long[:limits.HeadBytes-32] + "||"},
		{"a byte more", "x: " + long[:limits.HeadBytes-len("GET / HTTP/1.1..host: a..x: ....")+1], "too large"},
	} {
		r, table := desk()
		got, res := r.Request(make([]byte, 0, 2<<10), table, tc.block(usual), &limits, "KEY", true)
		if show(got, res) != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, show(got, res), tc.want)
		}
		// The table goes on nevertheless, and dst never grows.
		small, res := r.Request(make([]byte, 0, 20), table, block(":method", "GET", "z", "z"), &limits, "KEY", true)
		if res.Verdict == Corrupt || cap(small) != 20 {
			t.Errorf("%s: the next head is %v, in %d bytes", tc.name, res.Verdict, cap(small))
		}
	}
	r, table := desk()
	_, res := r.Request(make([]byte, 0, 2<<10), table, headCase{fields: "x: " + long + "|y: " + long}.block(usual), &limits, "KEY", true)
	if want := len(long) + 1; res.Excess != want {
		t.Errorf("an excess of %d bytes, want %d", res.Excess, want)
	}
}

func TestFacts(t *testing.T) {
	r, table := desk()
	_, res := r.Request(make([]byte, 0, 1<<10), table, headCase{fields: "te: Trailers|content-length: 7|priority: u=5, i"}.block(usual), &limits, "", true)
	if !res.Trailers || res.Length != 7 || res.Priority != (Priority{5, true}) || res.Connect || res.WebSocket {
		t.Errorf("%+v", res)
	}
	_, res = r.Request(make([]byte, 0, 1<<10), table, block(":method", "CONNECT", ":authority", "a:1"), &limits, "", true)
	if res.Trailers || res.Length != -1 || res.Priority != DefaultPriority || !res.Connect || res.WebSocket {
		t.Errorf("%+v", res)
	}
	if _, res = r.Request(make([]byte, 0, 1<<10), table, requestCases[12].block(""), &limits, "", true); !res.WebSocket {
		t.Errorf("%+v", res)
	}
}

func TestPriority(t *testing.T) { // RFC 9218 4
	for in, want := range map[string]Priority{
		"": {3, false}, "u=0": {0, false}, "u=7,i": {7, true}, " u=2 , i=?1": {2, true}, "i, i=?0": {3, false},
		"u=8": {3, false}, "u=-1": {3, false}, "u=1.0": {3, false}, "u=1;x=2, y": {1, false}, "u": {3, false},
		"i=1": {3, false}, ",,": {3, false}, "u=1,u=2": {2, false},
	} {
		got := DefaultPriority
		if got.Read([]byte(in)); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}
