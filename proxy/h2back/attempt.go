package h2back

import (
	"errors"

	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/lane"
	"lb/proxy/mux"
	"lb/proxy/record"
	"lb/upstream"
)

// Attempt is one attempt on a Conn, of which it waits for the dial or has a stream. It
// implements back.Back.
type Attempt struct {
	conns      *Conns
	c          *Conn // or nil if that has failed
	s          *stream
	owner      back.Owner
	prev, next *Attempt // in Conn.waits; next alone in the free list
	waiting    bool     // in Conn.waits
	reused     bool     // the conn had streams before
	early      bool     // its stream was opened before the backend had said how many it allows
	progress   back.Progress
	fault      record.Fault // with Failed
	made       record.Made  // with Failed: as far as the conn was made
}

var _ back.Back = (*Attempt)(nil)

// stream is the stream of an attempt.
type stream struct {
	mux.Stream
	a   *Attempt     // or nil when it is over
	bad record.Fault // of a head or trailers that were refused
}

// newStream is for h2.Shared.New.
func newStream() *h2.Stream {
	s := new(stream)
	return mux.NewStream(&s.Stream, s)
}

// streamOf returns the stream that m is a part of.
func streamOf(m *mux.Stream) *stream { return m.User().(*stream) }

// Ready implements mux.User.
func (s *stream) Ready() {
	if s.a != nil {
		s.a.owner.Advance()
	}
}

// refuse ends s because of a head or trailers that have r.
func (s *stream) refuse(r *h2.Result) {
	if r.Verdict == h2.TooLarge {
		s.bad = record.ByBackend(record.CauseBadAnswer)
		s.bad.Detail = uint16(httpparse.LongHead)
		s.Reset(h2.Cancel)
		return
	}
	s.bad = record.ByHTTP2(record.CauseBadAnswer, record.Malformed, uint32(r.Reason))
	s.Reset(h2.ProtocolError)
}

// list is a list of attempts.
type list struct{ first, last *Attempt }

func (l *list) push(a *Attempt) {
	a.prev, a.next, a.waiting = l.last, nil, true
	if l.last != nil {
		l.last.next = a
	} else {
		l.first = a
	}
	l.last = a
}

// drop takes a out of l, if it is there.
func (l *list) drop(a *Attempt) {
	if !a.waiting {
		return
	}
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		l.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		l.last = a.prev
	}
	a.prev, a.next, a.waiting = nil, nil, false
}

// attempt returns a free attempt.
func (s *Conns) attempt() *Attempt {
	a := s.attempts
	if a == nil {
		return &Attempt{conns: s}
	}
	s.attempts, a.next = a.next, nil
	return a
}

// In implements back.Back.
func (a *Attempt) In() *lane.Inbox {
	if a.s == nil {
		return nil
	}
	return &a.s.In
}

// Streams implements back.Back.
func (a *Attempt) Streams() bool { return true }

// Connect implements back.Back.
func (a *Attempt) Connect() (p back.Progress, f record.Fault) { return a.progress, a.fault }

// Late implements back.Back.
func (a *Attempt) Late(since tick.Instant) (f record.Fault, late bool) {
	if a.c == nil || a.c.stage != dialled {
		return record.ByBackend(record.CauseSlow), true
	}
	return a.c.dial.Late(a.conns.Loop, since)
}

// Made implements back.Back.
func (a *Attempt) Made() record.Made {
	if a.c == nil {
		return a.made
	}
	return a.c.dial.Made
}

// Flush implements back.Back.
func (a *Attempt) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	if a.s == nil {
		return 0, mux.ErrGone
	}
	return a.s.Flush(ln, in)
}

// Takes implements back.Back.
func (a *Attempt) Takes() bool { return a.s == nil || a.s.Takes() }

// ShutdownWrite implements back.Back. No stream to a backend is a tunnel.
func (a *Attempt) ShutdownWrite() error {
	if a.s == nil {
		return mux.ErrGone
	}
	return a.s.ShutdownWrite()
}

// AssumeReadable implements back.Back. There is nothing to be looked for.
func (a *Attempt) AssumeReadable() {}

// errRefused is the error of an answer that HTTP/2 or lb does not allow.
var errRefused = errors.New("h2back: the answer was refused")

