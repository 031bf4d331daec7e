package backends

import (
	"fmt"
	"time"

	"lb/arena"
	"lb/httpparse/h2"
	"lb/internal/invariant"
	"lb/loop"
)

const (
	streamsMax  = 256     // of one conn at once
	controlRoom = 4 << 10 // bytes of out that are kept free for what the session owes
	turnsMax    = 1 << 10 // frames of streams before others have their turn
)

// preface is enough of h2.Preface to tell it from HTTP/1.1.
const preface = "PRI "

// newShared returns what all HTTP/2 conns of a server share.
func newShared() *h2.Shared {
	return h2.NewShared(limits.HeadBytes, func() *h2.Stream {
		st := new(stream)
		st.Owner = st
		return &st.Stream
	})
}

// h2Options are those of all sessions. A stream's window fits into a large slab.
var h2Options = h2.Options{Role: h2.Server, Streams: streamsMax, Window: 65535}

// h2conn is one client that speaks HTTP/2 by prior knowledge. It reads more only after it
// has written all, like conn.
type h2conn struct {
	loop.Conn
	h2.Session
	server      *Server
	timer       loop.Timer
	in, out     *arena.Slab // nil if the conn is idle
	first, last *stream     // that have something to send, in turns
	ending      bool        // closes after all is written
}

// becomeH2 makes c, whose client has sent the beginning of the preface, an h2conn.
func (c *conn) becomeH2() {
	s := c.server
	m := &h2conn{server: s, in: c.in}
	c.in = nil
	s.loop.Disarm(&c.timer)
	s.loop.Move(&c.Conn, &m.Conn, m)
	s.slabs.Put(c.out)
	c.out = nil
	c.freeParser()
	delete(s.conns, c)
	s.free = append(s.free, c)
	s.h2conns[m] = struct{}{}
	m.Init(&h2Options, s.shared)
	m.out = s.slabs.GetLarge()
	m.put(m.AppendStart(m.text(), s.loop.Now()))
	m.Again()
}

// Ready moves bytes until nothing moves or it is the turn of others.
func (c *h2conn) Ready() {
	if c.Hangup() {
		c.close()
		return
	}
	for range roundsMax {
		read, ok := c.fill()
		if !ok {
			return
		}
		c.takeFrames()
		c.send()
		wrote, blocked := c.flush()
		if blocked || !read && !wrote {
			if c.IsOpen() {
				c.settle()
			}
			return
		}
	}
	c.Again()
}

// Panicked drops the conn. Its slabs are left to the collector.
func (c *h2conn) Panicked(value any, stack []byte) {
	s := c.server
	s.log.Error("panic", "backend", s.name, "value", fmt.Sprint(value), "stack", string(stack))
	s.slabs.Forget(c.in)
	s.slabs.Forget(c.out)
	c.in, c.out = nil, nil
	c.let()
}

// Expired ends a conn that is idle for too long.
func (c *h2conn) Expired() { c.close() }

// close closes the conn and returns all it has borrowed. c must not be used after it.
func (c *h2conn) close() {
	s := c.server
	s.slabs.Put(c.in)
	s.slabs.Put(c.out)
	c.in, c.out = nil, nil
	c.let()
}

// let closes the conn and lets go of its streams.
func (c *h2conn) let() {
	s := c.server
	s.loop.Disarm(&c.timer)
	c.Close(false)
	for st := range c.All {
		st.Owner.(*stream).release(nil)
	}
	c.Drop()
	c.first, c.last = nil, nil
	delete(s.h2conns, c)
}

// settle returns empty slabs and sets the deadline of the conn.
func (c *h2conn) settle() {
	slabs := c.server.slabs
	if c.in != nil && c.in.Len() == 0 {
		slabs.Put(c.in)
		c.in = nil
	}
	if c.out != nil && c.out.Len() == 0 {
		slabs.Put(c.out)
		c.out = nil
	}
	l := c.server.loop
	l.Arm(&c.timer, c, l.Now().Add(idleTimeout))
}

// fill reads once, if all is written. ok is false if the conn was closed.
func (c *h2conn) fill() (read, ok bool) {
	if c.ending || c.out != nil && c.out.Len() > 0 || !c.Readable() {
		return false, true
	}
	slabs := c.server.slabs
	switch {
	case c.in == nil:
		c.in = slabs.GetLarge()
	case !c.in.Large():
		large := slabs.GetLarge()
		large.W = copy(large.B, c.in.Bytes())
		slabs.Put(c.in)
		c.in = large
	case c.in.R > 0:
		c.in.R, c.in.W = 0, copy(c.in.B, c.in.Bytes())
	}
	n, err := c.Read(c.in.Room())
	if err != nil {
		c.close()
		return false, false
	}
	c.in.W += n
	return n > 0, true
}

