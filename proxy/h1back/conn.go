package h1back

import (
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/backconn"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/upstream"
)

// Conn is one HTTP/1 conn to a backend. It belongs to an attempt, or to the idle list of
// its target, where it owns no buffer.
type Conn struct {
	backconn.Conn
	in    lane.Inbox // the answer's bytes
	s     *Conns
	owner back.Owner // or nil while it is idle
	to    *Target
	link  upstream.Link[*Conn]
	mine  *front.Kept // of the client that it is for alone, or nil
	timer loop.Timer  // the deadline of an idle one
	next  *Conn       // in the free list
	uses  int         // attempts, the present one included
	bare  bool        // its last answer had no body, whatever the backend may have sent
}

var (
	_ back.Back    = (*Conn)(nil)
	_ back.Carrier = (*Conn)(nil)
)

// begin makes c the conn of an attempt of o.
func (c *Conn) begin(o back.Owner) {
	c.owner = o
	c.uses++
}

// Ready is called by the loop.
func (c *Conn) Ready() {
	if c.owner != nil {
		c.owner.Advance()
		return
	}
	if now := c.s.Loop.Now(); !c.Fresh(c.to.State, now) {
		c.NoteClosed(c.to.State, now)
		c.Drop()
	}
}

// Each implements back.Carrier.
func (c *Conn) Each(f func(back.Owner)) {
	if c.owner != nil {
		f(c.owner)
	}
}

// Expired is called by the loop when an idle conn's deadline has passed.
func (c *Conn) Expired() {
	if c.owner == nil {
		c.Drop()
	}
}

// In implements back.Back.
func (c *Conn) In() *lane.Inbox { return &c.in }

// Streams implements back.Back.
func (c *Conn) Streams() bool { return false }

// Connect implements back.Back.
func (c *Conn) Connect() (p back.Progress, f record.Fault) {
	return c.Conn.Connect(c.s.Shared.Shared, &c.to.Manner, c.to.Manner.HTTP1())
}

// Late implements back.Back.
func (c *Conn) Late(since tick.Instant) (f record.Fault, late bool) {
	return c.Conn.Late(c.s.Loop, since)
}

// Made implements back.Back.
func (c *Conn) Made() record.Made {
	m := c.Conn.Made
	m.Used = c.uses > 1
	return m
}

// Flush implements back.Back.
func (c *Conn) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	return ln.Flush(&c.Conn.Conn, in)
}

// Fill implements back.Back.
func (c *Conn) Fill(bulk bool) (n int, err error) {
	return c.in.Fill(c.s.Arena, &c.Conn.Conn, bulk)
}

// Over implements back.Back. HTTP/1 frames bodies by itself.
func (c *Conn) Over() (section []byte, over bool) { return nil, false }

// More implements back.Back.
func (c *Conn) More() bool { return c.Readable() }

// Fault implements back.Back.
func (c *Conn) Fault(err error) record.Fault { return record.ByReading(err, c.Secure()) }

// Shut implements back.Back.
func (c *Conn) Shut() bool { return c.PeerShut() }

// Gone implements back.Back.
func (c *Conn) Gone() bool { return c.Hangup() }

// Reused implements back.Back.
func (c *Conn) Reused() bool { return c.uses > 1 }

// Unseen implements back.Back.
func (c *Conn) Unseen() bool { return false }

// NoteStale implements back.Back.
func (c *Conn) NoteStale(asked tick.Instant) {
	upstream.IdleClosed(c.to.State, asked.Sub(c.Since), c.s.Loop.Now())
}

// Keep implements back.Back. It puts c on the idle list, unless something is left over, the
// backend does not keep the conn (RFC 9112 9.3), or c would be too old or its backend gone
// before it is taken from there.
func (c *Conn) Keep(bare bool) bool {
	s := c.s
	if c.in.Len() > 0 || c.PeerShut() || c.Hangup() || s.Draining {
		return false
	}
	if c.Readable() { // the last read filled its buffer: look whether more came
		if n, err := c.Probe(); n > 0 || err != nil {
			return false
		}
	}
	since := s.Loop.Clock() // a turn may be longer than a rest
	limit := s.idleLimit(c.to, since)
	if c.to.Gone || !c.Fits(&c.to.Manner) || c.to.Never || limit < idleLeast {
		return false
	}
	if c.mine != nil && !c.mine.Add(c) || !c.to.Stock.Put(1) { // Put last: nothing takes it back
		return false
	}
	c.in.Drop(s.Arena)
	c.owner, c.Since, c.bare = nil, since, bare
	c.to.Idle.Put(&c.link, c, since)
	s.Counters.BackendIdle.Add(1)
	s.Loop.Arm(&c.timer, c, since.Add(limit))
	return true
}

// Drop implements back.Back, and ends an idle c. It does nothing if c is closed already.
func (c *Conn) Drop() { c.end(false) }

// end is Drop, by a reset if that is asked for: then the system keeps no port for c.
func (c *Conn) end(reset bool) {
	s := c.s
	if !c.IsOpen() {
		return
	}
	if c.to.Idle.Remove(&c.link) {
		s.took(c.to)
	}
	if c.mine != nil {
		c.mine.Remove(c)
		c.mine = nil
	}
	c.in.Release(s.Arena)
	c.owner = nil
	s.Loop.Disarm(&c.timer)
	c.Conn.Close(reset)
	s.Counters.BackendConns.Sub(1)
	c.next, s.free = s.free, c
}

// ClientGone implements front.Private.
func (c *Conn) ClientGone() {
	c.mine = nil
	c.Drop()
}

// Panicked is called by the loop when an event of c ended in a panic.
func (c *Conn) Panicked(value any, stack []byte) {
	c.s.Host.Panicked(value, stack)
	if c.owner == nil {
		c.Drop()
	}
}
