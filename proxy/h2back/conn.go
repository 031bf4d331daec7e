package h2back

import (
	"crypto/tls"
	"time"

	"lb/config"
	"lb/httpparse/h2"
	"lb/internal/tlsfault"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/backconn"
	"lb/proxy/lane"
	"lb/proxy/mux"
	"lb/proxy/record"
	"lb/upstream"
)

// stage is how far a conn is.
type stage uint8

const (
	dialled stage = iota // the conn is being made, its handshake included
	open                 // it speaks HTTP/2
	lost                 // it carries nothing any more
)

// Conn is one conn to a backend, from its dial on.
type Conn struct {
	mux.Conn
	s          *Conns
	to         *Target
	dial       backconn.Conn // before it is open
	prev, next *Conn         // in the target's list; next alone in the free list
	waits      list          // attempts that wait until it is ready
	timer      loop.Timer    // of an idle conn, and of one that is not ready

	tls      *tls.Config // that it was made with
	shared   *h2.Shared  // of its side, when it was opened: made for heads of that length
	stage    stage
	listed   bool    // it may get streams
	ready    bool    // its attempts may have streams, see start
	idle     bool    // it counts as idle
	used     bool    // it has had a stream
	fruitful bool    // an answer has come
	heard    bool    // something has come since it had no stream, see heardAt
	allowed  bool    // the peer has said how many streams it allows
	doubted  bool    // the backend was found down meanwhile
	crowded  bool    // they were more than that when it said so
	leaving  bool    // GOAWAY of the peer has come
	said     h2.Code // in it
	active   int     // attempts on it that wait or have a stream
	begun    tick.Instant
	retires  tick.Instant
	since    tick.Instant // when it became idle
	heardAt  tick.Instant
}

var (
	_ mux.Owner    = (*Conn)(nil)
	_ back.Carrier = (*Conn)(nil)
)

// begin makes c new.
func (c *Conn) begin(t *Target) {
	c.to, c.stage = t, dialled
	c.ready = false
	c.idle, c.used, c.heard, c.allowed, c.leaving, c.active = false, false, false, false, false, 0
	c.doubted, c.crowded, c.fruitful, c.said = false, false, false, h2.NoError
	c.begun = c.s.Loop.Now()
	c.tls = t.Manner.Any()
	c.dial.Begin()
}

// reuse gives back c, whose socket is closed or another's.
func (c *Conn) reuse() {
	c.s.Loop.Disarm(&c.timer)
	c.next, c.s.free = c.s.free, c
}

// old reports whether c is to get no new streams.
func (c *Conn) old(now tick.Instant) bool {
	switch m := &c.to.Manner; {
	case c.tls != m.Any(), (c.tls != nil) != m.TLS():
		return true
	case c.stage == dialled:
		return false
	}
	return c.doubted || now >= c.retires || c.to.Recovered() > c.begun || c.shared != c.Side().Shared || c.CanOpen() == 0 && c.Active() == 0
}

// room reports whether an attempt may join c.
func (c *Conn) room(now tick.Instant) bool {
	if c.stage == dialled {
		return now.Sub(c.begun) < Joinable && c.active < c.to.limit()
	}
	return c.CanOpen() > 0 && (c.allowed || c.active < c.to.limit())
}

// limit is how many streams a conn may have whose SETTINGS have not come.
func (t *Target) limit() int {
	if t.most == 0 {
		return assumed
	}
	return t.most
}

// doubtful reports whether c may have been closed by the backend without a word.
func (c *Conn) doubtful(now tick.Instant) bool {
	return c.stage == open && c.used && now.Sub(c.heardAt) > doubtAfter
}

// hears notes that the backend is there.
func (c *Conn) hears() { c.heard, c.heardAt = true, c.s.Loop.Now() }

// join makes an attempt of o on c.
func (c *Conn) join(o back.Owner) *Attempt {
	a := c.s.attempt()
	a.c, a.owner, a.progress, a.fault, a.made = c, o, back.Waits, record.Fault{}, record.Made{}
	c.active++
	if c.idle {
		c.wake()
	}
	if c.ready {
		c.openStream(a)
	} else {
		c.waits.push(a)
	}
	return a
}

// openStream gives a its stream.
func (c *Conn) openStream(a *Attempt) {
	if c.idle {
		c.wake()
	}
	if c.Active() == 0 {
		c.heard = !c.used
	}
	a.reused, c.used = c.used, true
	a.early = !c.allowed
	a.s = streamOf(c.OpenStream())
	a.s.a, a.s.bad = a, record.Fault{}
	a.progress = back.Ready
}

