package h1

import (
	"bytes"
	"io"
	"time"

	"lb/httpparse"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/crowd"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// state is the state of a conn. Conn.req says whether an open conn is idle, reads a head
// or has an exchange.
type state uint8

const (
	stateFree    state = iota
	stateOpen          // requests are read from it
	stateClosing       // everything is written; bytes that still come are thrown away
	stateOwing         // the client has ended its side; the end of ours is not out yet, see loop.Conn.Owes
)

const (
	pipelineTurns   = 16          // requests of one conn that may end in one turn
	readTurns       = 8           // reads of one conn in one turn that may bring no byte of a request
	headTurns       = 4           // reads of one head in one turn
	lastCallTimeout = time.Second // how long an idle client may take to send a last request in a drain
)

// How long, and how many, bytes are thrown away after the last response. Many a client
// sends its whole body before it reads, so all of a large upload has to fit in; it costs
// lb one copy, and no more than the same client sending a request that is taken.
const (
	LingerTimeout  = 5 * time.Second  // without a byte
	LingerMax      = 30 * time.Second // in all
	lingerBytesMax = 256 << 20
)

const crlf = "\r\n"

// Conn is one HTTP/1 conn of a client. Between two requests it owns no buffer.
type Conn struct {
	loop.Conn
	s          *Server
	req        *request // the present one, or nil while the conn is idle
	in         lane.Inbox
	next, prev *Conn // in Server.open; next alone in the free list
	timer      loop.Timer
	lingered   int32 // bytes thrown away while closing
	state      state
	partial    bool // the deadline is that of a record of TLS which has begun, see armIdle
	peer       front.Peer
	lingerEnd  tick.Instant // when to stop throwing away
	idle       crowd.Link
}

// Ready is called by the loop.
func (c *Conn) Ready() {
	switch c.state {
	case stateClosing:
		c.linger()
	case stateOwing:
		c.part()
	default:
		c.Advance()
	}
}

// Advance serves the present request and the next ones until it has to wait.
func (c *Conn) Advance() {
	c.s.Working = c
	c.advance()
	c.s.Working = nil
}

func (c *Conn) advance() {
	for range pipelineTurns {
		if c.req == nil && !c.begin() {
			return
		}
		if !c.step() || c.state != stateOpen {
			return
		}
	}
	c.Again()
}

// step moves the request as far as possible now. It returns true when the request has
// ended; the conn may then be closed.
func (c *Conn) step() (ended bool) {
	if c.req.x != nil {
		return c.req.x.Run()
	}
	switch c.readHead() {
	case httpparse.Done:
		return c.exchange().Run()
	case httpparse.Bad:
		if c.speaksHTTP2() {
			c.handOver()
			return true
		}
		return c.exchange().BadHead(c.req.Reason)
	}
	return false
}

// preface is what an HTTP/2 client sends first (RFC 9113 3.4), up to where it stops being
// a request of HTTP/1.
const preface = "PRI * HTTP/2"

// speaksHTTP2 reports whether the head that was refused is the preface of a client that
// knows that lb speaks HTTP/2. Over TLS a client has to ask for it by ALPN (RFC 9113 3.2).
func (c *Conn) speaksHTTP2() bool {
	return c.s.HTTP2 != nil && !c.peer.Served && c.peer.Way != front.TLS && c.peer.Way != front.NotTLS &&
		bytes.HasPrefix(c.in.Bytes(), []byte(preface))
}

// handOver hands c over to the server of HTTP/2, with the bytes that have come.
func (c *Conn) handOver() {
	s := c.s
	in := c.in
	c.in = lane.Inbox{}
	s.Host.Return(c.req.lease)
	c.req.lease = nil
	c.endRequest()
	s.Loop.Disarm(&c.timer)
	s.HTTP2(&c.Conn, &c.peer, in)
	s.unlink(c)
}

// exchange returns the exchange of the request, and begins it if it has not begun.
func (c *Conn) exchange() front.Exchange {
	r := c.req
	if r.x == nil {
		r.x = c.s.Host.Begin(c, r.lease, &c.in, &c.peer, &r.Request, r.since)
		r.lease = nil
	}
	return r.x
}

// begin begins a request if its first byte has come, and otherwise returns false. Empty
// lines are no request (RFC 9112 2.2).
func (c *Conn) begin() bool {
	for range readTurns {
		if c.in.Len() == 0 && !c.receive() {
			return false
		}
		for b := c.in.Bytes(); len(b) > 1 && b[0] == '\r' && b[1] == '\n'; b = c.in.Bytes() {
			c.in.Take(len(crlf))
		}
		if c.in.Len() > 0 {
			c.beginRequest()
			return true
		}
	}
	c.Again()
	return false
}

// receive reads while there is no request. It returns false if nothing came; c is then
// idle or closed.
func (c *Conn) receive() bool {
	n, err := c.Fill(false)
	if err != nil {
		c.leave(err)
		return false
	}
	if n == 0 && !c.s.Draining {
		c.armIdle()
	}
	return n > 0
}

// armIdle sets the deadline of an idle c. The bytes of a record of TLS that is not whole do
// not move it: a client could send one now and then, and never a request.
func (c *Conn) armIdle() {
	timeout := c.s.IdleTimeout
	if c.Partial() {
		if c.partial {
			return
		}
		timeout = min(timeout, c.s.HeadTimeout)
	}
	c.partial = c.Partial()
	c.Deadline(c.s.Loop.Now().Add(timeout))
	if c.s.Crowd != nil {
		c.listIdle()
	}
}

// listIdle notes that c is idle, if that matters.
func (c *Conn) listIdle() {
	if q := c.s.Crowd; q != nil && c.in.Slab == nil {
		q.Idle(&c.idle, c, c.peer.Served)
	}
}

// unlist notes that c is not idle.
func (c *Conn) unlist() {
	if c.idle.Listed() {
		c.s.Crowd.Busy(&c.idle)
	}
}

// MakeRoom implements crowd.Member. A client may be sending a request, although no event has
// come yet.
func (c *Conn) MakeRoom() bool {
	n, err := c.lookForRequest()
	if err == nil && n > 0 {
		c.Again()
		return false
	}
	c.leave(io.EOF)
	return true
}

// readHead reads the head of a request. More means that the rest is still to come, or
// that the client has gone.
func (c *Conn) readHead() httpparse.Status {
	if c.req.Fields == nil && !c.resume() {
		return httpparse.More
	}
	for range headTurns {
		if st := c.req.Feed(c.in.Bytes()); st != httpparse.More {
			return st
		}
		n, err := c.Fill(false)
		if err != nil {
			c.exchange().Gone()
			return httpparse.More
		}
		if n == 0 {
			c.rest()
			c.Deadline(c.req.since.Add(c.req.lease.HeadTimeout()))
			return httpparse.More
		}
	}
	c.Deadline(c.req.since.Add(c.req.lease.HeadTimeout()))
	c.Again()
	return httpparse.More
}

// LastCall gives an idle c a moment to send a last request, in a drain. A client that
// has just connected is sending one, and any other client may be: closing at once would
// cost the client that request, and it could not know whether lb executed it (RFC 9112
// 9.3.1). The answer says that the conn closes.
func (c *Conn) LastCall() {
	c.armLastCall()
	if c.in.Slab != nil { // its next requests have been read; it goes on with them in the next turn
		return
	}
	n, err := c.lookForRequest()
	switch {
	case err != nil:
		c.leave(err)
	case n > 0:
		c.Advance()
	}
}

// lookForRequest reads although perhaps no event has come yet.
func (c *Conn) lookForRequest() (n int, err error) {
	a := c.s.Arena
	n, err = c.Read(c.in.Room(a, false))
	c.in.Put(n)
	c.in.Drop(a)
	c.s.Counters.BytesFromClient.Add(uint64(n))
	return n, err
}

func (c *Conn) armLastCall() {
	c.Deadline(c.s.Loop.Now().Add(min(lastCallTimeout, c.s.IdleTimeout)))
}

// Expired is called by the loop when the deadline has passed.
func (c *Conn) Expired() {
	switch {
	case c.state == stateFree:
	case c.req == nil && c.state == stateOpen:
		c.leave(io.EOF)
	case c.req == nil:
		c.close(false)
	default:
		c.s.Working = c
		if c.expired() && c.state == stateOpen {
			c.advance()
		}
		c.s.Working = nil
	}
}

// expired is Expired for a conn with a request.
func (c *Conn) expired() (ended bool) {
	if c.req.x != nil {
		return c.req.x.Expired()
	}
	if at := c.req.since.Add(c.req.lease.HeadTimeout()); at > c.s.Loop.Now() {
		c.Deadline(at)
		return false
	}
	return c.exchange().LateHead()
}

// close ends c, which has no exchange. It does nothing if c is already closed.
func (c *Conn) close(reset bool) {
	s := c.s
	if c.state == stateFree {
		return
	}
	c.in.Release(s.Arena)
	s.Loop.Disarm(&c.timer)
	c.Conn.Close(reset)
	c.peer.Leave()
	key := c.peer.Key
	s.unlink(c)
	s.Left(key)
}

// finish ends c after a whole response. If the client may still be sending, closing at
// once would reset the conn and could cost the client the response. So finish shuts lb's
// side and throws bytes away for a while (RFC 9112 9.6).
func (c *Conn) finish(unread bool) {
	if !unread && c.in.Slab == nil && !c.Readable() {
		c.leave(io.EOF)
		return
	}
	c.in.Release(c.s.Arena)
	c.state = stateClosing
	if c.Conn.ShutdownWrite() != nil {
		c.close(false)
		return
	}
	c.lingerEnd = c.s.Loop.Now().Add(LingerMax)
	c.lingerOn()
	c.linger()
}

// lingerOn gives the client LingerTimeout for its next byte.
func (c *Conn) lingerOn() {
	c.Deadline(min(c.s.Loop.Now().Add(LingerTimeout), c.lingerEnd))
}

// linger throws bytes away until the client has ended its side, too.
func (c *Conn) linger() {
	for range readTurns {
		n, err := c.in.Fill(c.s.Arena, &c.Conn, true)
		c.in.Release(c.s.Arena)
		c.lingered += int32(n)
		if err != nil || c.lingered > lingerBytesMax {
			c.part()
			return
		}
		if n == 0 {
			return
		}
		c.lingerOn()
	}
	c.Again()
}

// leave ends c, which has no request; err is the end of the client's bytes. An orderly end
// over TLS is declared to the client, who could take it for a cut otherwise, and the socket
// may have no room for that now.
func (c *Conn) leave(err error) {
	c.unlist()
	if err != io.EOF || !c.peer.Secure() || c.Conn.ShutdownWrite() != nil {
		c.close(false)
		return
	}
	c.in.Release(c.s.Arena)
	c.Deadline(c.s.Loop.Now().Add(LingerTimeout))
	c.part()
}

// part ends c, of which nothing more is read, when nothing is owed to the client.
func (c *Conn) part() {
	if c.state = stateOwing; !c.Owes() {
		c.close(false)
	}
}

// Panicked is called by the loop when an event of c ended in a panic.
func (c *Conn) Panicked(value any, stack []byte) {
	c.s.Host.Panicked(value, stack)
	c.Abandon()
}
