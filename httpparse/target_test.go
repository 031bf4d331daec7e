package httpparse

import (
	"strings"
	"testing"
)

// everyTarget is a path of all bytes that a target may have.
var everyTarget = func() string {
	b := []byte{'/'}
	for c := 0x21; c < 0x7f; c++ {
		if c != '#' {
			b = append(b, byte(c))
		}
	}
	return string(b)
}()

var targetCases = []headCase{
	{"all of pchar", line("GET /!$&'()*+,;=:@-._~/a%2Fb%7e?/?:@!$&'()*+,;= HTTP/1.1"), "GET /!$&'()*+,;=:@-._~/a%2Fb%7e?/?:@!$&'()*+,;= h1.test"},
	{"dot segments", line("GET /a/../b/./c//d/..//e/. HTTP/1.1"), "GET /a/../b/./c//d/..//e/. h1.test"},
	{"two slashes first", line("GET //a HTTP/1.1"), "GET //a h1.test"},
	{"brackets, which browsers send", line("GET /?a[]=1 HTTP/1.1"), "GET /?a[]=1 h1.test"},
	{"NUL encoded", line("GET /%00 HTTP/1.1"), "GET /%00 h1.test"},
	{"percent at the end", line("GET /a% HTTP/1.1"), "GET /a% h1.test"},
	{"percent and one digit", line("GET /a%2 HTTP/1.1"), "GET /a%2 h1.test"},
	{"percent and no digits", line("GET /a%zz HTTP/1.1"), "GET /a%zz h1.test"},
	{"percent twice", line("GET /%%20 HTTP/1.1"), "GET /%%20 h1.test"},
	{"fragment", line("GET /a#frag HTTP/1.1"), "refused: invalid request target"},
	{"quote", line("GET /\" HTTP/1.1"), "GET /\" h1.test"},
	{"less", line("GET /aaaaaaaaaa< HTTP/1.1"), "GET /aaaaaaaaaa< h1.test"},
	{"greater", line("GET /> HTTP/1.1"), "GET /> h1.test"},
	{"backslash", line("GET /\\ HTTP/1.1"), "GET /\\ h1.test"},
	{"caret", line("GET /^ HTTP/1.1"), "GET /^ h1.test"},
	{"backtick", line("GET /` HTTP/1.1"), "GET /` h1.test"},
	{"braces", line("GET /{a} HTTP/1.1"), "GET /{a} h1.test"},
	{"bar", line("GET /a|b HTTP/1.1"), "GET /a|b h1.test"},
	{"NUL", line("GET /a\x00b HTTP/1.1"), "refused: invalid request target"},
	{"DEL", line("GET /a\x7fb HTTP/1.1"), "refused: invalid request target"},
	{"not ASCII", line("GET /\xc3\xa9 HTTP/1.1"), "refused: invalid request target"},
	{"white space to Python", line("GET /admin\xa0 HTTP/1.1"), "refused: invalid request target"},
	{"fragment in a query", line("GET /a?b|c#d HTTP/1.1"), "refused: invalid request target"},
	{"tab", line("GET /a\tb HTTP/1.1"), "refused: invalid request target"},
	{"vertical tab", line("GET /a\vb HTTP/1.1"), "refused: invalid request target"},
	{"escape", line("GET /a\x1bb HTTP/1.1"), "refused: invalid request target"},
	{"every byte", line("GET " + everyTarget + " HTTP/1.1"), "GET " + everyTarget + " h1.test"},
	{"every byte in a query", line("GET /?" + everyTarget + " HTTP/1.1"), "GET /?" + everyTarget + " h1.test"},
	{"every byte, absolute", line("GET http://h2.test" + everyTarget + " HTTP/1.1"), "GET " + everyTarget + " h2.test"},
	{"no slash", line("GET a HTTP/1.1"), "refused: invalid request target"},
	{"query alone", line("GET ?a HTTP/1.1"), "refused: invalid request target"},

	{"absolute", line("GET http://h2.test/abs?x=1 HTTP/1.1"), "GET /abs?x=1 h2.test"},
	{"absolute in 1.0", "GET http://h2.test/ HTTP/1.0\r\n\r\n", "GET / h2.test 1.0 close"},
	{"absolute without Host", "GET http://h2.test/ HTTP/1.1\r\n\r\n", "refused: Host missing"},
	{"absolute with a bad Host", "GET http://h2.test/ HTTP/1.1\r\nHost: a b\r\n\r\n", "refused: invalid Host"},
	{"scheme in any case", line("GET HtTp://h2.test:81/ HTTP/1.1"), "GET / h2.test:81"},
	{"no path", line("GET http://h2.test HTTP/1.1"), "GET / h2.test"},
	{"empty port", line("GET http://h2.test:/ HTTP/1.1"), "GET / h2.test:"},
	{"IPv6", line("GET http://[::1]:80/ HTTP/1.1"), "GET / [::1]:80"},
	{"query without a path", line("GET http://h2.test?x=1 HTTP/1.1"), "GET /?x=1 h2.test"},
	{"OPTIONS without a path", line("OPTIONS http://h2.test HTTP/1.1"), "OPTIONS * h2.test"},
	{"OPTIONS with a query", line("OPTIONS http://h2.test?x HTTP/1.1"), "OPTIONS /?x h2.test"},
	{"OPTIONS with a path", line("OPTIONS http://h2.test/ HTTP/1.1"), "OPTIONS / h2.test"},
	{"userinfo", line("GET http://user:pw@h2.test/ HTTP/1.1"), "refused: invalid authority in the request target"},
	{"at in the path", line("GET http://h2.test/@ HTTP/1.1"), "GET /@ h2.test"},
	{"empty authority", line("GET http:///abs HTTP/1.1"), "refused: invalid authority in the request target"},
	{"nothing after the scheme", line("GET http:// HTTP/1.1"), "refused: invalid authority in the request target"},
	{"backslash after the host", line("GET http://h2.test\\a HTTP/1.1"), "refused: invalid authority in the request target"},
	{"bar in the host", line("GET http://h2|test/ HTTP/1.1"), "refused: invalid authority in the request target"},
	{"port alone", line("GET http://:80/ HTTP/1.1"), "refused: invalid authority in the request target"},
	{"bad port", line("GET http://h2.test:8x/ HTTP/1.1"), "refused: invalid authority in the request target"},
	{"https", line("GET https://h2.test/ HTTP/1.1"), "refused: scheme not served here"},
	{"ftp", line("GET ftp://h2.test/ HTTP/1.1"), "refused: scheme not served here"},
	{"one slash", line("GET http:/h2.test/ HTTP/1.1"), "refused: invalid request target"},
	{"scheme with a bad byte", line("GET ht@tp://h2.test/ HTTP/1.1"), "refused: invalid request target"},
	{"scheme that begins with a digit", line("GET 1http://h2.test/ HTTP/1.1"), "refused: invalid request target"},
	{"no scheme", line("GET ://h2.test/ HTTP/1.1"), "refused: invalid request target"},

	{"asterisk", line("OPTIONS * HTTP/1.1"), "OPTIONS * h1.test"},
	{"asterisk for GET", line("GET * HTTP/1.1"), "refused: invalid request target"},
	{"two asterisks", line("OPTIONS ** HTTP/1.1"), "refused: invalid request target"},
	{"authority for GET", line("GET h1.test:80 HTTP/1.1"), "refused: invalid request target"},
	{"path for CONNECT", line("CONNECT /a HTTP/1.1"), "refused: invalid request target"},
	{"CONNECT without a port", line("CONNECT h2.test HTTP/1.1"), "refused: invalid request target"},
	{"CONNECT with an empty port", line("CONNECT h2.test: HTTP/1.1"), "refused: invalid request target"},
	{"CONNECT with a URI", line("CONNECT http://h2.test:80 HTTP/1.1"), "refused: invalid request target"},
}

