package h2

import (
	"time"

	"lb/httpparse/h2"
	"lb/loop"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxy/mux"
)

// Settings are what a configuration says about HTTP/2 conns of clients.
type Settings struct {
	Streams   int           // of one conn at once
	HeadBytes int           // limits.header_bytes
	Write     time.Duration // how long a client may take nothing of what is sent
}

// Server has the HTTP/2 conns of one loop. All methods are called on that loop.
type Server struct {
	*front.Shared
	side  mux.Side
	heads int   // the longest head that side.Shared can decode, in bytes
	open  *conn // all conns, newest first
	free  *conn
}

// New returns a server without conns. Use is to be called before there is one.
func New(s *front.Shared) *Server {
	return &Server{Shared: s, side: mux.Side{Loop: s.Loop, Role: h2.Server, Ack: ackTimeout,
		Received: func(n int) { s.Counters.BytesFromClient.Add(uint64(n)) }}}
}

// ackTimeout is how long a client may take to acknowledge lb's SETTINGS.
const ackTimeout = 15 * time.Second

// window is that of a stream, in bytes. It fits a large slab.
const window = 65535

// Use makes to and the timeouts of Shared those of conns that begin from now on, and, as far
// as timeouts go, of all.
func (s *Server) Use(to Settings) {
	d := &s.side
	d.Idle, d.Head, d.Write = s.IdleTimeout, s.HeadTimeout, to.Write
	d.Options = &h2.Options{Role: h2.Server, Streams: to.Streams, Window: window, HeadList: to.HeadBytes, Connect: true}
	if to.HeadBytes > s.heads {
		s.heads = to.HeadBytes
		d.Shared = h2.NewShared(to.HeadBytes, s.newStream)
	}
}

// Take makes from, which another server has opened and counted, a conn of the client peer.
// in has bytes that were read; Take takes them over.
func (s *Server) Take(from *loop.Conn, peer *front.Peer, in lane.Inbox) {
	c := s.newConn()
	s.Loop.Move(from, &c.Conn.Conn, c)
	c.peer = *peer
	c.peer.HTTP2 = true
	if c.next = s.open; c.next != nil {
		c.next.prev = c
	}
	s.open = c
	s.Counters.HTTP2Conns.Add(1)
	s.side.Arena = s.Arena
	c.Begin(&s.side, c, in)
	if s.Draining {
		c.Drain()
	}
}

// ListIdle has the idle conns listed in Shared.Crowd.
func (s *Server) ListIdle() {
	for c := s.open; c != nil; c = c.next {
		c.listIdle()
	}
}

// Drain tells every client that no new requests are welcome, and ends its conn after those
// that it had sent before it heard of that.
func (s *Server) Drain() {
	for c := s.open; c != nil; c = c.next {
		c.Drain()
	}
}

// Cut ends every conn at once and returns how many requests were cut off.
func (s *Server) Cut() (requests int) {
	for c := s.open; c != nil; {
		next := c.next
		requests += c.cut()
		c = next
	}
	return requests
}

// streamBytes is about what a free stream takes with its memory for fields.
const streamBytes = 3 << 10

// Trim leaves the streams that were not needed since the last Trim to the collector, and
// returns about how many bytes.
func (s *Server) Trim() (freed int) { return s.side.Shared.Trim() * streamBytes }

// connBatch is how many conns are allocated at once, as one object for the collector.
const connBatch = 8

func (s *Server) newConn() *conn {
	if s.free == nil {
		batch := make([]conn, connBatch)
		for i := range batch {
			batch[i].next, s.free = s.free, &batch[i]
		}
	}
	c := s.free
	s.free, c.next, c.s = c.next, nil, s
	return c
}
