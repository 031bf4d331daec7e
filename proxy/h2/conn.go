package h2

import (
	"errors"

	"lb/board"
	"lb/httpparse/h2"
	"lb/proxy/front"
	"lb/proxy/mux"
)

// conn is one HTTP/2 conn of a client.
type conn struct {
	mux.Conn
	s          *Server
	next, prev *conn // in Server.open; next alone in the free list
	peer       front.Peer
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
	s.Clients--
	s.Counters.ClientConns.Sub(1)
	s.Counters.HTTP2Conns.Sub(1)
	s.Host.Closed()
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
