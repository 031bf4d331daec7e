package httpparse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"testing"
)

// fuzzLimits are small, so that the fuzzer meets them.
var fuzzLimits = Limits{HeadBytes: 400, Fields: 12, TargetBytes: 120}

// sameHowever checks that cuts make no difference and returns the outcome.
func sameHowever(t *testing.T, fresh func(Limits) parser, in []byte, cut uint) outcome {
	whole := feed(fresh, fuzzLimits, in)
	if got := feed(fresh, fuzzLimits, in, int(cut%uint(len(in)+1))); !got.equal(whole) {
		t.Fatalf("%q cut at %d: %+v, want %+v", in, cut%uint(len(in)+1), got, whole)
	}
	if got := feed(fresh, fuzzLimits, in, everyByte(len(in))...); !got.equal(whole) {
		t.Fatalf("%q byte by byte: %+v, want %+v", in, got, whole)
	}
	if whole.status == More && len(in) >= fuzzLimits.HeadBytes {
		t.Fatalf("%q: no verdict at the limit", in)
	}
	return whole
}

// rewritten are the fields that lb writes itself, or that net/http takes out.
var rewritten = SetOf(Host, Connection, ContentLength, TransferEncoding, Trailer)

// kept returns the fields of h that a rewritten message has, under net/http's names.
func kept(h *Message, b []byte) http.Header {
	m := http.Header{}
	for _, f := range h.Fields {
		if !rewritten.Has(f.ID) && !h.Nominates(b, f) {
			m.Add(string(f.Name.Of(b)), string(f.Value.Of(b)))
		}
	}
	return m
}

// sameFields checks that our parser and net/http find the fields want.
func sameFields(t *testing.T, ours *Message, b []byte, theirs, want http.Header) {
	if m := kept(ours, b); fmt.Sprint(m) != fmt.Sprint(want) {
		t.Fatalf("our fields of %q are %v, want %v", b, m, want)
	}
	if want.Get("Pragma") == "no-cache" { // net/http adds Cache-Control
		theirs.Del("Cache-Control")
		want.Del("Cache-Control")
	}
	if fmt.Sprint(theirs) != fmt.Sprint(want) {
		t.Fatalf("net/http's fields of %q are %v, want %v", b, theirs, want)
	}
}

func FuzzRequest(f *testing.F) {
	for _, table := range [][]headCase{requestLineCases, requestFieldCases, requestFramingCases, targetCases} {
		for i, tc := range table {
			f.Add([]byte(tc.in), uint(i))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint) {
		if sameHowever(t, newRequest, in, cut).status != Done {
			return
		}
		var r RequestParser
		r.Reset(&fuzzLimits)
		r.Feed(in)
		if r.Method == CONNECT {
			return
		}
		out := append([]byte(nil), r.MethodName.Of(in)...)
		out = r.AppendPath(append(out, ' '), in)
		out = fmt.Appendf(out, " HTTP/1.1\r\nHost: %s\r\n", r.Authority.Of(in))
		path := out[r.MethodName.Len+1 : bytes.LastIndex(out, []byte(" HTTP/1.1"))]
		out = append(AppendFields(out, in, &r.Message, rewritten), "\r\n"...)
		sameRequest(t, &r, in, out, path)
	})
}

// sameRequest checks that out is read as the request r of in, with this path.
func sameRequest(t *testing.T, r *RequestParser, in, out, path []byte) {
	var again RequestParser
	again.Reset(&testLimits)
	if again.Feed(out) != Done {
		t.Fatalf("%q: refused what we wrote: %v", out, again.Reason)
	}
	if _, err := url.ParseRequestURI(string(path)); err != nil && string(path) != "*" {
		path = bytes.ReplaceAll(path, []byte{'%'}, []byte("%25")) // net/http wants each '%' to be an escape
		out = bytes.Replace(out, again.Path.Of(out), path, 1)
		again.Reset(&testLimits)
		again.Feed(out)
	}
	theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
	if err != nil {
		t.Fatalf("%q: net/http refused what we wrote: %v", out, err)
	}
	if !bytes.Equal(again.Path.Of(out), path) || theirs.RequestURI != string(path) {
		t.Fatalf("%q: targets %q and %q, want %q", out, again.Path.Of(out), theirs.RequestURI, path)
	}
	if m := string(r.MethodName.Of(in)); string(again.MethodName.Of(out)) != m || theirs.Method != m || again.Method != r.Method {
		t.Fatalf("%q: methods %q and %q, want %q", out, again.MethodName.Of(out), theirs.Method, m)
	}
	if h := string(r.Authority.Of(in)); string(again.Authority.Of(out)) != h || theirs.Host != h {
		t.Fatalf("%q: hosts %q and %q, want %q", out, again.Authority.Of(out), theirs.Host, h)
	}
	sameFields(t, &again.Message, out, theirs.Header, kept(&r.Message, in))
}

