package lane

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/internal/testkit"
)

var limits = httpparse.Limits{HeadBytes: 4 << 10, Fields: 20, TargetBytes: 1 << 10}

// course is one body on its way through a lane.
type course struct {
	from, to httpparse.Framing
	input    string // the body, framed
	length   int64
	head     string
	slab     int    // bytes of small slabs
	fill     int    // bytes that come at once
	take     int    // bytes that are written at once
	answer   bool   // the body is that of an answer
	parts    bool   // what is pending is taken in parts
	section  string // the trailer section of a stream
}

// result is the outcome of a course.
type result struct {
	out    string // head and body
	used   int    // bytes of the input
	whole  bool
	bad    bool
	reason httpparse.Reason
}

// mover moves the bytes of a course as an exchange would.
type mover struct {
	course
	t    testing.TB
	a    *arena.Arena
	in   Inbox
	ln   Lane
	rest string // of the input, still to come
	out  []byte

	trailers string // taken as a part
}

// arenas are kept from test to test, by the size of their small slabs.
var arenas = make(map[int]*arena.Arena)

func (c course) mover(t testing.TB) *mover {
	if arenas[c.slab] == nil {
		arenas[c.slab] = arena.New(c.slab, LargeBytes(limits.HeadBytes, 0))
	}
	m := &mover{course: c, t: t, rest: c.input, a: arenas[c.slab]}
	m.ln.SetHead(append(m.ln.Restart(m.a, len(c.head)), c.head...), len(c.head))
	m.ln.Answer = c.answer
	m.ln.Begin(c.from, c.to, c.length)
	return m
}

// run moves all bytes of a course.
func (c course) run(t testing.TB) result {
	m := c.mover(t)
	r := m.run()
	r.used = len(c.input) - len(m.rest) - m.in.Len()
	m.release()
	return r
}

func (m *mover) release() {
	m.in.Release(m.a)
	m.ln.Release(m.a)
	if n := m.a.Out(); n != 0 {
		m.t.Errorf("%d slabs are still out", n)
	}
}

func (m *mover) run() (r result) {
	for turns := 0; !m.ln.Done(); turns++ {
		if turns > 10*(len(m.input)+10) {
			m.t.Fatalf("%+v does not come to an end: %d bytes left, %d in the inbox, starved %t", m.course, len(m.rest), m.in.Len(), m.ln.Starved)
		}
		if !m.ln.Whole {
			reason, bad := m.compose()
			if n := m.ln.BodyBytes(); n < 0 {
				m.t.Errorf("%q: %d bytes of the body", m.input, n)
			}
			if bad || m.ln.Starved && m.rest == "" && m.from < httpparse.Close {
				return result{out: string(m.out), bad: bad, reason: reason}
			}
		}
		for !m.ln.Flushed() {
			if m.parts {
				m.writeParts()
			} else {
				m.write(m.take)
			}
		}
		m.in.Drop(m.a)
	}
	if m.parts && m.to == httpparse.Chunked {
		m.out = append(m.out, "0\r\n"+m.trailers+"\r\n"...)
	}
	if m.ln.Claimed() != 0 || m.ln.Torn() || m.ln.BodyBytes() != m.ln.Taken {
		m.t.Errorf("at the end %d bytes claimed, torn %t, %d bytes of %d", m.ln.Claimed(), m.ln.Torn(), m.ln.BodyBytes(), m.ln.Taken)
	}
	return result{out: string(m.out), whole: true}
}

// compose fills the inbox and composes.
func (m *mover) compose() (httpparse.Reason, bool) {
	if m.in.Len() == 0 || m.ln.Starved {
		if m.rest == "" && m.from >= httpparse.Close {
			return m.ln.End(m.a, []byte(m.section), &limits)
		}
		n := copy(m.in.Room(m.a, m.ln.Bulk()), m.rest[:min(m.fill, len(m.rest))])
		m.in.Put(n)
		if m.rest = m.rest[n:]; n == 0 {
			m.ln.Starved = true
			return httpparse.NoReason, false
		}
	}
	return m.ln.Compose(m.a, &m.in, &limits)
}

