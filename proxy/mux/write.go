package mux

import (
	"lb/httpparse/h2"
)

// Parts of the output, in bytes.
const (
	controlRoom = 4 << 10                    // kept free for what the session owes the peer
	freshRoom   = 16 << 10                   // kept free for the first bytes of answers
	freshBytes  = 8 << 10                    // a stream that has sent no more is fresh
	shareBytes  = h2.HeaderLen + h2.FrameMax // what a stream of the queues may add in its turn
	sliverBytes = 512                        // a smaller part of a body waits for more room
)

// room returns the output, with room for n bytes more at least. The caller appends to it,
// for put.
func (c *Conn) room(n int) []byte {
	a := c.side.Arena
	if c.out == nil {
		c.moved = c.side.Loop.Now()
		c.out = a.Get()
	}
	if !c.more(n) { // control frames only, of which there are so many for each stream
		o := c.out
		wide := a.Keep(make([]byte, 2*len(o.B)+n))
		wide.W = copy(wide.B, o.Bytes())
		a.Put(o)
		c.out = wide
	}
	return c.out.B[:c.out.W]
}

// control returns memory for what the session owes the peer, to append to, for owe: the output,
// with little room, or none, if the peer does not take what it has caused; or that of the side,
// so that frames which cause nothing cost no slab.
func (c *Conn) control() []byte {
	if c.out == nil {
		return c.side.owed[:0]
	}
	c.more(h2.OutMax)
	return c.out.B[:c.out.W]
}

// few is as control, with room for two frames at least.
func (c *Conn) few() []byte {
	if c.out == nil {
		return c.side.owed[:0]
	}
	return c.room(2 * h2.OutMax)
}

// owe adds what was appended to control or few to the output.
func (c *Conn) owe(out []byte) {
	if c.out != nil {
		c.put(out)
	} else if len(out) > 0 {
		c.put(append(c.room(len(out)), out...))
	}
}

// more makes room for n bytes more in the output, in a large slab if need be. It reports
// whether there is.
func (c *Conn) more(n int) bool {
	o := c.out
	if len(o.Room()) >= n {
		return true
	}
	if o.R > 0 {
		o.R, o.W = 0, copy(o.B, o.Bytes())
		if len(o.Room()) >= n {
			return true
		}
	}
	if large := c.side.Arena.GetLarge(); len(large.B) > len(o.B) {
		large.W = copy(large.B, o.Bytes())
		c.side.Arena.Put(o)
		c.out = large
	} else {
		c.side.Arena.Put(large)
	}
	return len(c.out.Room()) >= n
}

// put makes out, which was appended to room, the output. It is written at the end of the turn.
func (c *Conn) put(out []byte) {
	if len(out) == 0 {
		c.side.Arena.Put(c.out)
		c.out = nil
		return
	}
	if c.out.W = len(out); c.out.W > c.out.R && !c.writing {
		c.asks()
	}
}

// left returns how many bytes of a body s may add to the output now.
func (c *Conn) left(s *Stream) int {
	free := c.free()
	room := free - freshRoom
	switch {
	case c.turn == s:
		return min(room, c.share)
	case s.sent < freshBytes:
		return max(room, min(free, freshRoom))
	case c.queued > 0:
		return 0
	}
	return room
}

// free returns how many bytes of streams the output has room for.
func (c *Conn) free() int { return c.bound() - c.pending() - controlRoom }

// bound returns how many bytes the output has room for at most.
func (c *Conn) bound() int { return c.side.Arena.LargeBytes() }

// pending returns how many bytes of the output are not yet written.
func (c *Conn) pending() int {
	if c.out == nil {
		return 0
	}
	return c.out.Len()
}

// enqueue has s wait for room.
func (c *Conn) enqueue(s *Stream) {
	if s.links[waiting].in == nil {
		c.queues[s.Urgency&7].push(s, waiting)
		if c.queued++; !c.writing {
			c.asks()
		}
	}
}

// unqueue takes s out of the queues, and reports whether it was there.
func (c *Conn) unqueue(s *Stream) bool {
	if s.links[waiting].in == nil {
		return false
	}
	s.drop(waiting)
	c.queued--
	return true
}

// opened has s wait for room in the output, now that its window has opened; or all streams
// whose windows may have, if s is nil.
func (c *Conn) opened(s *Stream) {
	if s != nil {
		s.resume()
		return
	}
	if c.shut == 0 {
		return
	}
	for st := range c.All {
		st.Owner.(*Stream).resume()
	}
}

// next runs streams of the queues as long as there is room. It reports whether it has run one.
func (c *Conn) next() (ran bool) {
	for n := c.queued; n > 0 && c.queued > 0 && c.free() >= freshRoom+shareBytes; n-- {
		for i := range c.queues {
			s := c.queues[i].first
			if s == nil {
				continue
			}
			c.unqueue(s)
			if c.share = shareBytes; c.queued == 0 {
				c.share = c.bound()
			}
			c.turn, ran = s, true
			s.user.Ready()
			c.turn = nil
			break
		}
	}
	return ran
}

// TurnEnds is called by the loop at the end of a turn: it writes what is in the output, and
// goes on with the streams that waited for room.
func (c *Conn) TurnEnds() {
	if c.state == stateFree || c.state == stateGone {
		return
	}
	if !c.writeAll() {
		return
	}
	if c.drain == drainLast && c.state == stateOpen && c.Active() == 0 {
		c.lose(&Error{Code: h2.NoError})
	}
	switch {
	case c.state == stateParting:
		c.part()
	case c.state == stateOwing && !c.Owes():
		c.close(false)
	case c.state == stateOpen && c.out == nil && (c.queued > 0 || c.full):
		c.Again()
	}
	c.arm()
}

// writeAll writes the output, and what the streams of the queues add to it, in a few rounds:
// what is left then has to come again in the next turn. It returns false if c has ended.
func (c *Conn) writeAll() (open bool) {
	c.writing = true // what is added is written here
	for n := writeTurns; ; n-- {
		if open = c.write(); n == 0 || !open || c.out != nil || c.state != stateOpen || !c.next() {
			c.writing = false
			return open
		}
	}
}

// write writes the output. It returns false if c has ended.
func (c *Conn) write() (open bool) {
	for c.out != nil && c.Writable() {
		n, err := c.Write(c.out.Bytes())
		if n > 0 {
			c.moved = c.side.Loop.Now()
			c.out.Take(n)
		}
		if err != nil {
			c.broken(err)
			return false
		}
		if c.out.Len() == 0 {
			c.side.Arena.Put(c.out)
			c.out = nil
		}
	}
	if c.out != nil {
		if c.Hangup() {
			c.broken(errHangup)
			return false
		}
		c.out = c.side.Arena.Fit(c.out)
	}
	return true
}

// broken ends c, whose socket takes nothing more.
func (c *Conn) broken(err error) {
	if c.state != stateOpen {
		c.close(false)
		return
	}
	c.side.Arena.Put(c.out)
	c.out = nil
	if c.side.Role == h2.Client {
		c.hear()
	}
	if c.state != stateOpen {
		c.close(false)
		return
	}
	c.lose(err)
}

// hear reads what a server has said before it closed c: GOAWAY says which streams may be
// asked for again.
func (c *Conn) hear() {
	c.AssumeReadable() // no event has told yet
	for range readTurns {
		n, err := c.in.Fill(c.side.Arena, &c.Conn, true)
		if n == 0 || err != nil {
			return
		}
		if c.takeApart(); c.state != stateOpen || c.full {
			return
		}
	}
}