// Fill implements back.Back.
func (a *Attempt) Fill(bulk bool) (n int, err error) {
	switch {
	case a.s == nil:
		return 0, mux.ErrGone
	case a.s.bad.Cause != record.NoCause:
		return 0, errRefused
	}
	return a.s.Fill(bulk)
}

// Over implements back.Back.
func (a *Attempt) Over() (section []byte, over bool) {
	if a.s == nil || a.s.bad.Cause != record.NoCause {
		return nil, false
	}
	return a.s.Over()
}

// More implements back.Back.
func (a *Attempt) More() bool { return a.s == nil || a.s.More() }

// Fault implements back.Back.
func (a *Attempt) Fault(err error) record.Fault {
	switch {
	case a.s == nil && a.progress == back.Failed:
		return a.fault
	case a.s == nil:
		return record.ByBackend(record.CauseReset)
	case a.s.bad.Cause != record.NoCause:
		return a.s.bad
	}
	code := uint32(a.s.Code)
	if a.Unseen() {
		a.conns.Counters.HTTP2Unprocessed.Add(1)
	}
	switch a.s.Heard {
	case h2.Aborted:
		return record.ByHTTP2(record.CauseReset, record.StreamReset, code)
	case h2.Faulted:
		return record.ByHTTP2(record.CauseBadAnswer, record.Broken, code)
	case h2.Unheard:
		return record.ByHTTP2(record.CauseReset, record.ConnEnded, uint32(a.c.said))
	}
	if a.s.Code == h2.EnhanceYourCalm { // heads without end
		return record.ByBackend(record.CauseBadAnswer)
	}
	return a.c.fault()
}

// fault returns the fault of a backend with which c has ended, as the streams on it see it.
func (c *Conn) fault() record.Fault {
	why := c.Why()
	e, broken := why.(*mux.Error)
	switch {
	case broken && e.Flood != h2.NoFlood:
		return record.ByHTTP2(record.CauseBadAnswer, record.Flooded, uint32(e.Flood))
	case broken && e.Code != h2.NoError && !c.allowed:
		return record.ByHTTP2(record.CauseBadAnswer, record.NoHTTP2, 0)
	case broken && e.Code != h2.NoError:
		return record.ByHTTP2(record.CauseBadAnswer, record.Broken, uint32(e.Code))
	case c.leaving && c.said != h2.NoError:
		return record.ByHTTP2(record.CauseReset, record.ConnEnded, uint32(c.said))
	case why != nil && !broken:
		return record.ByReading(why, c.tls != nil)
	}
	return record.ByBackend(record.CauseReset)
}

// Shut implements back.Back. A backend that has ended its answer may still take the request.
func (a *Attempt) Shut() bool { return a.Gone() }

// Gone implements back.Back.
func (a *Attempt) Gone() bool { return a.s == nil || a.s.Gone() }

// Reused implements back.Back. GOAWAY with an error, or on a conn that had no stream before, is
// no conn that ends in time: the backend is in trouble. It is in none if it refuses a stream
// beyond those that it allows: lb opened that before it knew.
func (a *Attempt) Reused() bool {
	c := a.c
	if c == nil {
		return false
	}
	refused := a.Unseen() && a.s.Heard == h2.Aborted
	return refused && (a.early && c.crowded || c.CanOpen() == 0) ||
		a.reused && (!c.heard && !c.Lives() || c.leaving && c.said == h2.NoError && a.Unseen())
}

// Unseen implements back.Back.
func (a *Attempt) Unseen() bool { return a.s != nil && a.s.Gone() && a.s.Code == h2.RefusedStream }

// NoteStale implements back.Back.
func (a *Attempt) NoteStale(asked tick.Instant) {
	if a.c != nil && !a.c.heard {
		upstream.IdleClosed(a.c.to.State, asked.Sub(a.c.since), a.conns.Loop.Now())
	}
}

// Keep implements back.Back.
func (a *Attempt) Keep(bool) bool {
	a.Drop()
	return true
}

// Drop implements back.Back. A stream that has not ended is reset, and the conn stays.
func (a *Attempt) Drop() {
	if a.owner == nil {
		return
	}
	a.owner = nil
	if c := a.c; c != nil {
		a.c = nil
		c.leave(a)
	}
	a.next, a.conns.attempts = a.conns.attempts, a
}
