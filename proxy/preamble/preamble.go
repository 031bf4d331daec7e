// Package preamble takes client conns from listeners with proxy_protocol through the PROXY
// header that each begins with. It knows neither what comes after the header, nor how one is
// read (lb/proxyproto).
//
// A conn is a client of the loop from its accept on: it counts, it has a deadline, and a drain
// waits for it. Before its first byte it costs no more than its struct.
package preamble

import (
	"net/netip"
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/crowd"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxyproto"
)

// lastCallTimeout is how long a client may take for its first byte in a drain.
const lastCallTimeout = time.Second

// Next takes over a conn, which counts as a client already, after its header. conn is to be
// moved at once. in has bytes that followed the header, or none.
type Next interface {
	Arrived(conn *loop.Conn, from front.Arrival, in lane.Inbox)
}

// Server has the conns of one loop whose header has not come. All methods are called on that
// loop.
type Server struct {
	*front.Shared
	Trusted []netip.Prefix // the senders of headers that are believed
	Timeout time.Duration  // from the accept to the end of the header

	open  *conn // all conns, newest first
	free  *conn
	facts [proxyproto.FactsMax]byte // memory within one call
}

// conn is one conn before its header.
type conn struct {
	loop.Conn
	s          *Server
	next, prev *conn // in Server.open; next alone in the free list
	to         Next
	timer      loop.Timer
	idle       crowd.Link
	from       netip.AddrPort // the other end
	in         lane.Inbox
	until      tick.Instant
	begun      bool // a byte has come
	isOpen     bool
}

// Open makes fd, whose other end is at from, a conn that to takes over after its header. It owns
// fd from then on. A conn whose other end may not send one is closed. A unix socket is for those
// whom its folder lets in, and has no address to look for.
func (s *Server) Open(fd int, from netip.AddrPort, to Next) error {
	c := s.newConn()
	if err := s.Loop.Adopt(&c.Conn, c, fd); err != nil {
		s.freeConn(c)
		return err
	}
	c.from, c.to, c.isOpen = from, to, true
	c.until = s.Loop.Now().Add(s.Timeout)
	if c.next = s.open; c.next != nil {
		c.next.prev = c
	}
	s.open = c
	s.Came()
	if from.Addr().IsValid() && !s.trusts(from.Addr().WithZone("")) {
		c.refuse(board.PreambleUntrusted, "its address is not in trusted_proxies")
		return nil
	}
	c.listIdle()
	c.arm()
	return nil
}

func (s *Server) trusts(addr netip.Addr) bool {
	for _, n := range s.Trusted {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// arm sets the deadline.
func (c *conn) arm() {
	at := c.until
	if c.s.Draining && !c.begun {
		at = min(at, c.s.Loop.Now().Add(lastCallTimeout))
	}
	c.s.Loop.Arm(&c.timer, c, at)
}

// listIdle notes that c is idle, if that matters: its first byte has not come.
func (c *conn) listIdle() {
	if q := c.s.Crowd; q != nil && !c.begun {
		q.Idle(&c.idle, c, false)
	}
}

func (c *conn) unlist() {
	if c.idle.Listed() {
		c.s.Crowd.Busy(&c.idle)
	}
}

// MakeRoom implements crowd.Member.
func (c *conn) MakeRoom() bool {
	if c.Readable() {
		return false
	}
	c.close()
	return true
}

// readTurns is how often one conn reads in one turn.
const readTurns = 4

// Ready is called by the loop. One that leaves without a byte says nothing: balancers that look
// whether a port is open do that all the time.
func (c *conn) Ready() {
	s := c.s
	for range readTurns {
		n, err := c.in.Fill(s.Arena, &c.Conn, false)
		if n > 0 {
			c.begun = true
			c.unlist()
			switch h, st := proxyproto.Parse(c.in.Bytes()); st {
			case proxyproto.Done:
				c.handOff(&h)
				return
			case proxyproto.Bad:
				c.refuse(board.PreambleMalformed, h.Reason.String())
				return
			}
		}
		switch {
		case err != nil && c.begun:
			c.refuse(board.PreambleCut, "it ended within its PROXY header")
			return
		case err != nil:
			c.close()
			return
		case n == 0:
			c.in.Rest(s.Arena)
			return
		}
	}
	c.Again()
}

// handOff hands c over after the header h. The zero Proxied would say nothing that the conn does
// not.
func (c *conn) handOff(h *proxyproto.Header) {
	s := c.s
	from := front.Arrival{Addr: c.from}
	switch h.Kind {
	case proxyproto.IP:
		from.Addr = h.Source
	case proxyproto.Unix:
		from.Addr = netip.AddrPort{}
	}
	from.Proxy = &front.Proxied{Sender: c.from.Addr(), Destination: h.Destination,
		Facts: string(proxyproto.AppendFacts(s.facts[:0], h.TLVs))}
	c.in.Take(h.Len)
	c.in.Drop(s.Arena)
	in, to := c.in, c.to
	c.in = lane.Inbox{}
	s.Loop.Disarm(&c.timer)
	s.unlink(c)
	to.Arrived(&c.Conn, from, in)
	s.freeConn(c)
}

// refuse counts a conn without a good header, and ends it.
func (c *conn) refuse(why board.Preamble, text string) {
	s := c.s
	s.Counters.Preambles[why].Add(1)
	var memory [board.RefusedClientMax]byte
	at := memory[:0]
	if addr := c.from.Addr(); addr.IsValid() { // else it came by a unix socket
		at = addr.AppendTo(at)
	}
	s.Refusals.Note(board.PreambleKind(why), int64(s.Loop.Now()), at, text, nil)
	c.close()
}

// Expired is called by the loop when the deadline has passed.
func (c *conn) Expired() {
	switch {
	case !c.isOpen:
	case !c.begun && c.s.Draining:
		c.close()
	default:
		c.refuse(board.PreambleLate, "its PROXY header took longer than timeouts.client_header")
	}
}

// close ends c. It does nothing if c is no longer open.
func (c *conn) close() {
	s := c.s
	if !c.isOpen {
		return
	}
	c.in.Release(s.Arena)
	s.Loop.Disarm(&c.timer)
	c.Conn.Close(false)
	s.unlink(c)
	s.freeConn(c)
	s.Left(0)
}

// unlink takes c from the open conns.
func (s *Server) unlink(c *conn) {
	c.isOpen = false
	c.unlist()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.open = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
}

// Panicked is called by the loop when an event of c ended in a panic.
func (c *conn) Panicked(value any, stack []byte) {
	c.s.Host.Panicked(value, stack)
	c.in.Forget(c.s.Arena)
	c.close()
}

// Drain implements front.Server.
func (s *Server) Drain() {
	for c := s.open; c != nil; c = c.next {
		c.arm()
	}
}

// ListIdle has the conns without a first byte listed in Shared.Crowd.
func (s *Server) ListIdle() {
	for c := s.open; c != nil; c = c.next {
		c.listIdle()
	}
}

// Cut implements front.Server. None has a request.
func (s *Server) Cut() (requests int) {
	for s.open != nil {
		s.open.close()
	}
	return 0
}

// connBatch is how many conns are allocated at once, as one object for the collector.
const connBatch = 32

func (s *Server) newConn() *conn {
	if s.free == nil {
		batch := make([]conn, connBatch)
		for i := range batch {
			batch[i].next, s.free = s.free, &batch[i]
		}
	}
	c := s.free
	s.free = c.next
	*c = conn{s: s}
	return c
}

func (s *Server) freeConn(c *conn) {
	*c = conn{s: s, next: s.free}
	s.free = c
}