// leave ends an attempt on c.
func (c *Conn) leave(a *Attempt) {
	c.active--
	switch {
	case a.s != nil:
		st := a.s
		a.s, st.a = nil, nil
		st.Release()
	case a.waiting:
		if c.waits.drop(a); c.stage == dialled && c.active == 0 {
			c.kill()
		}
	}
}

// kill ends c, which is not open, without a word.
func (c *Conn) kill() {
	c.to.drop(c)
	if c.to.other == c {
		c.to.other = nil
	}
	c.stage = lost
	c.dial.Close(false)
	c.s.Counters.BackendConns.Sub(1)
	c.reuse()
}

// Ready is called by the loop.
func (c *Conn) Ready() {
	if c.stage != dialled {
		if c.Conn.Ready(); c.allowed && !c.ready && c.stage == open {
			c.welcome()
		}
		return
	}
	p, f := c.dial.Connect(c.s.Shared.Shared, &c.to.Manner, c.tls)
	switch {
	case p == back.Waits:
		return
	case p == back.Ready && c.to.Protocol == config.ProtocolH2 && !c.dial.Streams():
		p, f = back.Failed, record.Fault{Side: record.BackendSide, Cause: record.CauseTLS, Detail: uint16(tlsfault.NoProtocol)}
	case p == back.Ready && c.to.Protocol == config.ProtocolAuto && !c.dial.Streams():
		c.turnOut()
		return
	case p == back.Ready:
		c.start()
		return
	}
	c.to.drop(c)
	c.stage = lost
	c.dial.Close(false)
	c.s.Counters.BackendConns.Sub(1)
	c.shut(f)
	c.tell(p, f)
	c.reuse()
}

// start begins HTTP/2 on c, which has connected. No request is sent before the backend has said
// how many streams it allows, or been silent for a moment: one too many would be refused, and a
// conn that a backend in its shutdown did not take would be lost, with requests on it that
// cannot be sent again.
func (c *Conn) start() {
	s := c.s
	side := &s.plain
	if c.dial.Secure() {
		side = &s.secure
	}
	c.stage, c.shared = open, side.Shared
	now := s.Loop.Now()
	c.retires = now.Add(s.MaxAge/2 + time.Duration(s.Chance.Int64N(int64(s.MaxAge/2))))
	s.Loop.Move(&c.dial.Conn, &c.Conn.Conn, c)
	s.Counters.HTTP2BackendConns.Add(1)
	c.Begin(side, c, lane.Inbox{})
	s.Loop.Arm(&c.timer, (*timer)(c), now.Add(settleMax))
}

// welcome gives streams to the attempts that wait for c, and to all later ones at once.
func (c *Conn) welcome() {
	c.ready = true
	c.tell(back.Ready, record.Fault{})
}

// turnOut is called when the backend has chosen HTTP/1.1: the first attempt takes the conn,
// and the others have to get conns of their own.
func (c *Conn) turnOut() {
	t := c.to
	t.http1 = c.s.Loop.Now().Add(http1For)
	t.drop(c)
	t.other, c.stage = c, lost
	c.tell(back.Other, record.Fault{})
	if t.other == c {
		c.kill()
		return
	}
	c.reuse()
}

// tell moves on the attempts that wait for c. The backs of those that fail hold nothing of c.
func (c *Conn) tell(p back.Progress, f record.Fault) {
	for a := c.waits.first; a != nil; a = c.waits.first {
		c.waits.drop(a)
		if a.progress, a.fault = p, f; p != back.Ready {
			a.c, a.made = nil, c.dial.Made
		} else if c.stage == open && c.CanOpen() > 0 {
			c.openStream(a)
		} else {
			c.active--
			a.c, a.progress = nil, back.Other
		}
		a.owner.Advance()
	}
}

// retire lets c have no new streams. It ends when it has none.
func (c *Conn) retire() {
	c.to.drop(c)
	if c.unused() {
		c.Part(h2.NoError)
	}
}

// unused reports whether c speaks HTTP/2, and nothing uses it.
func (c *Conn) unused() bool { return c.stage == open && c.Active() == 0 && c.waits.first == nil }

// TurnEnds is called by the loop at the end of a turn.
func (c *Conn) TurnEnds() {
	if c.unused() && !c.idle {
		if !c.listed || c.s.Draining || c.to.Gone {
			c.retire()
		} else {
			c.rest()
		}
	}
	c.Conn.TurnEnds()
}

// rest makes c idle.
func (c *Conn) rest() {
	s := c.s
	c.idle, c.since = true, s.Loop.Now()
	s.Counters.BackendIdle.Add(1)
	limit := upstream.IdleTimeout(c.to.State, s.IdleTimeout, c.since)
	s.Loop.Arm(&c.timer, (*timer)(c), c.since.Add(limit))
}

