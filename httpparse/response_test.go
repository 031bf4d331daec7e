package httpparse

import "testing"

// reply is a response of code 200 with these lines.
func reply(fields string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" }

const cl5 = "Content-Length: 5\r\n"

var statusLineCases = []headCase{
	{"200", "HTTP/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"words", "HTTP/1.1 404 Not Found\r\n" + cl5 + "\r\n", "404 Not Found length 5"},
	{"empty phrase", "HTTP/1.1 200 \r\n" + cl5 + "\r\n", "200  length 5"},
	{"no phrase and no space", "HTTP/1.1 200\r\n" + cl5 + "\r\n", "200  length 5"},
	{"tab and obs-text in the phrase", "HTTP/1.1 200 \tTr\xe8s bien \r\n" + cl5 + "\r\n", "200 \tTr\xe8s bien  length 5"},
	{"999", "HTTP/1.1 999 X\r\n" + cl5 + "\r\n", "999 X length 5"},
	{"1.0", "HTTP/1.0 200 OK\r\n" + cl5 + "\r\n", "200 OK 1.0 length 5 close"},
	{"1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + cl5 + "\r\n", "200 OK 1.0 length 5"},
	{"1.5 acts as 1.1", "HTTP/1.5 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "101 Switching Protocols upgrade"},
	{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "refused: HTTP version not supported"},
	{"HTTP/2 with a bad code", "HTTP/2.0 2x0 OK\r\n\r\n", "refused: HTTP version not supported"},
	{"099", "HTTP/1.1 099 OK\r\n\r\n", "refused: invalid status line"},
	{"000", "HTTP/1.1 000 OK\r\n\r\n", "refused: invalid status line"},
	{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "refused: invalid status line"},
	{"two digits", "HTTP/1.1 20 OK\r\n\r\n", "refused: invalid status line"},
	{"letters for digits", "HTTP/1.1 2dd OK\r\n\r\n", "refused: invalid status line"},
	{"sign", "HTTP/1.1 +20 OK\r\n\r\n", "refused: invalid status line"},
	{"no code", "HTTP/1.1\r\n\r\n", "refused: invalid HTTP version"},
	{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", "200 OK until-close close"},
	{"tab after the code", "HTTP/1.1 200\tOK\r\n\r\n", "200 OK until-close close"},
	{"garbage", "this is no response\r\n\r\n", "refused: invalid HTTP version"},
	{"binary garbage", "\x00\x01\x02", "refused: invalid HTTP version"},
	{"lower case", "http/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"ICY", "ICY 200 OK\r\n\r\n", "refused: invalid HTTP version"},
	{"empty line first", "\r\nHTTP/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"LF first", "\nHTTP/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"LF after the code", "HTTP/1.1 200\n\n", "200  until-close close"},
	{"LF after the phrase", "HTTP/1.1 200 OK\n\n", "200 OK until-close close"},
	{"CR in the phrase", "HTTP/1.1 200 O\rK\r\n\r\n", "refused: bare CR"},
	{"CR after the code", "HTTP/1.1 200\rX\r\n\r\n", "refused: bare CR"},
	{"NUL in the phrase", "HTTP/1.1 200 O\x00K\r\n\r\n", "refused: invalid reason phrase"},
	{"control bytes in the phrase", "HTTP/1.1 200 O\x7fK\v\x1b\r\n" + cl5 + "\r\n", "200 O K   length 5"},
}

// Status lines that an answer alone may have, and their neighbours that are refused.
var oddStatusCases = []headCase{
	{"four empty lines", "\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"eight LFs", "\n\n\n\n\n\n\n\nHTTP/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"five empty lines", "\r\n\r\n\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "refused: invalid HTTP version"},
	{"bare CR first", "\rHTTP/1.1 200 OK\r\n\r\n", "refused: bare CR"},
	{"space first", " HTTP/1.1 200 OK\r\n\r\n", "refused: invalid HTTP version"},
	{"empty line, then lower case in 1.0", "\r\nhttp/1.0 200 OK\r\n" + cl5 + "\r\n", "200 OK 1.0 length 5 close"},
	{"mixed case", "Http/1.1 200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"control byte for a slash", "HTTP\x0f1.1 200 OK\r\n\r\n", "refused: invalid HTTP version"},
	{"lower-case HTTP/2", "http/2.0 200 OK\r\n\r\n", "refused: HTTP version not supported"},
	{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", "refused: invalid HTTP version"},
	{"many spaces and tabs", "HTTP/1.1 \t   200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"tab after the version", "HTTP/1.1\t200 OK\r\n" + cl5 + "\r\n", "200 OK length 5"},
	{"two spaces and no code", "HTTP/1.1  \r\n\r\n", "refused: invalid status line"},
	{"two spaces and four digits", "HTTP/1.1  2000 OK\r\n\r\n", "refused: invalid status line"},
	{"two spaces and 000", "HTTP/1.1  000 OK\r\n\r\n", "refused: invalid status line"},
	{"two spaces before the phrase", "HTTP/1.1 200  OK\r\n" + cl5 + "\r\n", "200  OK length 5"},
	{"letter after the code", "HTTP/1.1 200OK\r\n\r\n", "refused: invalid status line"},
	{"CR CR LF", "HTTP/1.1 200 OK\r\r\n\r\n", "refused: bare CR"},
	{"NUL between version and code", "HTTP/1.1 \x00200 OK\r\n\r\n", "refused: invalid status line"},
}

func TestOddStatusLine(t *testing.T) { checkHeads(t, newResponse(GET), oddStatusCases) }

func TestStatusLine(t *testing.T) { checkHeads(t, newResponse(GET), statusLineCases) }

var responseFramingCases = []headCase{
	{"length", reply(cl5), "200 OK length 5"},
	{"length 0", reply("Content-Length: 0\r\n"), "200 OK length 0"},
	{"the same twice", reply(cl5 + cl5), "200 OK length 5"},
	{"the same in a list", reply("Content-Length: 5, 5\r\n"), "200 OK length 5"},
	{"the same in both ways", reply(cl5 + "Content-Length: 5 ,05\r\n"), "200 OK length 5"},
	{"two that differ", reply(cl5 + "Content-Length: 6\r\n"), "refused: more than one Content-Length"},
	{"list that differs", reply("Content-Length: 5, 6\r\n"), "refused: more than one Content-Length"},
	{"list with junk", reply("Content-Length: 5, x\r\n"), "refused: invalid Content-Length"},
	{"list with a hole", reply("Content-Length: 5,,5\r\n"), "refused: invalid Content-Length"},
	{"list with an open end", reply("Content-Length: 5,\r\n"), "refused: invalid Content-Length"},
	{"minus", reply("Content-Length: -5\r\n"), "refused: invalid Content-Length"},
	{"empty", reply("Content-Length:\r\n"), "refused: invalid Content-Length"},
	{"2^64+5", reply("Content-Length: 18446744073709551621\r\n"), "refused: invalid Content-Length"},
	{"chunked", reply("Transfer-Encoding: Chunked\r\n"), "200 OK chunked"},
	{"none", reply(""), "200 OK until-close close"},
	{"none, and keep-alive", reply("Connection: keep-alive\r\n"), "200 OK until-close close"},
	{"chunked and length", reply("Transfer-Encoding: chunked\r\n" + cl5), "200 OK chunked close"},
	{"unknown coding", reply("Transfer-Encoding: foo\r\n"), "refused: transfer coding not supported"},
	{"gzip, chunked", reply("Transfer-Encoding: gzip, chunked\r\n"), "refused: transfer coding not supported"},
	{"chunked twice", reply("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "200 OK chunked close"},
	{"chunked in 1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK 1.0 chunked close"},
	{"two Hosts say nothing", reply("Host: a b\r\nHost: c\r\n" + cl5), "200 OK length 5"},
	{"nominated on two lines", reply("Connection: x-one,\r\nConnection: keep-alive , X-TWO\r\n" + cl5), "200 OK length 5 nominated"},

	{"NUL", reply("X-A: a\x00b\r\n"), "refused: control character in a header value"},
	{"bare CR", reply("X-A: a\rb\r\n"), "refused: bare CR"},
	{"no colon", reply("X-A\r\n"), "refused: header line without a colon"},

	{"100", "HTTP/1.1 100 Continue\r\n\r\n", "100 Continue"},
	{"100 with a length", "HTTP/1.1 100 Continue\r\n" + cl5 + "\r\n", "100 Continue"},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content"},
	{"204 with a length", "HTTP/1.1 204 No Content\r\n" + cl5 + "\r\n", "204 No Content"},
	{"204 chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "204 No Content"},
	{"204 with lengths that differ", "HTTP/1.1 204 No Content\r\nContent-Length: 5, 6\r\n\r\n", "refused: more than one Content-Length"},
	{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", "304 Not Modified"},
	{"304 with a length", "HTTP/1.1 304 Not Modified\r\n" + cl5 + "\r\n", "304 Not Modified length 5 no-body"},
	{"304 with a bad length", "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", "refused: invalid Content-Length"},
	{"205 has a frame", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "205 Reset Content length 0"},
}

func TestResponseFraming(t *testing.T) { checkHeads(t, newResponse(GET), responseFramingCases) }

func TestResponseToHEAD(t *testing.T) {
	checkHeads(t, newResponse(HEAD), []headCase{
		{"length", reply("Content-Length: 1234\r\n"), "200 OK length 1234 no-body"},
		{"none", reply(""), "200 OK"},
		{"chunked", reply("Transfer-Encoding: chunked\r\n"), "200 OK"},
		{"bad length", reply("Content-Length: 5, 6\r\n"), "refused: more than one Content-Length"},
	})
}

// TestLengthWithoutBody: -1 means that there is no Content-Length to pass on.
func TestLengthWithoutBody(t *testing.T) {
	for _, tc := range []struct {
		in   string
		m    Method
		want int64
	}{
		{reply(""), HEAD, -1},
		{reply("Content-Length: 0\r\n"), HEAD, 0},
		{"HTTP/1.1 304 Not Modified\r\n\r\n", GET, -1},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", GET, 7},
		{"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", GET, -1},
		{"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n", HEAD, -1},
		{reply(""), GET, -1},
		{reply("Transfer-Encoding: chunked\r\n"), GET, -1},
	} {
		var r ResponseParser
		r.Reset(&testLimits, tc.m)
		if st := r.Feed([]byte(tc.in)); st != Done || r.Length != tc.want {
			t.Errorf("%q: status %d, length %d, want %d", tc.in, st, r.Length, tc.want)
		}
	}
}

// TestNothingAfterHeadIsRead: the bytes after a head belong to the body.
func TestNothingAfterHeadIsRead(t *testing.T) {
	in := reply(cl5)
	var r ResponseParser
	r.Reset(&testLimits, GET)
	if st := r.Feed([]byte(in + "\x00\n\r")); st != Done || int(r.HeadLen) != len(in) {
		t.Errorf("status %d, %v, HeadLen %d, want %d", st, r.Reason, r.HeadLen, len(in))
	}
}
