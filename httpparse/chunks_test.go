package httpparse

import (
	"bytes"
	"strings"
	"testing"
)

// chunkCase is a chunked body without its trailer section. body is its data; reason is
// why it is refused. Without a rest, all of in is used up.
type chunkCase struct {
	name, in, body string
	reason         Reason
	rest           int // bytes after the last chunk's line
}

const last = "0\r\n"

var chunkCases = []chunkCase{
	{name: "one", in: "5\r\nhello\r\n" + last, body: "hello"},
	{name: "two", in: "6\r\nhello \r\n5\r\nworld\r\n" + last, body: "hello world"},
	{name: "empty", in: last},
	{name: "zeros", in: "000\r\n"},
	{name: "leading zeros", in: "0000000000000005\r\nhello\r\n" + last, body: "hello"},
	{name: "hexadecimal in both cases", in: "0A\r\n0123456789\r\n0b\r\n0123456789a\r\n" + last, body: "01234567890123456789a"},
	{name: "look-alikes in the data", in: "8\r\n\r\n0\r\n\r\n5\r\n" + last, body: "\r\n0\r\n\r\n5"},
	{name: "trailer section after", in: "1\r\nx\r\n0\r\nX-T: 1\r\n\r\n", body: "x", rest: 10},
	{name: "extensions", in: "5;a=b;c;d=\"e;f\"\r\nhello\r\n0;last\r\n", body: "hello"},
	{name: "extension with white space", in: "5 ;\ta = b ; c\t; d = \"e\\\"\\\\\t\x80\" ;e\r\nhello\r\n" + last, body: "hello"},
	{name: "empty quotes", in: "5;a=\"\"\r\nhello\r\n" + last, body: "hello"},
	{name: "line of 4 KiB", in: "5;" + strings.Repeat("a", 4092) + "\r\nhello\r\n" + last, body: "hello"},

	{name: "no size", in: "\r\nhello\r\n", reason: BadChunkSize},
	{name: "empty line for the last chunk", in: "5\r\nhello\r\n\r\n\r\n", reason: BadChunkSize},
	{name: "0x5", in: "0x5\r\nhello\r\n", reason: BadChunkSize},
	{name: "plus", in: "+5\r\nhello\r\n", reason: BadChunkSize},
	{name: "minus", in: "-5\r\nhello\r\n", reason: BadChunkSize},
	{name: "minus zero", in: "-0\r\n\r\n", reason: BadChunkSize},
	{name: "space before", in: " 5\r\nhello\r\n", reason: BadChunkSize},
	{name: "letter", in: "g\r\n", reason: BadChunkSize},
	{name: "underscore", in: "1_0\r\n", reason: BadChunkSize},
	{name: "two sizes", in: "5 5\r\nhello\r\n", reason: BadChunkExt},
	{name: "space after", in: "5 \r\nhello\r\n", reason: BadChunkExt},
	{name: "NUL after", in: "5\x00\r\nhello\r\n", reason: BadChunkSize},
	{name: "17 digits", in: "00000000000000005\r\nhello\r\n", reason: BadChunkSize},
	{name: "2^64+5", in: "10000000000000005\r\nhello\r\n", reason: BadChunkSize},
	{name: "2^64-1", in: "ffffffffffffffff\r\nhello\r\n", reason: BadChunkSize},
	{name: "2^63", in: "8000000000000000\r\nhello\r\n", reason: BadChunkSize},
	{name: "LF after the size", in: "5\nhello\r\n", reason: BareLF},
	{name: "LF in place of a size", in: "\nhello\r\n", reason: BareLF},
	{name: "last chunk by LFs", in: "5\r\nhello\r\n0\n\n", reason: BareLF},
	{name: "CR after the size", in: "5\rhello\r\n", reason: BareCR},
	{name: "no CRLF after the data", in: "5\r\nhello0\r\n\r\n", reason: NoChunkEnd},
	{name: "more data than size", in: "5\r\nhelloXX\r\n", reason: NoChunkEnd},
	{name: "LF after the data", in: "5\r\nhello\n0\r\n", reason: NoChunkEnd},
	{name: "CR X after the data", in: "5\r\nhello\rX0\r\n", reason: NoChunkEnd},

	{name: "no semicolon", in: "5 a=b\r\nhello\r\n", reason: BadChunkExt},
	{name: "no name", in: "5;\r\nhello\r\n", reason: BadChunkExt},
	{name: "two semicolons", in: "5;;a\r\nhello\r\n", reason: BadChunkExt},
	{name: "no value", in: "5;a=\r\nhello\r\n", reason: BadChunkExt},
	{name: "two values", in: "5;a=b c\r\nhello\r\n", reason: BadChunkExt},
	{name: "two equal signs", in: "5;a==b\r\nhello\r\n", reason: BadChunkExt},
	{name: "quoted name", in: "5;\"a\"\r\nhello\r\n", reason: BadChunkExt},
	{name: "space at the end", in: "5;a \r\nhello\r\n", reason: BadChunkExt},
	{name: "open quote", in: "5;a=\"x\r\nhello\r\n", reason: BadChunkExt},
	{name: "CR after a backslash", in: "5;a=\"\\\r\nhello\r\n", reason: BadChunkExt},
	{name: "junk after a quote", in: "5;a=\"x\"y\r\nhello\r\n", reason: BadChunkExt},
	{name: "NUL in quotes", in: "5;a=\"\x00\"\r\nhello\r\n", reason: BadChunkExt},
	{name: "NUL in a name", in: "5;a\x00\r\nhello\r\n", reason: BadChunkExt},
	{name: "obs-text in a name", in: "5;\x80\r\nhello\r\n", reason: BadChunkExt},
	{name: "LF in an extension", in: "2;\nxx\r\n", reason: BareLF},
	{name: "LF in quotes", in: "2;a=\"\n\"\r\n", reason: BareLF},
	{name: "CR X in an extension", in: "5;a\rXb\r\nhello\r\n", reason: BareCR},
	{name: "line above 4 KiB", in: "5;" + strings.Repeat("a", 4093) + "\r\nhello\r\n", reason: LongChunkLine},
	{name: "line without an end", in: "5;" + strings.Repeat("a", 5000), reason: LongChunkLine},
}