// writeParts takes what is pending in parts, and writes them as chunks if the lane is to.
func (m *mover) writeParts() {
	for more := true; more; {
		part, b := m.ln.Part(&m.in)
		switch part {
		case PartHead:
			m.out = append(m.out, b...)
		case PartTrailers:
			m.trailers = string(b)
		case PartBody:
			b = b[:min(len(b), m.take)]
			if m.to == httpparse.Chunked {
				m.out = fmt.Appendf(m.out, "%x\r\n%s\r\n", len(b), b)
			} else {
				m.out = append(m.out, b...)
			}
		}
		if more = m.ln.TakePart(len(b), &m.in); more == m.ln.Flushed() {
			m.t.Fatalf("after part %d of %q: another %t, flushed %t", part, b, more, m.ln.Flushed())
		}
	}
}

// write takes at most n of the pending bytes, as a writev may.
func (m *mover) write(n int) {
	before, data, after := m.ln.Pending(&m.in)
	if len(before)+len(data)+len(after) == 0 {
		m.t.Fatal("nothing is pending, and not all is flushed")
	}
	if c := m.ln.Claimed(); c < len(data) || c > m.in.Len() {
		m.t.Fatalf("%d bytes claimed of %d, %d of them data", c, m.in.Len(), len(data))
	}
	all := bytes.Join([][]byte{before, data, after}, nil)
	n = min(n, len(all))
	m.out = append(m.out, all[:n]...)
	left := m.ln.BodyBytes()
	m.ln.Advance(n, &m.in)
	if got, most := m.ln.BodyBytes()-left, int64(min(n, len(data))); got < 0 || got > most {
		m.t.Fatalf("%d bytes written, %d more body bytes have left", n, got)
	}
	rest := bytes.Join(slicesOf(m.ln.Pending(&m.in)), nil)
	if !bytes.Equal(rest, all[n:]) {
		m.t.Fatalf("after %d of %q: %q", n, all, rest)
	}
}

func slicesOf(a, b, c []byte) [][]byte { return [][]byte{a, b, c} }

// unchunk reads a chunked body in the form that lb writes: strict, without extensions.
func unchunk(s string) (body, trailers string, err error) {
	for {
		line, rest, ok := strings.Cut(s, "\r\n")
		n, err := strconv.ParseUint(line, 16, 31)
		switch {
		case !ok || err != nil:
			return "", "", fmt.Errorf("chunk line %q", line)
		case n == 0:
			trailers, ok = strings.CutSuffix(rest, "\r\n")
			if !ok || trailers != "" && !strings.HasSuffix(trailers, "\r\n") || strings.HasPrefix(trailers, "\r\n") {
				return "", "", fmt.Errorf("trailer section %q", rest)
			}
			return body, trailers, nil
		case len(rest) < int(n)+2 || rest[n:n+2] != "\r\n":
			return "", "", fmt.Errorf("a chunk of %d bytes in %q", n, rest)
		}
		body += rest[:n]
		s = rest[n+2:]
	}
}

// body is a whole body in one framing.
type body struct {
	name     string
	from     httpparse.Framing
	input    string
	body     string
	trailers string // the trailers that are passed on if the body goes out in chunks
	surplus  int    // bytes at the end of input that follow the body
	section  string // the trailer section of a stream
}

func long(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i*7%26)
	}
	return string(b)
}

var bodies = []body{
	{name: "none", from: httpparse.None},
	{name: "length 0", from: httpparse.Length},
	{name: "length", from: httpparse.Length, input: "hello", body: "hello"},
	{name: "length, then the next head", from: httpparse.Length, input: "helloGET /", body: "hello", surplus: 5},
	{name: "until the end, empty", from: httpparse.Close},
	{name: "until the end", from: httpparse.Close, input: "hello", body: "hello"},
	{name: "stream, empty", from: httpparse.Stream},
	{name: "stream", from: httpparse.Stream, input: "hello", body: "hello"},
	{name: "stream with trailers", from: httpparse.Stream, input: "hello", body: "hello", section: "x-sum: 17\r\ncontent-length: 3\r\n\r\n", trailers: "x-sum: 17\r\n"},
	{name: "chunks, empty", from: httpparse.Chunked, input: "0\r\n\r\n"},
	{name: "a chunk", from: httpparse.Chunked, input: "5\r\nhello\r\n0\r\n\r\n", body: "hello"},
	{name: "chunks", from: httpparse.Chunked, input: "5;a=b\r\nhello\r\n00001 ;c=\"\\\"\"\r\n \r\nB\r\nbig world!!\r\n000;last\r\n\r\n", body: "hello big world!!"},
	{name: "trailers", from: httpparse.Chunked, input: "5\r\nhello\r\n0\r\nX-Sum:  17\r\nContent-Length: 3\r\n\r\n", body: "hello", trailers: "X-Sum: 17\r\n"},
	{name: "chunks, then the next head", from: httpparse.Chunked, input: "5\r\nhello\r\n0\r\nA: b\r\n\r\nGET /", body: "hello", trailers: "A: b\r\n", surplus: 5},
}

