// Package shake takes client conns from listeners for TLS through their handshakes. It
// knows neither what a protocol does with a conn afterwards, nor how TLS works (crypto/tls,
// loop/tlsconn).
//
// A conn is a client of the loop from its accept on: it counts, it has a deadline, and a
// drain waits for it. Before its first byte it costs no more than its struct. A conn whose
// first byte is none of TLS speaks plain HTTP, and is handed over as such, so that its
// client learns of the mistake.
package shake

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"lb/board"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
	"lb/proxy/crowd"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// lastCallTimeout is how long a client may take for its first byte in a drain.
const lastCallTimeout = time.Second

// Over is a conn whose handshake is over, or that has none.
type Over struct {
	Conn *loop.Conn    // to be moved at once
	From front.Arrival // where it comes from
	Way  front.Way     // front.TLS or front.NotTLS
	TLS  front.Session // see front.Peer
	Cert string        // see front.Peer
	In   lane.Inbox    // bytes that were read; without TLS only
}

// Server has the conns of one loop that are in their handshake. All methods are called on
// that loop.
type Server struct {
	*front.Shared
	Log     *slog.Logger
	Set     *tlsconf.Set  // for conns whose handshake begins, or nil
	Timeout time.Duration // from the accept to the end of the handshake
	HandOff func(Over)    // takes a conn over, which counts as a client already

	open *conn // all conns, newest first
	free *conn
	late int // handshakes that have ended since the last Trim
	left int // those before that Trim has not reported
}

// conn is one conn in its handshake.
type conn struct {
	loop.Conn
	s          *Server
	next, prev *conn // in Server.open; next alone in the free list
	timer      loop.Timer
	from       front.Arrival
	idle       crowd.Link
	tls        *tlsconn.Conn // nil before the first byte
	set        *tlsconf.Set  // that the handshake goes by
	until      tick.Instant
	begun      tick.Instant // when the first byte came, or 0
	isOpen     bool
	in         lane.Inbox // the first bytes, within first
}

// Open makes fd, of a client at addr that is counted by key, a conn. It owns fd from then on.
func (s *Server) Open(fd int, addr netip.AddrPort, key uint64) error {
	c := s.newConn()
	if err := s.Loop.Adopt(&c.Conn, c, fd); err != nil {
		s.freeConn(c)
		return err
	}
	s.Came()
	s.start(c, front.Arrival{Addr: addr, Key: key})
	return nil
}

// Take makes conn, which another server has opened and counted, a conn in its handshake. in has
// bytes that were read.
func (s *Server) Take(conn *loop.Conn, from front.Arrival, in lane.Inbox) {
	c := s.newConn()
	s.Loop.Move(conn, &c.Conn, c)
	c.in = in
	s.start(c, from)
	c.Again() // what has come brings no event
}

func (s *Server) start(c *conn, from front.Arrival) {
	c.from, c.isOpen = from, true
	c.until = s.Loop.Now().Add(s.Timeout)
	if c.next = s.open; c.next != nil {
		c.next.prev = c
	}
	s.open = c
	c.listIdle()
	c.arm()
}

// arm sets the deadline.
func (c *conn) arm() {
	at := c.until
	if c.s.Draining && c.begun == 0 {
		at = min(at, c.s.Loop.Now().Add(lastCallTimeout))
	}
	c.s.Loop.Arm(&c.timer, c, at)
}