// oddChunkCases are bodies that an answer alone may have, and their neighbours that are
// refused there, too.
var oddChunkCases = []chunkCase{
	{name: "padded", in: "5   \r\nhello\r\n6 \t \r\n world\r\n0   \r\n", body: "hello world"},
	{name: "padded before an extension", in: "5  ;a=b \r\nhello\r\n0 ; c\r\n", body: "hello"},
	{name: "space after an extension", in: "5;a \r\nhello\r\n0;a=\"b\"\t\r\n", body: "hello"},
	{name: "semicolon alone", in: "5;\r\nhello\r\n0 ;\r\n", body: "hello"},
	{name: "malformed extensions", in: "5;;a==\x80 b\t;=\r\nhello\r\n0;(\r\n", body: "hello"},
	{name: "open quote", in: "5;a=\"x\r\nhello\r\n0\r\n", body: "hello"},
	{name: "LF after the size", in: "5\nhello\r\n0\n", body: "hello"},
	{name: "LF after padding", in: "5 \nhello\r\n0\t\n", body: "hello"},
	{name: "LF after the data", in: "5\r\nhello\n0\r\n", body: "hello"},
	{name: "LF throughout", in: "5\nhello\n6\n world\n0\n", body: "hello world"},
	{name: "LF as data", in: "1\n\n\n0\n", body: "\n"},
	{name: "padded line of 4 KiB", in: "5" + strings.Repeat(" ", 4093) + "\r\nhello\r\n" + last, body: "hello"},

	{name: "space before the size", in: " 5\r\nhello\r\n", reason: BadChunkSize},
	{name: "two sizes", in: "5 5\r\nhello\r\n", reason: BadChunkSize},
	{name: "NUL after a space", in: "5 \x00\r\nhello\r\n", reason: BadChunkSize},
	{name: "no semicolon", in: "5 a=b\r\nhello\r\n", reason: BadChunkSize},
	{name: "NUL in an extension", in: "5;a\x00\r\nhello\r\n", reason: BadChunkExt},
	{name: "CR X in an extension", in: "5;a\rXb\r\nhello\r\n", reason: BareCR},
	{name: "extension above 4 KiB", in: "5;" + strings.Repeat("a", 4093) + "\r\nhello\r\n", reason: LongChunkLine},
	{name: "LF in place of a size", in: "5\r\nhello\r\n\n", reason: BareLF},
	{name: "LF after an extension", in: "5;a\nhello\r\n", reason: BareLF},
	{name: "LF after an extension and a space", in: "5;a \nhello\r\n", reason: BareLF},
	{name: "LF in quotes", in: "2;a=\"\n\"\r\n", reason: BareLF},
	{name: "LF after a semicolon", in: "2;\nxx\r\n", reason: BareLF},
	{name: "CR after a space", in: "5 \rhello\r\n", reason: BareCR},
	{name: "CR CR LF", in: "5\r\r\nhello\r\n", reason: BareCR},
	{name: "no line end after the data", in: "5\nhello0\n\n", reason: NoChunkEnd},
	{name: "CR X after the data", in: "5\nhello\rX0\n", reason: NoChunkEnd},
	{name: "LF CR LF after the data", in: "5\r\nhello\n\r\n", reason: BadChunkSize},
	{name: "padded line above 4 KiB", in: "5" + strings.Repeat(" ", 4094) + "\r\nhello\r\n", reason: LongChunkLine},
}