func FuzzResponse(f *testing.F) {
	for _, table := range [][]headCase{statusLineCases, oddStatusCases, responseFramingCases, oddFieldCases, oddFramingCases} {
		for i, tc := range table {
			f.Add([]byte(tc.in), uint(i), i%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint, head bool) {
		m := GET
		if head {
			m = HEAD
		}
		if sameHowever(t, newResponse(m), in, cut).status != Done {
			return
		}
		var r, again ResponseParser
		r.Reset(&fuzzLimits, m)
		in = bytes.Clone(in) // folded lines are joined in it
		r.Feed(in)
		out := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", r.Code, r.Phrase.Of(in))
		out = append(AppendFields(out, in, &r.Message, rewritten), "\r\n"...)
		again.Reset(&testLimits, m)
		if again.Feed(out) != Done || again.Code != r.Code || !bytes.Equal(again.Phrase.Of(out), r.Phrase.Of(in)) {
			t.Fatalf("%q: %v, %d %q", out, again.Reason, again.Code, again.Phrase.Of(out))
		}
		theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil || theirs.StatusCode != r.Code {
			t.Fatalf("%q: net/http: %v, %v", out, err, theirs)
		}
		sameFields(t, &again.Message, out, theirs.Header, kept(&r.Message, in))
	})
}

func FuzzChunks(f *testing.F) {
	for i, tc := range slices.Concat(chunkCases, oddChunkCases) {
		f.Add([]byte(tc.in), uint(i), i%2 == 0)
		f.Add([]byte(tc.in), uint(i), i%2 != 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint, answer bool) {
		body, used, st, r := decode(t, answer, in)
		for _, cuts := range [][]int{{int(cut % uint(len(in)+1))}, everyByte(len(in))} {
			b, n, s, why := decode(t, answer, in, cuts...)
			if !bytes.Equal(b, body) || n != used || s != st || why != r {
				t.Fatalf("%q cut at %v: %q %d %d %v, want %q %d %d %v", in, cuts, b, n, s, why, body, used, st, r)
			}
		}
		if st != Done {
			return
		}
		// net/http refuses white space around extensions and other amounts of them.
		theirs, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(in)))
		if err == nil && !bytes.Equal(theirs, body) {
			t.Fatalf("%q: %q, but net/http reads %q", in, body, theirs)
		}
	})
}

func FuzzTrailers(f *testing.F) {
	for i, tc := range slices.Concat(trailerCases, oddTrailerCases) {
		f.Add([]byte(tc.in), uint(i), i%2 == 0)
		f.Add([]byte(tc.in), uint(i), i%2 != 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint, answer bool) {
		fresh := newTrailers
		if answer {
			fresh = newAnswerTrailers
		}
		if sameHowever(t, fresh, in, cut).status != Done {
			return
		}
		var tr, again Trailers
		tr.Reset(&fuzzLimits, answer)
		in = bytes.Clone(in)
		tr.Feed(in)
		want := textproto.MIMEHeader{}
		for _, f := range tr.Fields {
			if name := f.Name.Of(in); mayTrail(name) {
				want.Add(string(name), string(f.Value.Of(in)))
			}
		}
		out := append(AppendTrailers(nil, in, &tr), "\r\n"...)
		again.Reset(&testLimits, false)
		if again.Feed(out) != Done || !bytes.Equal(out[:len(out)-2], AppendTrailers(nil, out, &again)) {
			t.Fatalf("%q: %v, or other fields", out, again.Reason)
		}
		theirs, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(out))).ReadMIMEHeader()
		if err != nil || fmt.Sprint(theirs) != fmt.Sprint(want) {
			t.Fatalf("%q: net/textproto: %v, %v; want %v", out, err, theirs, want)
		}
	})
}