// text returns the bytes in out, to append to.
func (c *h2conn) text() []byte { return c.out.B[:c.out.W] }

// put stores the result of an append to text.
func (c *h2conn) put(b []byte) {
	invariant.Check(len(b) <= len(c.out.B), "backends: more frames than there is room for")
	c.out.W = len(b)
}

// room returns how many bytes of streams out has room for.
func (c *h2conn) room() int {
	if c.out == nil {
		c.out = c.server.slabs.GetLarge()
	} else if c.out.Len() == 0 {
		c.out.R, c.out.W = 0, 0
	}
	return len(c.out.Room()) - controlRoom
}

// takeFrames takes the frames in the inbox apart, as far as out has room.
func (c *h2conn) takeFrames() {
	now := c.server.loop.Now()
	for c.in != nil && !c.ending && c.room() > 0 {
		ev, n, out := c.Next(c.in.Bytes(), now, c.text())
		c.put(out)
		c.in.Take(n)
		switch ev.Kind {
		case h2.More, h2.Full:
			return
		case h2.Head:
			ev.Stream.Owner.(*stream).head(c)
		case h2.Part:
			ev.Stream.Owner.(*stream).receive(ev.Bytes)
		case h2.Trail:
			ev.Stream.Owner.(*stream).readTrailers()
		case h2.Aborted, h2.Faulted:
			ev.Stream.Owner.(*stream).leave()
		case h2.Opened:
			c.opened(ev.Stream)
		case h2.Broken:
			c.ending = true
		}
	}
}

// opened queues the streams whose windows have opened.
func (c *h2conn) opened(st *h2.Stream) {
	if st != nil {
		c.enqueue(st.Owner.(*stream))
		return
	}
	for st := range c.All {
		c.enqueue(st.Owner.(*stream))
	}
}

// enqueue has st send when it is its turn.
func (c *h2conn) enqueue(st *stream) {
	if st.queued || !st.ready() {
		return
	}
	st.queued = true
	if c.last == nil {
		c.first = st
	} else {
		c.last.next = st
	}
	c.last = st
}

// dequeue returns the stream whose turn it is, or nil.
func (c *h2conn) dequeue() *stream {
	st := c.first
	if st == nil {
		return nil
	}
	if c.first = st.next; c.first == nil {
		c.last = nil
	}
	st.next, st.queued = nil, false
	return st
}

// send has streams send in turns, a frame each, as far as out has room.
func (c *h2conn) send() {
	for range turnsMax {
		if c.first == nil || c.room() < h2.HeadRoom(replyRoom)+2*(h2.HeaderLen+h2.FrameMax) {
			return
		}
		st := c.dequeue()
		if st.c == c && st.send() {
			c.enqueue(st)
		}
	}
}

// flush writes once. blocked is true if the rest has to wait for the client, or if the conn
// is closed.
func (c *h2conn) flush() (wrote, blocked bool) {
	if c.out == nil || c.out.Len() == 0 {
		if c.ending {
			c.close()
		}
		return false, !c.IsOpen()
	}
	if !c.Writable() {
		return false, true
	}
	n, err := c.Write(c.out.Bytes())
	if err != nil {
		c.close()
		return false, true
	}
	c.out.Take(n)
	return n > 0, c.out.Len() > 0 && !c.Writable()
}

// stream is one request and its answer: text, bytes of the pattern, or the request's body.
type stream struct {
	h2.Stream
	c      *h2conn // nil before its head and after its end
	next   *stream
	queued bool
	timer  loop.Timer
	delay  time.Duration

	answer   []byte // head of the answer, to be sent
	text     []byte // the body, or what is left of it
	textAt   int
	left     int64 // bytes of the pattern
	pos      int64
	echo     bool
	bodiless bool
	body     *arena.Slab // of an echo, or nil
	trailers []byte      // field lines
}

// head reads the head of a request.
func (st *stream) head(c *h2conn) {
	s := c.server
	*st = stream{Stream: st.Stream, c: c, answer: st.answer[:0], text: st.text[:0], trailers: st.trailers[:0]}
	if cap(s.head) == 0 {
		s.head = make([]byte, 0, limits.HeadBytes)
	}
	text, r := c.ReadRequest(s.head[:0], &limits, "")
	switch r.Verdict {
	case h2.Whole:
		st.serve(text)
	case h2.TooLarge:
		st.sayStatus(431, "")
	default:
		c.put(c.Reset(c.text(), &st.Stream, h2.ProtocolError))
		st.leave()
		return
	}
	st.got()
}

