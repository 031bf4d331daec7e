package httpparse

import (
	"strings"
	"testing"
)

// oddReply is a response with these lines and a length, whose fields are shown.
func oddReply(fields string) string { return reply(fields + cl5) }

// shownResponse describes a response by its fields as they are written again.
type shownResponse struct{ *ResponseParser }

func (r shownResponse) describe(b []byte) string {
	return strings.ReplaceAll(string(AppendFields(nil, b, &r.Message, SetOf(ContentLength, Connection, TransferEncoding))), "\r\n", "|") + r.traits()
}

func newShownResponse(l Limits) parser {
	return shownResponse{newResponse(GET)(l).(*ResponseParser)}
}

// Fields that an answer alone may have, and their neighbours that are refused. want has
// each line as it is written again, with | for CRLF.
var oddFieldCases = []headCase{
	{"LF alone", oddReply("X-A: a\nX-B: b\n"), "X-A: a|X-B: b| length 5"},
	{"LF and CRLF mixed", oddReply("X-A: a\nX-B: b\r\nX-C:c\nX-D: d\r\n"), "X-A: a|X-B: b|X-C: c|X-D: d| length 5"},
	{"LF ends an empty value", oddReply("X-A:\nX-B: \nX-C: \t\n"), "X-A: |X-B: |X-C: | length 5"},
	{"LF ends the head", "HTTP/1.1 200 OK\r\nX-A: a\r\n\n", "X-A: a| until-close close"},
	{"CRLF ends a head of LFs", "HTTP/1.1 200 OK\nX-A: a\n\r\n", "X-A: a| until-close close"},
	{"LF ends framing fields", "HTTP/1.1 200 OK\nContent-Length: 5\nConnection: close\n\n", " length 5 close"},
	{"LF after a space", oddReply("X-A: a \nX-B: b\t \n"), "X-A: a|X-B: b| length 5"},
	{"LF and no colon", oddReply("X-A\nX-B: b\r\n"), "refused: header line without a colon"},
	{"CR CR LF", oddReply("X-A: a\r\r\n"), "refused: bare CR"},
	{"bare CR before LF of another line", oddReply("X-A: a\rX-B: b\n"), "refused: bare CR"},
	{"bare CR ends the head", "HTTP/1.1 200 OK\nX-A: a\n\rX", "refused: bare CR"},

	{"fold", oddReply("X-A: a\r\n b\r\n"), "X-A: a b| length 5"},
	{"fold with tabs and spaces", oddReply("X-A: a \t\r\n\t \tb\r\nX-B: c\r\n"), "X-A: a b|X-B: c| length 5"},
	{"folds", oddReply("X-A: a\r\n b\r\n c\r\n   d  e\r\n"), "X-A: a b c d  e| length 5"},
	{"fold by LF", oddReply("X-A:a\n b\n\tc\n"), "X-A: a b c| length 5"},
	{"fold that looks like a field", oddReply("X-A: a\r\n Set-Cookie: evil=1\r\n"), "X-A: a Set-Cookie: evil=1| length 5"},
	{"fold after an empty value", oddReply("X-A:\r\n a\r\n"), "X-A: a| length 5"},
	{"fold of blanks", oddReply("X-A: a\r\n \r\nX-B: b\r\n"), "X-A: a|X-B: b| length 5"},
	{"fold of blanks, and another", oddReply("X-A: a\r\n \t\r\n b\r\n"), "X-A: a b| length 5"},
	{"fold of blanks at the end", "HTTP/1.1 200 OK\r\nX-A: a\r\n \r\n\r\n", "X-A: a| until-close close"},
	{"fold of a known field", oddReply("Set-Cookie: a=1;\r\n Path=/\r\n"), "Set-Cookie: a=1; Path=/| length 5"},
	{"NUL in a fold", oddReply("X-A: a\r\n \x00\r\n"), "refused: control character in a header value"},
	{"bare CR in a fold", oddReply("X-A: a\r\n b\rc\r\n"), "refused: bare CR"},
	{"fold first", reply(" X-A: a\r\n"), "refused: folded header line"},
	{"folded length", reply("Content-Length: 5\r\n 6\r\n"), "refused: folded header line"},
	{"folded coding", reply("Transfer-Encoding:\r\n chunked\r\n"), "refused: folded header line"},
	{"folded Connection", oddReply("Connection: close,\r\n X-A\r\n"), "refused: folded header line"},

	{"space before the colon", oddReply("X-A : 1\r\n"), "X-A: 1| length 5"},
	{"blanks before the colon", oddReply("X-A \t :1\r\n"), "X-A: 1| length 5"},
	{"and the name is known", oddReply("Connection : X-A\r\nX-A: 1\r\nX-B:2\r\n"), "X-B: 2| length 5 close nominated"},
	{"length with a space before the colon", reply("Content-Length : 5\r\n"), " length 5 close"},
	{"coding with a space before the colon", reply("Transfer-Encoding : chunked\r\n"), " chunked close"},
	{"two words before the colon", oddReply("X A: 1\r\n"), "refused: space before the colon of a header line"},
	{"space before LF", oddReply("X-A \nX-B: 1\r\n"), "refused: space before the colon of a header line"},
	{"no name", oddReply(": 1\r\n"), "refused: invalid header name"},
	{"blank name", oddReply("X-B: 1\r\n\t: 1\r\n"), "X-B: 1 : 1| length 5"},
	{"paren in the name", oddReply("X(A): 1\r\n"), "refused: invalid header name"},

	{"control bytes in a value", oddReply("X-A: \x01a\v\f\x1b\x7f\x1f\r\nX-B:\v\r\n"), "X-A: a|X-B: | length 5"},
	{"obs-text in a value", oddReply("X-A: \x80\xff\x85\r\n"), "X-A: \x80\xff\x85| length 5"},
	{"control bytes within a value", oddReply("X-A: a\v\x1b\x7fb \x01c\n"), "X-A: a   b  c| length 5"},
	{"control byte before a length", "HTTP/1.1 200 OK\r\nContent-Length: \x1b5\r\n\r\n", "refused: control character in a header value"},
	{"control byte after a coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\v\r\n\r\n", "refused: control character in a header value"},
	{"NUL after another control byte", oddReply("X-A: \x01\x00\r\n"), "refused: control character in a header value"},
}