// decode feeds in to a new Chunks, in pieces that end at cuts, and returns the result
// and the number of bytes used.
func decode(t testing.TB, answer bool, in []byte, cuts ...int) (body []byte, used int, st Status, r Reason) {
	var c Chunks
	c.Reset(answer)
	for _, end := range append(cuts, len(in)) {
		for {
			b := in[used:end:end]
			data, n, st := c.Next(b)
			if int(data.Off+data.Len) > n || n > len(b) {
				t.Fatalf("data %v of %d bytes used up of %d", data, n, len(b))
			}
			body = append(body, data.Of(b)...)
			used += n
			if st != More {
				return body, used, st, c.Reason
			}
			if n == 0 {
				break
			}
		}
		if used != end {
			t.Fatalf("%d of %d bytes used up and no verdict", used, end)
		}
	}
	return body, used, More, c.Reason
}

func TestChunks(t *testing.T) { checkChunks(t, chunkCases, false) }

func TestOddChunks(t *testing.T) {
	checkChunks(t, oddChunkCases, true)
	for _, tc := range oddChunkCases { // none of them is for requests
		if _, _, st, _ := decode(t, false, []byte(tc.in)); st != Bad {
			t.Errorf("%s: status %d in a request", tc.name, st)
		}
	}
	for _, tc := range chunkCases { // what a request may have, an answer may have
		if body, _, st, r := decode(t, true, []byte(tc.in)); tc.reason == NoReason && (st != Done || string(body) != tc.body) {
			t.Errorf("%s: %v in an answer", tc.name, r)
		}
	}
}

// TestPaddingIsNoExtension: white space after sizes is not limited as extensions are.
func TestPaddingIsNoExtension(t *testing.T) {
	in := append(bytes.Repeat([]byte("1       \r\nx\r\n"), 2*extsMax), "0\r\n"...)
	if _, _, st, r := decode(t, true, in); st != Done {
		t.Errorf("status %d, %v", st, r)
	}
}

func checkChunks(t *testing.T, cases []chunkCase, answer bool) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			in := []byte(tc.in)
			cuts := [][]int{nil, everyByte(len(in))}
			for cut := range in {
				cuts = append(cuts, []int{cut})
			}
			for _, cut := range cuts {
				body, used, st, r := decode(t, answer, in, cut...)
				switch {
				case tc.reason != NoReason:
					if st != Bad || r != tc.reason {
						t.Fatalf("cut at %v: status %d, %v; want %v", cut, st, r, tc.reason)
					}
				case st != Done || string(body) != tc.body || used != len(in)-tc.rest:
					t.Fatalf("cut at %v: status %d, %v, %q, %d used up", cut, st, r, body, used)
				}
			}
		})
	}
}

// TestChunkInOneSpan: all available data is returned at once.
func TestChunkInOneSpan(t *testing.T) {
	var c Chunks
	b := append([]byte("7fffffffffffffff\r\n"), make([]byte, 1<<16)...)
	data, n, st := c.Next(b)
	if data != (Span{18, 1 << 16}) || n != len(b) || st != More {
		t.Errorf("data %v, n %d, status %d", data, n, st)
	}
	if data, n, st = c.Next(b); data != (Span{0, uint32(len(b))}) || n != len(b) || st != More {
		t.Errorf("and then: data %v, n %d, status %d", data, n, st)
	}
}

// TestManyExtensions: a body with next to no data cannot carry endless extensions
// (CVE-2023-39326); a body with data may carry its share.
func TestManyExtensions(t *testing.T) {
	ext := strings.Repeat("a", 1023)
	small := bytes.Repeat([]byte("1;"+ext+"\r\nx\r\n"), 200)
	if _, used, st, r := decode(t, false, small); st != Bad || r != ManyChunkExts || used > extsMax+1<<12 {
		t.Errorf("bytes: status %d, %v after %d", st, r, used)
	}
	large := bytes.Repeat([]byte("8000;"+ext+"\r\n"+strings.Repeat("x", 1<<15)+"\r\n"), 200)
	if _, _, st, r := decode(t, false, large); st != More {
		t.Errorf("chunks of 32 KiB: status %d, %v", st, r)
	}
}

func TestChunksAgain(t *testing.T) {
	var c Chunks
	for range 2 {
		for range 2 { // a verdict is final
			if _, _, st := c.Next([]byte("x")); st != Bad || c.Reason != BadChunkSize {
				t.Fatalf("status %d, %v", st, c.Reason)
			}
		}
		c.Reset(false)
		if _, n, st := c.Next([]byte("0\r\n\r\n")); st != Done || n != 3 {
			t.Fatalf("status %d, n %d", st, n)
		}
		if _, n, st := c.Next([]byte("\r\n")); st != Done || n != 0 {
			t.Fatalf("after Done: status %d, n %d", st, n)
		}
		c.Reset(false)
	}
}

func TestChunksMemory(t *testing.T) {
	in := []byte("5;a=\"b\"\r\nhello\r\n0\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var c Chunks
		for used, st := 0, More; st == More; {
			var n int
			if _, n, st = c.Next(in[used:]); st == Bad {
				t.Fatal(c.Reason)
			}
			used += n
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
}