// got goes on when something has come.
func (st *stream) got() {
	if st.RemoteEnded() && st.delay > 0 {
		l := st.c.server.loop
		l.Arm(&st.timer, st, l.Now().Add(st.delay))
		return
	}
	st.c.enqueue(st)
}

// Expired ends a delay.
func (st *stream) Expired() {
	st.delay = 0
	st.c.enqueue(st)
	st.c.Again()
}

// ready reports whether there may be something to send: a request is read to its end before
// the answer, except for an echo.
func (st *stream) ready() bool { return st.echo || st.RemoteEnded() && st.delay == 0 }

// receive takes a part of the body.
func (st *stream) receive(b []byte) {
	c := st.c
	switch slabs := c.server.slabs; {
	case len(b) == 0:
	case !st.echo:
		c.put(c.Take(c.text(), &st.Stream, len(b)))
	default:
		if st.body == nil {
			st.body = slabs.GetLarge()
		} else if len(st.body.Room()) < len(b) {
			st.body.R, st.body.W = 0, copy(st.body.B, st.body.Bytes())
		}
		st.body.W += copy(st.body.Room(), b)
	}
	st.got()
}

// readTrailers reads the trailers of a request, which an echo repeats.
func (st *stream) readTrailers() {
	c := st.c
	lines, r := c.ReadTrailers(c.server.head[:0], &limits)
	if r.Verdict != h2.Whole {
		c.put(c.Reset(c.text(), &st.Stream, h2.ProtocolError))
		st.leave()
		return
	}
	if st.echo {
		st.trailers = append(st.trailers, lines...)
	}
	st.got()
}

// leave lets go of a stream that has ended.
func (st *stream) leave() {
	if st.c != nil {
		c := st.c
		c.put(st.release(c.text()))
	}
}

// release returns what st has borrowed, and st itself.
func (st *stream) release(out []byte) []byte {
	c := st.c
	c.server.loop.Disarm(&st.timer)
	c.server.slabs.Put(st.body)
	c.drop(st)
	st.body, st.c = nil, nil
	return c.Release(out, &st.Stream)
}

// drop takes st out of the queue.
func (c *h2conn) drop(st *stream) {
	if !st.queued {
		return
	}
	var before *stream
	for x := c.first; x != st; x = x.next {
		before = x
	}
	if before == nil {
		c.first = st.next
	} else {
		before.next = st.next
	}
	if c.last == st {
		c.last = before
	}
	st.next, st.queued = nil, false
}

// send sends the head, and a frame of the body. It reports whether there is more to send
// now.
func (st *stream) send() (more bool) {
	c := st.c
	if len(st.answer) > 0 {
		end := st.bodiless || !st.echo && st.size() == 0 && len(st.trailers) == 0
		c.put(c.AppendResponse(c.text(), &st.Stream, st.answer, end))
		if st.answer = st.answer[:0]; end {
			st.leave()
			return false
		}
	}
	whole := st.RemoteEnded()
	if n := int(min(st.size(), int64(c.Sendable(&st.Stream)))); n > 0 {
		end := whole && int64(n) == st.size() && len(st.trailers) == 0
		c.put(st.appendBody(c.AppendData(c.text(), &st.Stream, n, end), n))
		if end {
			st.leave()
			return false
		}
	}
	switch {
	case st.size() > 0:
		return c.Sendable(&st.Stream) > 0
	case !whole:
		return false
	case len(st.trailers) > 0:
		c.put(c.AppendTrailers(c.text(), &st.Stream, st.trailers))
	default:
		c.put(c.AppendData(c.text(), &st.Stream, 0, true))
	}
	st.leave()
	return false
}

// size returns how many bytes of the body are there to be sent.
func (st *stream) size() int64 {
	if st.body != nil {
		return int64(st.body.Len())
	}
	return int64(len(st.text)-st.textAt) + st.left
}

// appendBody appends the next n bytes of the body.
func (st *stream) appendBody(dst []byte, n int) []byte {
	switch {
	case st.body != nil:
		dst = append(dst, st.body.Bytes()[:n]...)
		if st.body.Take(n); st.body.Len() == 0 {
			st.c.server.slabs.Put(st.body)
			st.body = nil
		}
		return st.c.Take(dst, &st.Stream, n)
	case st.textAt < len(st.text):
		dst = append(dst, st.text[st.textAt:st.textAt+n]...)
		st.textAt += n
		return dst
	}
	at := len(dst)
	dst = dst[:at+n]
	Pattern(dst[at:], st.pos)
	st.pos, st.left = st.pos+int64(n), st.left-int64(n)
	return dst
}