// wake ends rest.
func (c *Conn) wake() {
	c.idle = false
	c.s.Counters.BackendIdle.Sub(1)
}

// timer is a Conn as its timer sees it.
type timer Conn

// Expired is called by the loop.
func (t *timer) Expired() {
	switch c := (*Conn)(t); {
	case c.idle:
		c.retire()
	case c.stage == open && !c.ready:
		c.welcome()
	}
}

// Each implements back.Carrier.
func (c *Conn) Each(f func(back.Owner)) {
	for a := c.waits.first; a != nil; a = a.next {
		f(a.owner)
	}
	if c.stage != open {
		return
	}
	for st := range c.All {
		if a := streamOf(st.Owner.(*mux.Stream)).a; a != nil {
			f(a.owner)
		}
	}
}

// Doubt implements back.Carrier.
func (c *Conn) Doubt() {
	switch {
	case c.doubted || c.stage == lost:
		return
	case c.stage == dialled:
		c.dial.GiveUp(backconn.SilenceDown)
	default:
		c.GiveUp(backconn.SilenceDown)
	}
	c.doubted = true
}

// Head implements mux.Owner.
func (c *Conn) Head(m *mux.Stream) {
	c.hears()
	c.fruitful = true
	s := streamOf(m)
	text, r := c.ReadResponse(c.Side().Text(c.s.Limits.HeadBytes), c.s.Limits)
	switch r.Verdict {
	case h2.Whole:
		m.PutHead(text)
	case h2.TooLarge, h2.Malformed:
		s.refuse(&r)
	}
}

// Trailers implements mux.Owner.
func (c *Conn) Trailers(m *mux.Stream) {
	c.hears()
	lines, r := c.ReadTrailers(c.Side().Text(c.s.Limits.HeadBytes), c.s.Limits)
	switch r.Verdict {
	case h2.Whole:
		m.SetTrailers(lines)
	case h2.TooLarge, h2.Malformed:
		streamOf(m).refuse(&r)
	}
}

// Note implements mux.Owner.
func (c *Conn) Note(ev h2.Event) {
	c.hears()
	switch ev.Kind {
	case h2.Changed:
		if c.to.most = max(1, c.Allowed()); !c.allowed {
			c.allowed, c.crowded = true, c.Active() > c.Allowed()
		}
	case h2.Leaving:
		c.leaving, c.said = true, ev.Code
		c.s.Counters.HTTP2Goaways.Add(1)
		if c.idle {
			c.noteClosed()
		}
		c.partsWith(ev.Code)
		c.retire()
	}
}

// Lost implements mux.Owner.
func (c *Conn) Lost(why error) {
	c.to.drop(c)
	if c.idle {
		if _, said := why.(*mux.Error); !said {
			c.noteClosed()
		}
		c.wake()
	}
	c.stage = lost
	if c.waits.first == nil {
		return
	}
	f := c.fault()
	if f.Cause == record.CauseReset { // nothing was sent: no conn came about
		f = record.ByBackend(record.CauseNoConnect)
	}
	c.tell(back.Failed, f)
}

// noteClosed notes that the backend has closed c, which is idle.
func (c *Conn) noteClosed() {
	now := c.s.Loop.Now()
	upstream.IdleClosed(c.to.State, now.Sub(c.since), now)
}

// Closed implements mux.Owner.
func (c *Conn) Closed() {
	c.s.Counters.BackendConns.Sub(1)
	c.s.Counters.HTTP2BackendConns.Sub(1)
	c.reuse()
}

// Panicked is called by the loop when an event of c ended in a panic. The exchange that was
// run has ended; the others hear that the conn has gone.
func (c *Conn) Panicked(value any, stack []byte) {
	c.s.Host.Panicked(value, stack)
	c.to.drop(c)
	if c.idle {
		c.wake()
	}
	was := c.stage
	c.stage = lost
	left := c.waits
	c.waits = list{}
	if was == open {
		for st := range c.All {
			if s := streamOf(st.Owner.(*mux.Stream)); s.a != nil {
				left.push(s.a)
			}
		}
		for a := left.first; a != nil; a = a.next {
			if st := a.s; st != nil {
				a.s, st.a = nil, nil
				st.Forget()
			}
		}
		c.Abandon()
	} else if c.dial.IsOpen() {
		c.kill()
	}
	for a := left.first; a != nil; a = left.first {
		left.drop(a)
		a.c, a.progress, a.fault = nil, back.Failed, record.ByLB(record.CausePanicked)
		a.owner.Advance()
	}
}