// goesOn are the framings that a body may be sent in. No caller asks for chunks of a
// body whose length is known, and an empty one would not have a last chunk.
var goesOn = map[httpparse.Framing][]httpparse.Framing{
	httpparse.None:    {httpparse.None},
	httpparse.Length:  {httpparse.Length, httpparse.Close},
	httpparse.Chunked: {httpparse.Chunked, httpparse.Close},
	httpparse.Close:   {httpparse.Chunked, httpparse.Close},
	httpparse.Stream:  {httpparse.Chunked, httpparse.Length, httpparse.Close},
}

// courses calls f with every body, in every framing that it may be sent in.
func courses(t *testing.T, bodies []body, f func(t *testing.T, b body, c course)) {
	for _, b := range bodies {
		for _, to := range goesOn[b.from] {
			t.Run(fmt.Sprintf("%s, to %d", b.name, to), func(t *testing.T) {
				c := course{from: b.from, to: to, input: b.input, length: int64(len(b.body)), head: "HEAD\r\n\r\n", section: b.section}
				f(t, b, c)
				c.parts = true
				f(t, b, c)
			})
		}
	}
}

// check compares the outcome of a course with the body.
func (b body) check(t *testing.T, c course, r result) {
	t.Helper()
	got, ok := strings.CutPrefix(r.out, c.head)
	trailers := ""
	var err error
	if c.to == httpparse.Chunked {
		if got, trailers, err = unchunk(got); trailers != b.trailers {
			t.Errorf("trailers %q, want %q", trailers, b.trailers)
		}
	}
	if !ok || err != nil || got != b.body || !r.whole || r.used != len(b.input)-b.surplus {
		t.Errorf("%d at once, %d written at once, slabs of %d: got %.60q (%d bytes), head %t, %v, whole %t, %d bytes used; want %.60q (%d)",
			c.fill, c.take, c.slab, got, len(got), ok, err, r.whole, r.used, b.body, len(b.body))
	}
}

// TestFramings: each framing to each, with input and output cut in two at every byte,
// byte by byte, and with slabs that hold next to nothing.
func TestFramings(t *testing.T) {
	courses(t, bodies, func(t *testing.T, b body, c course) {
		for _, slab := range []int{SlabBytes, 8} {
			for fill := 1; fill <= len(b.input)+1; fill++ {
				for take := 1; take <= 80; take++ {
					c.slab, c.fill, c.take = slab, fill, take
					b.check(t, c, c.run(t))
				}
			}
		}
	})
}

// TestLongBodies: bodies of many slabs, in pieces that match no other size.
func TestLongBodies(t *testing.T) {
	const n = 3*SlabBytes + 17
	text := long(n)
	chunked := ""
	for rest, size := text, 1; rest != ""; size = size*3 + 1 {
		size = min(size, len(rest))
		chunked += fmt.Sprintf("%x\r\n%s\r\n", size, rest[:size])
		rest = rest[size:]
	}
	trailer := "X-Long: " + long(3<<10) + "\r\n"
	courses(t, []body{
		{name: "length", from: httpparse.Length, input: text, body: text},
		{name: "until the end", from: httpparse.Close, input: text, body: text},
		{name: "stream", from: httpparse.Stream, input: text, body: text, section: trailer + "\r\n", trailers: trailer},
		{name: "chunks", from: httpparse.Chunked, input: chunked + "0\r\n" + trailer + "\r\n", body: text, trailers: trailer},
	}, func(t *testing.T, b body, c course) {
		for _, slab := range []int{SlabBytes, 48} {
			for _, fill := range []int{100, copyMax, copyMax + 1, 1 << 20} {
				for _, take := range []int{1000, 1 << 20} {
					c.slab, c.fill, c.take = slab, fill, take
					b.check(t, c, c.run(t))
				}
			}
		}
	})
}

// TestShortBodies: a body that ends early never counts as whole, wherever it ends.
func TestShortBodies(t *testing.T) {
	courses(t, bodies, func(t *testing.T, b body, c course) {
		if b.from == httpparse.None || b.from >= httpparse.Close {
			return
		}
		c.slab, c.take = SlabBytes, 1<<20
		for n := range len(b.input) - b.surplus {
			for fill := 1; fill <= 10; fill++ {
				c.fill, c.input = fill, b.input[:n]
				if r := c.run(t); r.whole || r.bad {
					t.Errorf("%q: %+v", c.input, r)
				}
			}
		}
	})
}

