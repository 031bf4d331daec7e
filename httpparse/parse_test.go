package httpparse

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var testLimits = Limits{HeadBytes: 64 << 10, Fields: 128, TargetBytes: 16 << 10}

// headCase is one head as raw bytes. want is describe's text for it, or "refused: " and
// the reason.
type headCase struct {
	name, in, want string
}

// parser is the part of the three head parsers that tests use.
type parser interface {
	Feed(b []byte) Status
	parts() (*Message, *lineParser)
	describe(b []byte) string
}

func (r *RequestParser) parts() (*Message, *lineParser)  { return &r.Message, &r.lineParser }
func (r *ResponseParser) parts() (*Message, *lineParser) { return &r.Message, &r.lineParser }
func (t *Trailers) parts() (*Message, *lineParser)       { return &t.Message, &t.lineParser }

func newRequest(l Limits) parser {
	r := new(RequestParser)
	r.Reset(&l)
	return r
}

func newResponse(m Method) func(Limits) parser {
	return func(l Limits) parser {
		r := new(ResponseParser)
		r.Reset(&l, m)
		return r
	}
}

func newTrailers(l Limits) parser {
	t := new(Trailers)
	t.Reset(&l, false)
	return t
}

func newAnswerTrailers(l Limits) parser {
	t := new(Trailers)
	t.Reset(&l, true)
	return t
}

func (r *RequestParser) describe(b []byte) string {
	s := fmt.Sprintf("%s %s %s", r.MethodName.Of(b), r.AppendPath(nil, b), r.Authority.Of(b))
	if r.ExpectContinue {
		s += " expect"
	}
	return s + r.traits()
}

func (r *ResponseParser) describe(b []byte) string {
	return fmt.Sprintf("%d %s", r.Code, r.Phrase.Of(b)) + r.traits()
}

func (t *Trailers) describe(b []byte) string {
	var s []string
	for _, f := range t.Fields {
		s = append(s, fmt.Sprintf("%s=%s", f.Name.Of(b), f.Value.Of(b)))
	}
	return strings.Join(s, " ")
}

// traits names the unusual traits of a head. HTTP/1.1, no body and keep-alive are usual.
func (h *Message) traits() (s string) {
	if h.Minor != 1 {
		s += " 1.0"
	}
	switch {
	case h.Framing == Length, h.Framing == None && h.Length > 0:
		s += fmt.Sprint(" length ", h.Length)
	case h.Framing == Chunked:
		s += " chunked"
	case h.Framing == Close:
		s += " until-close"
	}
	if h.Framing == None && h.Length > 0 {
		s += " no-body"
	}
	for _, t := range []struct {
		is   bool
		name string
	}{{h.Close, " close"}, {h.UpgradeOption, " upgrade"}, {h.Nominated, " nominated"}} {
		if t.is {
			s += t.name
		}
	}
	return s
}

// outcome is everything that a parser reports about a head.
type outcome struct {
	status Status
	reason Reason
	off    uint32
	len    uint32
	text   string
	fields []Field
}

func outcomeOf(p parser, st Status, b []byte) outcome {
	h, at := p.parts()
	o := outcome{status: st, reason: at.Reason, off: at.ReasonOff, len: h.HeadLen}
	if st == Done {
		o.text, o.fields = p.describe(b), h.Fields
	}
	return o
}

func (o outcome) String() string {
	if o.status == Bad {
		return "refused: " + o.reason.String()
	}
	return o.text
}

func (o outcome) equal(p outcome) bool {
	return o.status == p.status && o.reason == p.reason && o.off == p.off && o.len == p.len &&
		o.text == p.text && slices.Equal(o.fields, p.fields)
}

// feed feeds in to a fresh parser: the bytes before each cut, in a new buffer each time,
// and then all of them. A buffer begins as the parser left the one before.
func feed(fresh func(Limits) parser, l Limits, in []byte, cuts ...int) outcome {
	p := fresh(l)
	var buf []byte
	for _, cut := range append(cuts, len(in)) {
		buf = append(bytes.Clone(buf), in[len(buf):cut]...)
		if st := p.Feed(buf[:cut:cut]); st != More || cut == len(in) {
			return outcomeOf(p, st, buf)
		}
	}
	panic("no verdict at the last cut")
}

// everyByte returns the cuts that feed n bytes one by one.
func everyByte(n int) []int {
	cuts := make([]int, n)
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

// checkHead runs one case whole, cut in two at every byte, and byte by byte.
func checkHead(t *testing.T, fresh func(Limits) parser, l Limits, tc headCase) {
	t.Helper()
	in := []byte(tc.in)
	whole := feed(fresh, l, in)
	if got := whole.String(); got != tc.want {
		t.Errorf("got %q, want %q", got, tc.want)
	}
	if whole.status == More {
		t.Errorf("not over")
	}
	for cut := range in {
		if got := feed(fresh, l, in, cut); !got.equal(whole) {
			t.Errorf("cut at %d: %+v, want %+v", cut, got, whole)
		}
	}
	if got := feed(fresh, l, in, everyByte(len(in))...); !got.equal(whole) {
		t.Errorf("byte by byte: %+v, want %+v", got, whole)
	}
}

func checkHeads(t *testing.T, fresh func(Limits) parser, cases []headCase) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { checkHead(t, fresh, testLimits, tc) })
	}
}
