package h1

import (
	"net/netip"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
)

// Server has the HTTP/1 conns of one loop. All methods are called on that loop.
type Server struct {
	*front.Shared
	open     *Conn    // all conns, newest first
	conns    *Conn    // free conns
	requests *request // free requests
}

// New returns a server without conns.
func New(s *front.Shared) *Server { return &Server{Shared: s} }

// Open makes fd a conn from peer. It owns fd from then on.
func (s *Server) Open(fd int, peer netip.AddrPort) (*Conn, error) {
	c := s.newConn()
	if err := s.Loop.Adopt(&c.Conn, c, fd); err != nil {
		s.freeConn(c)
		return nil, err
	}
	c.state, c.lingered = stateOpen, 0
	c.peer.Set(peer.Addr())
	s.Serial++
	c.peer.Serial = s.Serial
	if c.next = s.open; c.next != nil {
		c.next.prev = c
	}
	s.open = c
	s.Clients++
	s.Counters.ClientConns.Add(1)
	c.Deadline(s.Loop.Now().Add(s.IdleTimeout))
	return c, nil
}

// Drain gives every idle conn a last call: see Conn.LastCall.
func (s *Server) Drain() {
	for c := s.open; c != nil; {
		next := c.next
		if c.req == nil && c.state == stateOpen {
			c.LastCall()
		}
		c = next
	}
}

// Cut ends every conn at once and returns how many requests were cut off.
func (s *Server) Cut() (requests int) {
	for s.open != nil {
		c := s.open
		if c.req == nil {
			c.close(false)
			continue
		}
		requests++
		c.exchange().Cut()
	}
	return requests
}

// connBatch is how many conns are allocated at once, as one object for the collector.
const connBatch = 32

func (s *Server) newConn() *Conn {
	if s.conns == nil {
		batch := make([]Conn, connBatch)
		for i := range batch {
			batch[i].s = s
			batch[i].next, s.conns = s.conns, &batch[i]
		}
	}
	c := s.conns
	s.conns, c.next = c.next, nil
	return c
}

func (s *Server) freeConn(c *Conn) {
	c.state, c.prev = stateFree, nil
	c.next, s.conns = s.conns, c
}

// request is the state that a conn needs for one request, beside its buffer. An idle conn has
// none.
type request struct {
	httpparse.RequestParser
	lease front.Lease    // until the exchange has begun
	since tick.Instant   // when the first byte came
	x     front.Exchange // or nil while the head is read
	next  *request       // in the free list
}

// beginRequest prepares c for a request whose first byte has come.
func (c *Conn) beginRequest() {
	s := c.s
	r := s.requests
	if r == nil {
		r = new(request)
	} else {
		s.requests, r.next = r.next, nil
	}
	r.lease, r.since = s.Host.Lease(), s.Loop.Now()
	r.Reset(r.lease.Limits())
	c.req = r
}

// endRequest releases what c had for its request. Bytes after the request stay.
func (c *Conn) endRequest() {
	s, r := c.s, c.req
	c.req, r.x = nil, nil
	r.next, s.requests = s.requests, r
	c.in.Drop(s.Arena)
}