// TestBadChunks: broken framing is reported, however the input is cut.
func TestBadChunks(t *testing.T) {
	for input, want := range map[string]httpparse.Reason{
		"2\r\nok\r\n0\r\n: no name\r\n\r\n": httpparse.BadName,
		"x\r\n":                             httpparse.BadChunkSize,
		"5\r\nhello0\r\n\r\n":               httpparse.NoChunkEnd,
		"0\r\n: no name\r\n\r\n":            httpparse.BadName,
		"2\r\nok\r\n10000000000000000000":   httpparse.BadChunkSize,
	} {
		for fill := 1; fill <= len(input); fill++ {
			r := course{from: httpparse.Chunked, to: httpparse.Chunked, input: input, slab: SlabBytes, fill: fill, take: 100}.run(t)
			if !r.bad || r.reason != want {
				t.Errorf("%q, %d at once: bad %t, %v, want %v", input, fill, r.bad, r.reason, want)
			}
		}
	}
}

// TestRewind: bytes that were written are written again from the first one on, as long
// as they are held.
func TestRewind(t *testing.T) {
	for _, tc := range []struct {
		body string
		held bool
	}{
		{"", true},
		{"hello", true},
		{long(copyMax), true},
		{long(copyMax + 1), false}, // written from where it was read
		{long(2 * SlabBytes), false},
	} {
		m := course{from: httpparse.Length, to: httpparse.Length, input: tc.body, length: int64(len(tc.body)),
			head: "HEAD\r\n\r\n", slab: SlabBytes, fill: 1 << 20, take: 1 << 20}.mover(t)
		for range 3 {
			m.run()
			if m.ln.Held != tc.held {
				t.Fatalf("%d bytes: held %t, want %t", len(tc.body), m.ln.Held, tc.held)
			}
			if !tc.held {
				break
			}
			m.ln.Rewind()
		}
		m.release()
		want := m.head + tc.body
		if tc.held {
			want = strings.Repeat(want, 3)
		}
		if string(m.out) != want {
			t.Errorf("%d bytes: %d bytes written, want %d", len(tc.body), len(m.out), len(want))
		}
	}
}

// TestRewindInTheMiddle: an attempt may end after any byte that it writes.
func TestRewindInTheMiddle(t *testing.T) {
	c := course{from: httpparse.Chunked, to: httpparse.Chunked, input: "5\r\nhello\r\n0\r\n\r\n", head: "HEAD\r\n\r\n", slab: SlabBytes, fill: 100, take: 100}
	want := c.run(t).out
	for n := range len(want) {
		m := c.mover(t)
		m.compose()
		m.write(n)
		if torn := n > 0; m.ln.Torn() != torn || !m.ln.Held {
			t.Errorf("after %d bytes: torn %t, held %t", n, m.ln.Torn(), m.ln.Held)
		}
		m.ln.Rewind()
		m.out = nil
		if m.run(); string(m.out) != want {
			t.Errorf("after %d bytes: %q, want %q", n, m.out, want)
		}
		m.release()
	}
}

// TestReplyOfOwnBytes: a reply has no source, and needs no inbox.
func TestReplyOfOwnBytes(t *testing.T) {
	a := arena.New(SlabBytes, LargeBytes(limits.HeadBytes, 0))
	var ln Lane
	ln.SetHead(append(ln.Restart(a, 5), "reply"...), 5)
	ln.Begin(httpparse.None, httpparse.None, 0)
	var got []byte
	for !ln.Done() {
		before, data, after := ln.Pending(nil)
		if len(data)+len(after) > 0 {
			t.Fatalf("%q and %q of no source", data, after)
		}
		got = append(got, before[0])
		ln.Advance(1, nil)
	}
	ln.Release(a)
	if before, data, after := ln.Pending(nil); string(got) != "reply" || len(before)+len(data)+len(after) > 0 || a.Out() != 0 {
		t.Errorf("%q, then %q %q %q, %d slabs out", got, before, data, after, a.Out())
	}
}

