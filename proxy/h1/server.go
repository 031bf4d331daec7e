package h1

import (
	"net/netip"

	"lb/httpparse"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// Server has the HTTP/1 conns of one loop. All methods are called on that loop.
type Server struct {
	*front.Shared
	// HTTP2 takes over a conn, which counts as a client already, whose client speaks HTTP/2,
	// with the bytes in that were read. conn is to be moved at once. nil takes none.
	HTTP2 func(conn *loop.Conn, peer *front.Peer, in lane.Inbox)

	open     *Conn               // all conns, newest first
	conns    *Conn               // free conns
	requests *request            // free requests
	free     int                 // how many
	idle     int                 // the smallest free since the last Trim
	fields   [][]httpparse.Field // free memory for the fields of requests
}

// New returns a server without conns.
func New(s *front.Shared) *Server { return &Server{Shared: s} }

// Open makes fd a conn from peer, which came in by way and is counted by key. It owns fd
// from then on.
func (s *Server) Open(fd int, peer netip.AddrPort, way front.Way, key uint64) (*Conn, error) {
	c := s.newConn()
	if err := s.Loop.Adopt(&c.Conn, c, fd); err != nil {
		s.freeConn(c)
		return nil, err
	}
	c.peer.Set(peer, way)
	c.peer.Key = key
	s.begin(c)
	s.Came()
	return c, nil
}

// begin puts c, whose socket and peer are there, among the open conns.
func (s *Server) begin(c *Conn) {
	c.state, c.lingered, c.partial = stateOpen, 0, false
	if c.next = s.open; c.next != nil {
		c.next.prev = c
	}
	s.open = c
	c.Deadline(s.Loop.Now().Add(s.IdleTimeout))
	c.listIdle()
}

// Take makes from, which another server has opened and counted, a conn of the client peer.
// in has bytes that were read.
func (s *Server) Take(from *loop.Conn, peer *front.Peer, in lane.Inbox) *Conn {
	c := s.newConn()
	s.Loop.Move(from, &c.Conn, c)
	c.peer, c.in = *peer, in
	s.begin(c)
	c.Again() // what has come with the end of the handshake brings no event
	return c
}

// ListIdle has the idle conns listed in Shared.Crowd.
func (s *Server) ListIdle() {
	for c := s.open; c != nil; c = c.next {
		if c.req == nil && c.state == stateOpen {
			c.listIdle()
		}
	}
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

// unlink takes c from the open conns, and frees it.
func (s *Server) unlink(c *Conn) {
	c.unlist()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.open = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	s.freeConn(c)
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
		s.free--
		s.idle = min(s.idle, s.free)
	}
	r.lease, r.since = s.Host.Lease(), s.Loop.Now()
	if r.Fields == nil {
		r.Fields = s.takeFields()
	}
	r.Reset(r.lease.Limits())
	r.Secure = c.peer.Secure()
	c.req, c.partial = r, false
	c.unlist()
}

// parseAgainMax is the length, in bytes, of a begun head that is parsed again from its
// start when more of it comes: that takes no longer than the read.
const parseAgainMax = 1 << 10

// rest gives back what a request does not need while a client owes the rest of its head.
func (c *Conn) rest() {
	c.in.Rest(c.s.Arena)
	if r := c.req; c.in.Len() <= parseAgainMax && r.Fields != nil {
		c.s.fields = append(c.s.fields, r.Fields[:0])
		r.Fields = nil
	}
}

// resume ends the rest of a request if more of its head has come.
func (c *Conn) resume() bool {
	if !c.Readable() {
		return false
	}
	c.req.Fields = c.s.takeFields()
	c.req.Reset(c.req.lease.Limits())
	return true
}

// takeFields returns free memory for fields, or nil if there is none.
func (s *Server) takeFields() []httpparse.Field {
	n := len(s.fields) - 1
	if n < 0 {
		return nil
	}
	f := s.fields[n]
	s.fields = s.fields[:n]
	return f
}

// requestBytes is about what a free request takes with its memory for fields.
const requestBytes = 3 << 10

// Trim leaves memory that was not needed since the last Trim to the collector, and
// returns about how many bytes.
func (s *Server) Trim() (freed int) {
	freed = s.idle * requestBytes
	for range s.idle {
		s.requests, s.requests.next = s.requests.next, nil
		s.free--
	}
	s.idle = s.free
	keep := len(s.fields) / 2
	clear(s.fields[keep:])
	s.fields = s.fields[:keep]
	return freed
}

// endRequest releases what c had for its request. Bytes after the request stay.
func (c *Conn) endRequest() {
	s, r := c.s, c.req
	c.req, r.x = nil, nil
	r.next, s.requests = s.requests, r
	s.free++
	c.in.Drop(s.Arena)
}