func TestOddFields(t *testing.T) { checkHeads(t, newShownResponse, oddFieldCases) }

// TestFoldsCount: a folded line counts as a field.
func TestFoldsCount(t *testing.T) {
	l := Limits{HeadBytes: 1 << 10, Fields: 4, TargetBytes: 1}
	for _, tc := range []headCase{
		{"within the limit", reply("X-A: 1\r\n 2\r\n 3\r\n 4\r\n"), "200 OK until-close close"},
		{"above the limit", reply("X-A: 1\r\n 2\r\n 3\r\n 4\r\n 5\r\n"), "refused: folded header line"},
	} {
		t.Run(tc.name, func(t *testing.T) { checkHead(t, newResponse(GET), l, tc) })
	}
}

// Framing fields that an answer alone may have, and their neighbours that are refused.
var oddFramingCases = []headCase{
	{"semicolon after close", oddReply("Connection: close;\r\n"), "200 OK length 5 close"},
	{"parameter of keep-alive", oddReply("Connection: Keep-Alive, timeout=5\r\n"), "200 OK length 5 close"},
	{"quoted option", oddReply("Connection: \"keep-alive\"\r\n"), "200 OK length 5 close"},
	{"malformed and nominated", oddReply("Connection: a b, X-Hop\r\n"), "200 OK length 5 close nominated"},

	{"empty coding and a length", oddReply("Transfer-Encoding:\r\n"), "200 OK length 5 close"},
	{"empty coding", reply("Transfer-Encoding:\r\n"), "200 OK until-close close"},
	{"commas for a coding", oddReply("Transfer-Encoding: , ,\r\n"), "200 OK length 5 close"},
	{"identity", reply("Transfer-Encoding: identity\r\nConnection: keep-alive\r\n"), "200 OK until-close close"},
	{"identity and a length", oddReply("Transfer-Encoding: Identity\r\n"), "200 OK length 5 close"},
	{"identity, chunked", reply("Transfer-Encoding: identity, chunked\r\n"), "200 OK chunked close"},
	{"chunked, identity", reply("Transfer-Encoding: chunked, identity\r\n"), "refused: invalid Transfer-Encoding"},
	{"chunked, then identity", reply("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "refused: invalid Transfer-Encoding"},
	{"chunked, chunked", reply("Transfer-Encoding: chunked, chunked\r\n"), "200 OK chunked close"},
	{"chunked thrice", reply("Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\nTransfer-Encoding: chunked\r\n"), "200 OK chunked close"},
	{"comma after chunked", reply("Transfer-Encoding: chunked,\r\n"), "200 OK chunked close"},
	{"chunked, then nothing", reply("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"), "200 OK chunked close"},
	{"chunked, then gzip", reply("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), "refused: invalid Transfer-Encoding"},
	{"gzip, then chunked", reply("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "refused: transfer coding not supported"},
	{"gzip, then gzip", reply("Transfer-Encoding: gzip\r\nTransfer-Encoding: gzip\r\n"), "refused: transfer coding not supported"},
	{"quoted chunked", reply("Transfer-Encoding: \"chunked\"\r\n"), "refused: invalid Transfer-Encoding"},
	{"chunked with a parameter", reply("Transfer-Encoding: chunked;q=1\r\n"), "refused: invalid Transfer-Encoding"},
	{"unknown coding and a length", oddReply("Transfer-Encoding: foo\r\n"), "refused: transfer coding not supported"},
	{"length, then chunked", oddReply("Transfer-Encoding: chunked\r\n"), "200 OK chunked close"},
	{"chunked and lengths that differ", oddReply("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"), "refused: more than one Content-Length"},
	{"chunked and a bad length", reply("Transfer-Encoding: chunked\r\nContent-Length: x\r\n"), "refused: invalid Content-Length"},
	{"chunked and a length in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" + cl5 + "\r\n", "200 OK 1.0 chunked close"},
	{"100 with an unknown coding", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: foo\r\n\r\n", "100 Continue close"},
	{"204 with an unknown coding", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: foo\r\n\r\n", "204 No Content close"},
	{"304 with a length and chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n" + cl5 + "\r\n", "304 Not Modified"},
}

func TestOddFraming(t *testing.T) { checkHeads(t, newResponse(GET), oddFramingCases) }

// TestRequestsStayStrict: each malformation that is taken in an answer is refused in a
// request, apart from options of Connection.
func TestRequestsStayStrict(t *testing.T) {
	status := len("HTTP/1.1 200 OK\r\n")
	for _, tc := range oddFieldCases {
		in := "POST / HTTP/1.1\r\n" + host + tc.in[status:]
		if got := feed(newRequest, testLimits, []byte(in)); strings.HasPrefix(tc.in, "HTTP/1.1 200 OK\r\n") && !onlyText(tc.in) && got.status != Bad {
			t.Errorf("%s: %q is taken as %q", tc.name, in, got)
		}
	}
	for _, tc := range oddFramingCases {
		in := "POST / HTTP/1.1\r\n" + host + tc.in[strings.Index(tc.in, "\n")+1:]
		if got := feed(newRequest, testLimits, []byte(in)); strings.Contains(in, "Transfer-Encoding") && got.status != Bad && tc.in != plainChunked(tc.in) {
			t.Errorf("%s: %q is taken as %q", tc.name, in, got)
		}
	}
}

// onlyText reports whether the odd thing in the lines of in is obs-text, which requests may
// have.
func onlyText(in string) bool { return strings.Contains(in, "\x80") }

// plainChunked returns in if its one framing field is a plain Transfer-Encoding, which is
// odd for its place alone.
func plainChunked(in string) string {
	if strings.Count(in, "Transfer-Encoding: chunked\r\n") == 1 && !strings.Contains(in, "Content-Length") {
		return in
	}
	return ""
}

// TestFoldKeepsTheBuffer: joining moves no byte outside the field.
func TestFoldKeepsTheBuffer(t *testing.T) {
	in := []byte(reply("X-A: a\r\n\t b\r\n c\r\nX-B: 1\r\n") + "body")
	var r ResponseParser
	r.Reset(&testLimits, GET)
	if r.Feed(in) != Done || string(in[r.HeadLen:]) != "body" || string(r.Fields[0].Value.Of(in)) != "a b c" || string(r.Fields[1].Value.Of(in)) != "1" {
		t.Errorf("%v, %q", r.Reason, in)
	}
}