func TestTargets(t *testing.T) { checkHeads(t, newRequest, targetCases) }

// TestSecureTargets: on a conn of the scheme https, an absolute-form target has either scheme.
func TestSecureTargets(t *testing.T) {
	for _, tc := range []struct {
		target string
		want   Status
		reason Reason
	}{
		{"https://h2.test/", Done, NoReason}, {"HtTpS://h2.test/", Done, NoReason}, {"/", Done, NoReason},
		{"http://h2.test/", Done, NoReason}, {"ftp://h2.test/", Bad, OtherScheme}, {"httpss://h2.test/", Bad, OtherScheme},
		{"https:///", Bad, BadAuthority}, {"https://a@h2.test/", Bad, BadAuthority},
	} {
		in := line("GET " + tc.target + " HTTP/1.1")
		r := new(RequestParser)
		r.Reset(&testLimits)
		r.Secure = true
		if got := r.Feed([]byte(in)); got != tc.want || r.Reason != tc.reason {
			t.Errorf("%s: %v, %v", tc.target, got, r.Reason)
		}
	}
}

func TestConnect(t *testing.T) {
	in := line("CONNECT h2.test:443 HTTP/1.1")
	r := parsed(t, in)
	if r.Method != CONNECT || string(r.Authority.Of([]byte(in))) != "h2.test:443" || r.Path.Len != 0 {
		t.Errorf("authority %q, path %v", r.Authority.Of([]byte(in)), r.Path)
	}
}

func TestAuthority(t *testing.T) {
	good := []string{
		"h1.test", "h1.test:80", "h1.test:", "H1", "10.0.0.1:8080", "a_b~c", "a%20b", "%41",
		"!$&'()*+;=", "h:65535", "h:0", "h:00080", "[::]", "[::1]:80", "[1:2:3:4:5:6:7:8]",
		"[1::8]", "[2001:DB8::ff]", "[::ffff:192.0.2.1]", "[1:2:3:4:5:6:1.2.3.4]", "[1:2:3:4:5:6:7::]",
		strings.Repeat("a", 512),
	}
	bad := []string{
		"h1.test/evil", "a?b", "a#b", "a@b", "h:80x", "h:80:90", "a b", "a\tb", "a, b", "a,b", "h:-1",
		"h:+1", "h:65536", "h:99999999999999999999", ":80", ":", "a\\b", "a%", "a%2", "a%zz", "a\"", "<a>",
		"a\x80", "[", "[]", "[::1", "::1", "[::1]x", "[::1]:x", "[g::]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]",
		"[1::2::3]", "[:::]", "[:1]", "[1:]", "[12345::]", "[1:2:3:4:5:6:7:8::]", "[::1.2.3]", "[::1.2.3.256]",
		"[::1.2.3.4.5]", "[::01.2.3.4]", "[1.2.3.4]", "[fe80::1%25eth0]", "[v1.x]", "a[", "a]",
		strings.Repeat("a", 513),
	}
	for _, s := range good {
		if !authority([]byte(s)) {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range bad {
		if authority([]byte(s)) {
			t.Errorf("%q accepted", s)
		}
		if in := "GET / HTTP/1.1\r\nHost: " + s + "\r\n\r\n"; feed(newRequest, testLimits, []byte(in)).reason != BadHost {
			t.Errorf("Host %q accepted", s)
		}
	}
}
