package backends

import (
	"fmt"
	"time"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
)

// conn is one client and its current exchange. The answer is written to out as soon
// as the request's head is complete, and held until the body has been read. So
// nothing of the request has to be kept. A long answer continues with bytes of the
// pattern, which are not copied.
type conn struct {
	loop.Conn
	exchange
	*parser // nil if the conn is idle or expects no head
	server  *Server
	timer   loop.Timer
	in, out *arena.Slab // nil if the conn is idle
	ws      wsEcho
}

// parser parses requests. Like a slab it is lent to active conns, so that an idle
// conn is small.
type parser struct {
	req      httpparse.RequestParser
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
}

// Ready moves bytes until nothing moves or it is the turn of others.
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

// Panicked drops the conn. Its slabs are left to the collector.
func (c *conn) Panicked(value any, stack []byte) {
	c.server.log.Error("panic", "backend", c.server.name, "value", fmt.Sprint(value), "stack", string(stack))
	c.server.loop.Disarm(&c.timer)
	c.Close(true)
	c.server.slabs.Forget(c.in)
	c.server.slabs.Forget(c.out)
	delete(c.server.conns, c)
}

// Expired ends a delay, or a conn that is idle for too long.
func (c *conn) Expired() {
	if c.phase != phaseDelay {
		c.end()
		return
	}
	c.delay = 0
	c.answer()
	c.Again()
}

// settle returns empty slabs and sets the deadline of the conn.
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

// end closes the conn and returns all it has borrowed. c must not be used after it.
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

// flush writes once. blocked is true if the rest has to wait for the client, or if
// the conn is closed.
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

// write writes head and run, without writev if one of them is empty.
func (c *conn) write(head, run []byte) (int, error) {
	switch {
	case len(run) == 0:
		return c.Write(head)
	case len(head) == 0:
		return c.Write(run)
	}
	return c.Writev(head, run, nil)
}

// shut closes the conn after its last byte is written. If the client may still be
// sending, it ends only our side first: unread bytes would turn the close into a
// reset, and a reset can overtake the answer (RFC 9112 9.6).
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

// freeParser returns the parser, if there is one.
func (c *conn) freeParser() {
	if c.parser != nil {
		c.server.parsers = append(c.server.parsers, c.parser)
		c.parser = nil
	}
}

// drop discards the received bytes.
func (c *conn) drop() {
	if c.in != nil {
		c.in.Take(c.in.Len())
	}
}

// fill reads once, if the exchange needs bytes. All must be written before.
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
	if err != nil { // also at the end: an incomplete request gets no answer
		c.end()
		return false
	}
	c.in.W += n
	return n > 0
}

// makeRoom gives in enough room for a read.
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

// room reports whether out has n bytes of room, at most largeBytes. If not, it will
// have them after a flush.
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

// text returns the bytes in out. They may be appended to within the room asked for.
func (c *conn) text() []byte { return c.out.B[:c.out.W] }

// put stores the result of an append to text.
func (c *conn) put(b []byte) {
	invariant.Check(&b[:1][0] == &c.out.B[0], "backends: answer longer than the room asked for")
	c.out.W = len(b)
}
