package proxy

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"lb/httpparse"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// stream is a front without a conn: one request and its response, in memory, as a stream of
// HTTP/2 would be. Its head arrives whole and its body unframed; it takes bytes as its
// window allows.
type stream struct {
	client *streamClient
	in     lane.Inbox
	head   httpparse.RequestParser
	lease  front.Lease // until the exchange begins
	since  tick.Instant
	x      front.Exchange // or nil before and after the exchange
	timer  loop.Timer

	whole   bool   // the head is whole
	body    []byte // bytes that the exchange has not read yet
	over    bool   // body has the last bytes
	section []byte // trailers
	gone    bool   // the client has reset the stream
	woken   bool   // ready is called at the next turn
	flushs  int    // calls of Flush, see streamWindows

	replies []streamReply
	tunnel  bool // after a 101
	ended   bool
	ending  front.Ending
}

// streamReply is one response, final or interim, as the stream took it.
type streamReply struct {
	head     []byte // "200 OK\n", field lines
	body     []byte
	trailers []byte // field lines
}

var (
	_ front.Front  = (*stream)(nil)
	_ loop.Expirer = (*stream)(nil)
)

var errStreamGone = errors.New("the stream was reset")

// streamWindows are the bytes that a narrow stream takes, call by call of Flush.
var streamWindows = [...]int{0, 1, 5, 0, 300, 2, 9000}

// setHead puts the head of the request, which is whole, into the inbox. framing is how the
// body was framed; a body without a length ends with io.EOF.
func (s *stream) setHead(head []byte, framing httpparse.Framing) httpparse.Status {
	s.head.Reset(s.lease.Limits())
	s.put(head)
	st := s.head.Feed(s.in.Bytes())
	if framing == httpparse.Chunked {
		s.head.InStream()
	}
	s.over = framing == httpparse.None
	s.whole = st == httpparse.Done
	return st
}

// put puts b, which is short, into the inbox.
func (s *stream) put(b []byte) {
	for len(b) > 0 {
		n := copy(s.in.Room(s.client.p.p.arena, false), b)
		s.in.Put(n)
		b = b[n:]
	}
}

// begin begins the exchange.
func (s *stream) begin() {
	s.x = s.client.p.p.shared.Host.Begin(s, s.lease, &s.in, &s.client.peer, &s.head.Request, s.since)
}

// ready runs the exchange. It begins the exchange when the head is whole; the part of the
// body that has arrived by then goes into the inbox after the head, if it is short.
func (s *stream) ready() {
	s.woken = false
	if s.whole && s.x == nil && !s.ended {
		n := min(len(s.body), lane.SlabBytes/2)
		s.put(s.body[:n])
		s.body = s.body[n:]
		s.begin()
	}
	if s.x != nil {
		s.work(s.x.Run)
	}
}

// work calls a method of the exchange. A panic in it is blamed on s, the front.
func (s *stream) work(f func() (ended bool)) {
	shared := &s.client.p.p.shared
	shared.Working = s
	f()
	shared.Working = nil
}

// Fill implements front.Front.
func (s *stream) Fill(bulk bool) (n int, err error) {
	p := s.client.p
	switch {
	case s.gone:
		return 0, errStreamGone
	case len(s.body) == 0 && s.over:
		return 0, io.EOF
	case len(s.body) == 0:
		s.in.Drop(p.p.arena)
		return 0, nil
	}
	n = copy(s.in.Room(p.p.arena, bulk), s.body)
	s.in.Put(n)
	s.body = s.body[n:]
	p.calls.n++
	p.p.counters.BytesFromClient.Add(uint64(n))
	return n, nil
}

// More implements front.Front.
func (s *stream) More() bool { return len(s.body) > 0 || s.over || s.gone }

// Over implements front.Front.
func (s *stream) Over() (section []byte, over bool) {
	return s.section, s.head.Framing == httpparse.Stream && len(s.body) == 0 && s.over
}

