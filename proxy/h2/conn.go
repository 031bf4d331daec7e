package h2

import (
	"errors"

	"lb/board"
	"lb/httpparse/h2"
	"lb/proxy/crowd"
	"lb/proxy/front"
	"lb/proxy/mux"
)

// conn is one HTTP/2 conn of a client.
type conn struct {
	mux.Conn
	s          *Server
	next, prev *conn // in Server.open; next alone in the free list
	peer       front.Peer
	idle       crowd.Link
}

var _ mux.Owner = (*conn)(nil)

// Head implements mux.Owner.
func (c *conn) Head(m *mux.Stream) { m.User().(*stream).read(c) }

// Trailers implements mux.Owner.
func (c *conn) Trailers(m *mux.Stream) {
	st := m.User().(*stream)
	if st.lease == nil && st.x == nil {
		return
	}
	lines, r := c.ReadTrailers(c.s.side.Text(st.bound.HeadBytes), st.bound)
	switch r.Verdict {
	case h2.Whole:
		st.SetTrailers(lines)
	case h2.TooLarge:
		st.Reset(h2.EnhanceYourCalm)
	case h2.Malformed:
		st.Reset(h2.ProtocolError)
	}
}

// Note implements mux.Owner. A client's GOAWAY forbids what lb never does, which is to push
// (RFC 9113 6.8).
func (c *conn) Note(ev h2.Event) {
	if ev.Kind == h2.Refused {
		c.s.Counters.HTTP2Refused.Add(1)
	}
}

// Lost implements mux.Owner.
func (c *conn) Lost(why error) {
	var e *mux.Error
	if errors.As(why, &e) && e.Flood != h2.NoFlood {
		c.s.Counters.HTTP2Floods[e.Flood].Add(1)
		c.s.Refusals.Note(board.FloodKind(int(e.Flood)), int64(c.s.Loop.Now()), c.peer.Address(), e.Flood.String(), nil)
	}
}

// Closed implements mux.Owner.
func (c *conn) Closed() {
	s := c.s
	c.peer.Leave()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.open = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next, s.free = nil, s.free, c
	c.unlist()
	s.Counters.HTTP2Conns.Sub(1)
	s.Left(c.peer.Key)
}

// TurnEnds is called by the loop at the end of a turn.
func (c *conn) TurnEnds() {
	c.Conn.TurnEnds()
	if c.s.Crowd != nil {
		c.listIdle()
	}
}

// listIdle notes whether c is idle: it has no stream.
func (c *conn) listIdle() {
	if c.Lives() && c.Active() == 0 {
		c.s.Crowd.Idle(&c.idle, c, true)
	} else {
		c.unlist()
	}
}

func (c *conn) unlist() {
	if c.idle.Listed() {
		c.s.Crowd.Busy(&c.idle)
	}
}

// MakeRoom implements crowd.Member. GOAWAY says which requests of the client have come.
func (c *conn) MakeRoom() bool {
	if !c.Lives() || c.Active() > 0 || c.Readable() {
		return false
	}
	c.Cut(h2.NoError)
	return true
}

// cut ends c at once, and returns how many requests that cut off.
func (c *conn) cut() (requests int) {
	for st := range c.All {
		requests++
		st.Owner.(*mux.Stream).User().(*stream).cut()
	}
	c.Cut(h2.NoError)
	return requests
}

// Panicked is called by the loop when an event of c ended in a panic.
func (c *conn) Panicked(value any, stack []byte) {
	c.s.Host.Panicked(value, stack)
	c.abandon()
}

// abandon ends c and its exchanges after a panic.
func (c *conn) abandon() {
	for st := range c.All {
		st.Owner.(*mux.Stream).User().(*stream).abandon()
	}
	c.Abandon()
}
