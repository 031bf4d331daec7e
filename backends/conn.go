package backends

import (
	"fmt"
	"time"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
)

// conn is one client and the exchange it is at. An answer is written to out as
// soon as its request's head is there and held until the body has been taken,
// so nothing of the request needs to be kept; a long answer goes on with bytes
// of the pattern, straight from where it lies.
type conn struct {
	loop.Conn
	exchange
	*parser // nil when the conn rests or no head is to come
	server  *Server
	timer   loop.Timer
	in, out *arena.Slab // nil when the conn rests
	ws      wsEcho
}

// parser is what reads requests. Like a slab it is lent to the conns at work,
// so that a resting conn is small.
type parser struct {
	req      httpparse.RequestParser
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
}

// Ready moves bytes until nothing moves any more or others are due.
func (c *conn) Ready() {
	if c.Hangup() {
		c.end()
		return
	}
	for range roundsMax {
		moved := c.advance()
		wrote, blocked := c.flush()
		if blocked || !moved && !wrote && !c.fill() {
			if c.IsOpen() {
				c.settle()
			}
			return
		}
	}
	c.Again()
}

// Panicked lets go of the conn. Its slabs are left to the collector.
func (c *conn) Panicked(value any, stack []byte) {
	c.server.log.Error("panic", "backend", c.server.name, "value", fmt.Sprint(value), "stack", string(stack))
	c.server.loop.Disarm(&c.timer)
	c.Close(true)
	c.server.slabs.Forget(c.in)
	c.server.slabs.Forget(c.out)
	delete(c.server.conns, c)
}

// Expired ends a delay, or a conn that rests for too long.
func (c *conn) Expired() {
	if c.phase != phaseDelay {
		c.end()
		return
	}
	c.delay = 0
	c.answer()
	c.Again()
}

// settle puts back what an idle conn does not need and sets its deadline.
func (c *conn) settle() {
	if c.in != nil && c.in.Len() == 0 {
		c.server.slabs.Put(c.in)
		c.in = nil
	}
	if c.out != nil && c.out.Len() == 0 {
		c.server.slabs.Put(c.out)
		c.out = nil
	}
	switch c.phase {
	case phaseDelay, phaseLinger: // have a deadline of their own
	case phaseFrames:
		c.arm(tunnelTimeout)
	default:
		c.arm(idleTimeout)
	}
}

func (c *conn) arm(d time.Duration) {
	l := c.server.loop
	l.Arm(&c.timer, c, l.Now().Add(d))
}

// end closes the conn and gives all it has back. Nothing of c may be used after it.
func (c *conn) end() {
	s := c.server
	s.loop.Disarm(&c.timer)
	c.Close(false)
	s.slabs.Put(c.in)
	s.slabs.Put(c.out)
	c.in, c.out = nil, nil
	c.freeParser()
	delete(s.conns, c)
	s.free = append(s.free, c)
}

// flush makes one write of what is ready. blocked: the rest has to wait for the
// client, or the conn is closed.
func (c *conn) flush() (wrote, blocked bool) {
	var head, run []byte
	if c.out != nil {
		head = c.out.B[c.out.R : c.out.W-c.held]
	}
	if c.phase == phaseAnswer && c.run > 0 {
		run = patternFrom(c.pos)
		run = run[:min(int64(len(run)), c.run)]
	}
	all := len(head) + len(run)
	if all == 0 {
		if c.phase == phaseLast {
			c.shut()
		}
		return false, !c.IsOpen()
	}
	if !c.Writable() {
		return false, true
	}
	n, err := c.write(head, run)
	if err != nil {
		c.end()
		return false, true
	}
	if k := min(n, len(head)); k > 0 {
		c.out.Take(k)
	}
	if k := int64(n - len(head)); k > 0 {
		c.run -= k
		c.pos += k
	}
	return n > 0, n < all && !c.Writable()
}

// write spares the vector where there is one piece.
func (c *conn) write(head, run []byte) (int, error) {
	switch {
	case len(run) == 0:
		return c.Write(head)
	case len(head) == 0:
		return c.Write(run)
	}
	return c.Writev(head, run, nil)
}

// shut closes the conn whose last byte is written. Where the client may still
// be sending, it first ends only our side: bytes unread at the close would make
// it a reset, and a reset can overtake the answer (RFC 9112 9.6).
func (c *conn) shut() {
	if !c.refused || c.ShutdownWrite() != nil {
		c.end()
		return
	}
	c.phase = phaseLinger
	c.freeParser()
	c.drop()
	c.arm(lingerTimeout)
}

// freeParser gives the parser back, if there is one.
func (c *conn) freeParser() {
	if c.parser != nil {
		c.server.parsers = append(c.server.parsers, c.parser)
		c.parser = nil
	}
}

// drop lets go of what was received.
func (c *conn) drop() {
	if c.in != nil {
		c.in.Take(c.in.Len())
	}
}

// fill reads once, if the exchange needs bytes. It is called when all is written.
func (c *conn) fill() bool {
	switch c.phase {
	case phaseDelay, phaseAnswer, phaseLast:
		return false
	}
	if !c.Readable() {
		return false
	}
	c.makeRoom()
	n, err := c.Read(c.in.Room())
	if err != nil { // the end, too: nobody waits for an answer to half a request
		c.end()
		return false
	}
	c.in.W += n
	return n > 0
}

// makeRoom makes in ready for a read of a useful size.
func (c *conn) makeRoom() {
	slabs := c.server.slabs
	if c.in != nil && c.in.Len() == 0 {
		slabs.Put(c.in)
		c.in = nil
	}
	if c.in == nil {
		if c.phase == phaseHead {
			c.in = slabs.Get()
		} else {
			c.in = slabs.GetLarge()
		}
		return
	}
	if len(c.in.Room()) >= smallBytes/4 {
		return
	}
	old := c.in.Bytes()
	if c.in.R > 0 {
		c.in.R, c.in.W = 0, copy(c.in.B, old)
	} else if !c.in.Large() {
		large := slabs.GetLarge()
		large.W = copy(large.B, old)
		slabs.Put(c.in)
		c.in = large
	}
	invariant.Check(len(c.in.Room()) > 0, "backends: more held than any parser waits for")
}

// room reports whether out has n bytes of room, at most largeBytes. When it has
// not, it will have once it is flushed.
func (c *conn) room(n int) bool {
	slabs := c.server.slabs
	if c.out != nil && c.out.Len() == 0 && len(c.out.Room()) < n {
		slabs.Put(c.out)
		c.out = nil
	}
	if c.out == nil {
		if n <= smallBytes {
			c.out = slabs.Get()
		} else {
			c.out = slabs.GetLarge()
		}
	}
	return len(c.out.Room()) >= n
}

// text returns what out holds, to be appended to within the room asked for.
func (c *conn) text() []byte { return c.out.B[:c.out.W] }

// put takes back what text gave, longer.
func (c *conn) put(b []byte) {
	invariant.Check(&b[:1][0] == &c.out.B[0], "backends: answer longer than the room asked for")
	c.out.W = len(b)
}