// AppendHead implements front.Front.
func (s *stream) AppendHead(d []byte, r *front.Reply) []byte {
	if r.To = r.Framing; r.To > httpparse.Length && r.Code != 101 {
		r.To = httpparse.Chunked
	}
	d = strconv.AppendInt(d, int64(r.Code), 10)
	d = append(d, ' ')
	d = append(d, r.Phrase...)
	d = append(d, '\n')
	if r.Message != nil {
		d = httpparse.AppendFields(d, r.Text, r.Message, r.Drop|httpparse.SetOf(httpparse.Trailer))
	}
	d = append(append(d, r.Lines...), r.Own...)
	if r.Length >= 0 {
		d = fmt.Appendf(d, "Content-Length: %d\r\n", r.Length)
	}
	if n := len(s.replies); n > 0 && len(s.replies[n-1].head) == 0 {
		s.replies = s.replies[:n-1] // it was composed, but no byte of it was sent
	}
	s.replies = append(s.replies, streamReply{})
	if r.Code == 101 {
		s.tunnel, s.over = true, false
		s.client.p.l.Post(s.client.read)
	}
	return d
}

// Flush implements front.Front.
func (s *stream) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	if s.gone {
		return 0, errStreamGone
	}
	window := s.window()
	for more := !ln.Flushed(); more && n < window; {
		part, b := ln.Part(in)
		if part == lane.PartBody {
			b = b[:min(len(b), window-n)]
		}
		s.take(part, b)
		n += len(b)
		more = ln.TakePart(len(b), in)
	}
	s.client.p.calls.n++
	return n, nil
}

// Takes implements front.Front.
func (s *stream) Takes() bool { return !s.client.paused }

// Behind implements front.Front.
func (s *stream) Behind() bool { return false }

// window returns how many bytes may be taken now. A window that is used up opens again in
// the next turn.
func (s *stream) window() int {
	switch {
	case s.client.paused:
		return 0
	case !s.client.narrow:
		return 1 << 30
	}
	s.flushs++
	s.Wake()
	return streamWindows[s.flushs%len(streamWindows)]
}

// take takes b as the next part of the present reply.
func (s *stream) take(part lane.Part, b []byte) {
	r := &s.replies[len(s.replies)-1]
	switch part {
	case lane.PartHead:
		r.head = append(r.head, b...)
	case lane.PartBody:
		r.body = append(r.body, b...)
	case lane.PartTrailers:
		r.trailers = append(r.trailers, b...)
	}
}

// ShutdownWrite implements front.Front.
func (s *stream) ShutdownWrite() error { return nil }

// Deadline implements front.Front.
func (s *stream) Deadline(at tick.Instant) { s.client.p.l.Arm(&s.timer, s, at) }

// Expired is called by the loop when the deadline has passed.
func (s *stream) Expired() {
	switch at := s.since.Add(s.lease.HeadTimeout()); {
	case s.x != nil:
		s.work(s.x.Expired)
	case at > s.client.p.l.Now():
		s.Deadline(at)
	default:
		s.client.reads = streamIdle
		s.begin()
		s.work(s.x.LateHead)
	}
}

// Wake implements front.Front.
func (s *stream) Wake() {
	if !s.woken {
		s.woken = true
		s.client.p.l.Post(s.ready)
	}
}

// Advance implements front.Front.
func (s *stream) Advance() { s.ready() }

// Gone implements front.Front.
func (s *stream) Gone() bool { return s.gone }

// Shut implements front.Front: a stream that ends is a whole request.
func (s *stream) Shut() bool { return false }

// End implements front.Front.
func (s *stream) End(how front.Ending) {
	s.ended, s.ending = true, how
	s.in.Release(s.client.p.p.arena)
	s.client.p.l.Disarm(&s.timer)
	s.x = nil
	s.client.streamEnded()
}

// Abandon implements front.Front.
func (s *stream) Abandon() {
	s.in.Forget(s.client.p.p.arena)
	s.x.Abandon()
	s.End(front.Reset)
}
