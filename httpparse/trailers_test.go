package httpparse

import (
	"strings"
	"testing"
)

var trailerCases = []headCase{
	{"none", "\r\n", ""},
	{"one", "X-T: 1\r\n\r\n", "X-T=1"},
	{"two", "X-T: 1\r\nx-u:\t2 \r\n\r\n", "X-T=1 x-u=2"},
	{"Content-Length has no say", "Content-Length: x\r\nContent-Length: 6\r\n\r\n", "Content-Length=x Content-Length=6"},
	{"nor has Transfer-Encoding", "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding=gzip"},
	{"nor Host, nor Connection", "Host: a b\r\nConnection: ;\r\n\r\n", "Host=a b Connection=;"},
	{"request line in its place", "GET / HTTP/1.1\r\nHost: h1.test\r\n\r\n", "refused: space before the colon of a header line"},
	{"space before the colon", "X-T : 1\r\n\r\n", "refused: space before the colon of a header line"},
	{"no colon", "X-T\r\n\r\n", "refused: header line without a colon"},
	{"NUL", "X-T: a\x00b\r\n\r\n", "refused: control character in a header value"},
	{"bare CR", "X-T: a\rb\r\n\r\n", "refused: bare CR"},
	{"bare LF", "X-T: a\n\r\n", "refused: bare LF"},
	{"bare LF at the end", "X-T: a\r\n\n", "refused: bare LF"},
	{"bare LF alone", "\n", "refused: bare LF"},
	{"CR X at the end", "\rX", "refused: bare CR"},
	{"fold", "X-T: a\r\n b\r\n\r\n", "refused: folded header line"},
}

// Trailer sections that an answer alone may have.
var oddTrailerCases = []headCase{
	{"LF alone", "X-T: 1\nX-U:2\n\n", "X-T=1 X-U=2"},
	{"LF and nothing", "\n", ""},
	{"mixed", "X-T: 1\r\nX-U: 2\n\r\n", "X-T=1 X-U=2"},
	{"fold", "X-T: a\r\n b\r\n\r\n", "X-T=a b"},
	{"fold of framing, which has no say", "Content-Length: 1\r\n 2\r\n\r\n", "Content-Length=1 2"},
	{"fold first", " X-T: a\r\n\r\n", "refused: folded header line"},
	{"space before the colon", "X-T : 1\r\n\r\n", "X-T=1"},
	{"control byte", "X-T: a\x01b\r\n\r\n", "X-T=a b"},
	{"NUL", "X-T: a\x00b\r\n\r\n", "refused: control character in a header value"},
	{"bare CR", "X-T: a\rb\r\n\r\n", "refused: bare CR"},
	{"status line in its place", "HTTP/1.1 200 OK\r\nX-T: 1\r\n\r\n", "refused: invalid header name"},
}

func TestTrailers(t *testing.T) {
	checkHeads(t, newAnswerTrailers, oddTrailerCases)
	checkHeads(t, newTrailers, trailerCases)
	for _, tc := range []headCase{
		{"fields above the limit", "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", "refused: too many header fields"},
		{"bytes above the limit", "A: " + strings.Repeat("v", 40) + "\r\n\r\n", "refused: header section too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkHead(t, newTrailers, Limits{HeadBytes: 40, Fields: 2, TargetBytes: 1}, tc)
		})
	}
}

// TestAppendTrailers: fields about framing, routing and credentials are not passed on: a
// recipient might merge them into the head.
func TestAppendTrailers(t *testing.T) {
	for _, name := range []string{
		"Transfer-Encoding", "Content-Length", "Host", "Connection", "Keep-Alive", "Proxy-Connection",
		"Upgrade", "TE", "Trailer", "Authorization", "Proxy-Authorization", "Proxy-Authenticate",
		"WWW-Authenticate", "Authentication-Info", "Proxy-Authentication-Info", "Cookie", "Set-Cookie",
		"set-cookie2", "Content-Type", "content-encoding", "Content-Range", "Expect", "Max-Forwards", "Via",
		"X-Forwarded-For", "X-FORWARDED-PORT", "X-Forwarded-Client-Certificate-Chain", "Forwarded",
		"X-Real-IP", "X-Original-URL", "HTTP2-Settings",
		"X_Forwarded_For", "x-forwarded_proto", "TRANSFER_ENCODING", "Content_Length", "X_Real-IP", "Set_Cookie",
	} {
		if got := sentTrailers(t, name+": 1\r\n"); got != "" {
			t.Errorf("%s is passed on", name)
		}
	}
	kept := "X-T: 1\r\nGrpc-Status: 0\r\nServer-Timing: a;dur=1\r\nETag: \"x\"\r\nIfs: 1\r\nDigest: y\r\n" +
		"Content-Digest: a\r\nContent-MD5: b\r\nRepr-Digest: c\r\nx-amz-checksum-crc32: d\r\nContent-Lengths: e\r\n" +
		"Date: f\r\nCache-Control: g\r\nX_T: h\r\nX-Real-IP-Of-A-Name-That-Is-Longer: i\r\nUnsubscribed-Cookie: j\r\n"
	if got := sentTrailers(t, kept); got != kept {
		t.Errorf("got %q, want %q", got, kept)
	}
	if got := sentTrailers(t, "X-T:\ta \r\nHost: x\r\nx-u:\r\n"); got != "X-T: a\r\nx-u: \r\n" {
		t.Errorf("not rewritten: %q", got)
	}
}

// sentTrailers returns the output of AppendTrailers for these lines.
func sentTrailers(t *testing.T, lines string) string {
	var tr Trailers
	tr.Reset(&testLimits, false)
	b := []byte(lines + "\r\n")
	if tr.Feed(b) != Done {
		t.Fatalf("%q: %v", lines, tr.Reason)
	}
	return string(AppendTrailers(nil, b, &tr))
}