// TestMisuse: in a build with invariants, mistakes of the caller end in a panic.
func TestMisuse(t *testing.T) {
	if !invariant.On {
		t.Skip("without -tags invariants nothing is checked")
	}
	for name, f := range map[string]func(m *mover){
		"a second head before the first is written": func(m *mover) { m.ln.Restart(m.a, 1) },
		"composed while data is pending": func(m *mover) {
			m.compose()
			m.ln.Compose(m.a, &m.in, &limits)
		},
	} {
		m := course{from: httpparse.Close, to: httpparse.Close, input: long(copyMax + 1), head: "HEAD\r\n\r\n", slab: SlabBytes, fill: 1 << 20}.mover(t)
		if !testkit.Panics(func() { f(m) }) {
			t.Errorf("%s: no panic", name)
		}
		m.release()
	}
}

// TestSplice: a text goes into the head of a lane, and another one into its place, before what was
// composed after it.
func TestSplice(t *testing.T) {
	for _, small := range []int{16, 64} {
		a := arena.New(small, LargeBytes(limits.HeadBytes, 0))
		var ln Lane
		ln.SetHead(append(ln.Restart(a, 8), "Host: \r\n"...), 8)
		ln.Begin(httpparse.Chunked, httpparse.Chunked, 0)
		ln.append([]byte("after"))
		have := 0
		for _, text := range []string{"a", "long.example:8080", "", "b"} {
			ln.Splice(a, len("Host: "), have, text)
			have = len(text)
			before, _, _ := ln.Pending(nil)
			if got, want := string(before), "Host: "+text+"\r\nafter"; got != want {
				t.Errorf("slabs of %d: %q, want %q", small, got, want)
			}
			if want := len("Host: \r\n") + have; ln.cut != want {
				t.Errorf("slabs of %d: the data belongs at %d, want %d", small, ln.cut, want)
			}
		}
		ln.Release(a)
	}
}

// TestMarks: marks of a request stay for HTTP/2, and are gone for HTTP/1, with those of trailers
// that have come, or come later.
func TestMarks(t *testing.T) {
	const head, section = "GET /a:b\tHTTP/1.1\r\nHost:\ta\r\nX: \ty\r\n\r\n", "X-A:\t1\r\nX-B: \t2\r\n\r\n"
	for _, tc := range []struct {
		early, late bool // the trailers come before Unmark, or after; both: it is not called
		want        string
	}{
		{true, false, "GET /a:b HTTP/1.1\r\nHost: a\r\nX: \ty\r\n\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
		{false, true, "GET /a:b HTTP/1.1\r\nHost: a\r\nX: \ty\r\n\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"},
		{true, true, head + "0\r\nX-A:\t1\r\nX-B: 2\r\n\r\n"},
	} {
		a := arena.New(4, LargeBytes(limits.HeadBytes, 0))
		var ln Lane
		ln.SetHead(append(ln.Restart(a, len(head)), head...), len(head))
		ln.Begin(httpparse.Stream, httpparse.Chunked, -1)
		ln.Marks = true
		end := func() {
			if reason, bad := ln.End(a, []byte(section), &limits); bad {
				t.Fatal(reason)
			}
		}
		if tc.early {
			end()
		}
		if tc.early != tc.late {
			ln.Unmark()
		}
		if !tc.early {
			end()
		}
		if before, _, _ := ln.Pending(nil); string(before) != tc.want {
			t.Errorf("early %v, late %v: %q, want %q", tc.early, tc.late, before, tc.want)
		}
		ln.Release(a)
		ln.Marks = true
		if ln.Unmark(); ln.Marks {
			t.Error("an empty lane keeps marks")
		}
	}
}

// TestBulkIsForThoseThatKeepUp: after a side did not keep up, some full writes pass before
// long parts are read for it again.
func TestBulkIsForThoseThatKeepUp(t *testing.T) {
	var ln Lane
	ln.Begin(httpparse.Length, httpparse.Length, 1<<30)
	if !ln.Bulk() || ln.Asks() {
		t.Errorf("at first: bulk %t, asks %t", ln.Bulk(), ln.Asks())
	}
	ln.Taken = asksAfter + 1
	if ln.Block(false); !ln.Bulk() || !ln.Asks() || ln.Blocked {
		t.Errorf("later: bulk %t, asks %t, blocked %t", ln.Bulk(), ln.Asks(), ln.Blocked)
	}
	if ln.Block(true); ln.Bulk() || !ln.Asks() || !ln.Blocked {
		t.Errorf("blocked: bulk %t, asks %t, blocked %t", ln.Bulk(), ln.Asks(), ln.Blocked)
	}
	for range slowWrites {
		if ln.Bulk() {
			t.Error("bulk too soon")
		}
		ln.Flush(nil, nil) // all is written
	}
	if !ln.Bulk() {
		t.Error("never bulk again")
	}
}