// listIdle notes that c is idle, if that matters: its first byte has not come.
func (c *conn) listIdle() {
	if q := c.s.Crowd; q != nil && c.in.Slab == nil {
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
	c.close(false)
	return true
}

// Ready is called by the loop.
func (c *conn) Ready() {
	if c.tls != nil {
		c.tls.Advance()
		return
	}
	c.first()
}

// handshakeRecord is the first byte of a conn that speaks TLS (RFC 8446 5.1).
const handshakeRecord = 0x16

// first reads the first bytes and begins the handshake. A client that leaves without a
// byte has not begun one.
func (c *conn) first() {
	s := c.s
	if c.in.Len() == 0 {
		switch n, err := c.in.Fill(s.Arena, &c.Conn, false); {
		case err != nil:
			c.close(false)
			return
		case n == 0:
			return
		}
	}
	c.begun = s.Loop.Now()
	c.unlist()
	if c.in.Bytes()[0] != handshakeRecord {
		c.handOff(Over{Way: front.NotTLS, In: c.in})
		return
	}
	c.begin()
	if c.tls != nil {
		c.tls.Advance() // the socket may have more, without an event
	}
}

// errNoTLS is why a conn is refused before there are certificates.
var errNoTLS = errors.New("there is no certificate yet")

// begin begins the handshake with the bytes that have come.
func (c *conn) begin() {
	s := c.s
	if s.Set == nil || s.Set.Server == nil {
		c.fail(board.HandshakeRefused, errNoTLS)
		return
	}
	c.set = s.Set
	t, err := s.Shaker().Server(&c.Conn, c, s.Set.Server, c.in.Bytes())
	c.in.Release(s.Arena)
	if err != nil {
		c.fail(board.HandshakeRefused, err)
		return
	}
	c.tls = t
	c.arm() // in a drain it had less time
}

// Shaken implements tlsconn.Owner.
func (c *conn) Shaken(err error) {
	s := c.s
	s.late++
	switch {
	case errors.Is(err, tlsconn.ErrBusy):
		c.fail(board.HandshakeRefused, err)
		return
	case err != nil:
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errLeft
		}
		c.fail(board.HandshakeFailed, err)
		return
	}
	state := c.tls.State()
	end := board.HandshakeFull
	if state.DidResume {
		end = board.HandshakeResumed
	}
	s.Counters.NoteHandshake(end, s.Loop.Now().Sub(c.begun))
	if state.NegotiatedProtocol == tlsconf.ProtocolChallenge { // the handshake was the answer (RFC 8737 3)
		c.close(false)
		return
	}
	c.handOff(Over{Way: front.TLS, Cert: certLines(c.set.ClientIdentity(&state)),
		TLS: front.Session{Version: state.Version, Protocol: state.NegotiatedProtocol, Resumed: state.DidResume}})
}

var errLeft = errors.New("the client has closed the connection")

// handOff hands c over as o says.
func (c *conn) handOff(o Over) {
	s := c.s
	s.Loop.Disarm(&c.timer)
	s.unlink(c)
	o.Conn, o.From = &c.Conn, c.from
	s.HandOff(o)
	s.freeConn(c)
}

// fail counts a handshake that has ended in this way, for a reason, and ends c.
func (c *conn) fail(how board.Handshake, why error) {
	s := c.s
	s.Counters.NoteHandshake(how, 0)
	var client [board.RefusedClientMax]byte
	at := client[:0]
	if addr := c.from.Addr.Addr(); addr.IsValid() { // else it came by a unix socket
		at = addr.AppendTo(at)
	}
	s.Refusals.Note(board.HandshakeKind(how), int64(s.Loop.Now()), at, why.Error(), nil)
	if s.Log.Enabled(context.Background(), slog.LevelDebug) {
		s.Log.Debug("handshake failed", "client", c.from.Addr.Addr(), "cause", why)
	}
	c.close(false)
}

// Expired is called by the loop when the deadline has passed.
func (c *conn) Expired() {
	switch {
	case !c.isOpen:
	case c.begun == 0 && c.s.Draining:
		c.close(false)
	default:
		c.fail(board.HandshakeLate, errLate)
	}
}

var errLate = errors.New("the client took longer than timeouts.handshake")

// close ends c. It does nothing if c is no longer open.
func (c *conn) close(reset bool) {
	s := c.s
	if !c.isOpen {
		return
	}
	c.in.Release(s.Arena)
	s.Loop.Disarm(&c.timer)
	c.Conn.Close(reset)
	c.unlist()
	s.unlink(c)
	key := c.from.Key
	s.freeConn(c)
	s.Left(key)
}

// unlink takes c from the open conns.
func (s *Server) unlink(c *conn) {
	c.isOpen = false
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
	c.close(true)
}

// ListIdle has the conns without a first byte listed in Shared.Crowd.
func (s *Server) ListIdle() {
	for c := s.open; c != nil; c = c.next {
		if c.begun == 0 {
			c.listIdle()
		}
	}
}

// Drain gives the conns without a first byte a moment for it. Handshakes go on.
func (s *Server) Drain() {
	for c := s.open; c != nil; c = c.next {
		c.arm()
	}
}

// Cut ends every conn at once. None has a request.
func (s *Server) Cut() (requests int) {
	for s.open != nil {
		s.open.close(false)
	}
	return 0
}

// leftBytes is about what a handshake leaves to the collector that has not been collected
// when the rush of which it is a part is over.
const leftBytes = 8 << 10

// Trim returns about how many bytes handshakes have left to the collector. It reports them after
// most of a rush alone, as the next handshakes would take the memory again; and after one for
// each fourth client at least, as a collection costs as much as there are clients.
func (s *Server) Trim() (left int) {
	calm := s.late <= s.left/4
	s.left += s.late
	s.late = 0
	if !calm || s.left < s.Clients/4 {
		return 0
	}
	left, s.left = s.left*leftBytes, 0
	return left
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
