package bench

import (
	"crypto/tls"
	"io"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
)

// phase is the state of a conn.
type phase uint8

const (
	phaseClosed phase = iota // has no socket and waits until it is needed
	phasePause               // has no socket, and waits a moment after a failed connect
	phaseDial
	phaseTurn  // is connected, and waits because many handshakes are under way
	phaseShake // in the TLS handshake
	phaseOpen
	phaseRetired // no request is left for it
)

// conn is one client: one socket at a time, and its outstanding requests.
type conn struct {
	loop.Conn
	worker *worker
	addr   *loop.Addr
	phase  phase
	fresh  bool // its outstanding request has never been written
	listed bool // in the worker's free list
	armed  bool // timer is
	next   *conn

	secure *tls.Config // nil: plain HTTP
	layer  *tlsconn.Conn
	inTurn bool // in the list of conns in phaseTurn

	// starts is a ring of the outstanding requests, the oldest at index first: the
	// time when each was started or, in an open loop, was due. 0: not counted.
	starts   []tick.Instant
	first, n int
	since    tick.Instant // when the wait for the oldest answer began

	unsent int // bytes still to be written
	pos    int // their offset in the request
	answer answer
	in     *arena.Slab // the beginning of a head, or nil
	timer  loop.Timer
	multi  *multi // nil: HTTP/1.1
}

// Ready continues the work of the current phase.
func (c *conn) Ready() {
	switch c.phase {
	case phaseDial:
		c.dialled()
		return
	case phaseTurn:
		return
	case phaseShake:
		c.layer.Advance()
		return
	}
	if c.Readable() && !c.receive() {
		return
	}
	c.send()
}

// Panicked ends the run.
func (c *conn) Panicked(value any, stack []byte) {
	c.Close(true)
	c.worker.slabs.Forget(c.in)
	c.in = nil
	c.worker.panicked(value, stack)
}

// begin starts a closed conn of a closed loop.
func (c *conn) begin() {
	w := c.worker
	if c.n == 0 {
		start, ok := w.claim(w.kernel.Now())
		if !ok {
			c.retire()
			return
		}
		c.push(start)
		c.fresh = true
	}
	c.dial()
}

// dial begins to connect. All outstanding requests are written after that.
func (c *conn) dial() {
	w := c.worker
	c.phase = phaseDial
	c.answer, c.pos, c.unsent = answer{}, 0, c.n*w.request.len
	w.loop.Arm(&c.timer, c, w.loop.Now().Add(w.options.Timeout))
	c.armed = true
	if err := w.loop.Dial(&c.Conn, c, c.addr); err != nil {
		c.unreachable()
	}
}

// dialled continues after the attempt to connect.
func (c *conn) dialled() {
	err := c.DialResult()
	if err == unix.EINPROGRESS {
		return
	}
	if err != nil {
		c.unreachable()
		return
	}
	c.worker.connects++
	if c.secure != nil {
		c.awaitTurn()
		return
	}
	c.opened()
}

// opened begins to send, on a conn that is ready for it.
func (c *conn) opened() {
	w := c.worker
	c.phase = phaseOpen
	c.since = w.kernel.Now()
	if c.multi != nil {
		c.multi.begin()
	}
	if w.open {
		w.settle(c)
	} else {
		c.fill(c.since)
	}
	c.send()
	if c.multi != nil && c.Readable() { // a server may speak first, and brings no event for it again
		c.Again()
	}
}

// unreachable counts a failed attempt to connect.
func (c *conn) unreachable() { c.notOpened(&c.worker.errors.Connect) }

// notOpened counts an attempt that did not lead to an open conn. In a closed loop the next
// attempt waits, because refusals come faster than any answer could.
func (c *conn) notOpened(kind *int64) {
	w := c.worker
	c.shut(false)
	c.fail(kind)
	if w.open {
		w.settle(c)
		return
	}
	c.phase = phasePause
	w.loop.Arm(&c.timer, c, w.loop.Now().Add(connectPause))
	c.armed = true
}

// fill starts as many requests of a closed loop as the conn has room for. The
// request that begin has claimed starts now, unless its time includes connecting.
func (c *conn) fill(now tick.Instant) {
	w := c.worker
	if c.fresh && c.starts[c.first] != 0 && !w.options.NewConnPerRequest {
		c.starts[c.first] = now
	}
	c.fresh = false
	for c.n < len(c.starts) {
		start, ok := w.claim(now)
		if !ok {
			return
		}
		c.push(start)
		c.unsent += w.request.len
	}
}

// assign starts a request of an open loop; the conn has room for it.
func (c *conn) assign(start, now tick.Instant) {
	if c.n == 0 {
		c.since = now
	}
	c.push(start)
	switch c.phase {
	case phaseClosed:
		c.dial()
	case phaseDial, phaseTurn, phaseShake: // written with the others
		c.unsent += c.worker.request.len
	case phaseOpen:
		c.unsent += c.worker.request.len
		c.arm()
		c.send()
	}
}

// push adds an outstanding request.
func (c *conn) push(start tick.Instant) {
	invariant.Check(c.n < len(c.starts), "bench: more outstanding than there may be")
	c.n++
	c.worker.outstanding++
	c.enqueue(start)
}

// enqueue adds a request to the ring, whose number is that of the outstanding ones without
// those that have a stream.
func (c *conn) enqueue(start tick.Instant) {
	i := c.first + c.inRing() - 1
	if i >= len(c.starts) {
		i -= len(c.starts)
	}
	c.starts[i] = start
}

// inRing returns the number of requests in the ring.
func (c *conn) inRing() int {
	if c.multi != nil {
		return c.n - c.multi.open
	}
	return c.n
}

// dequeue takes the oldest request out of the ring. It is for the caller to count it.
func (c *conn) dequeue() (start tick.Instant) {
	start = c.starts[c.first]
	if c.first++; c.first == len(c.starts) {
		c.first = 0
	}
	return start
}

// pop removes the oldest outstanding request.
func (c *conn) pop() (start tick.Instant) {
	if c.inRing() > 0 {
		start = c.dequeue()
	} else {
		start = c.multi.cut()
	}
	c.n--
	c.worker.outstanding--
	return start
}

// fail counts all outstanding requests as one kind of error.
func (c *conn) fail(kind *int64) {
	for c.n > 0 {
		c.worker.failed(c.pop(), kind)
	}
}

// arm starts the timer for the oldest answer, unless it is running: then Expired
// starts it again for the rest of the time.
func (c *conn) arm() {
	if !c.armed {
		c.armed = true
		c.worker.loop.Arm(&c.timer, c, c.since.Add(c.worker.options.Timeout))
	}
}

// waiting returns when the wait for the oldest answer began.
func (c *conn) waiting() tick.Instant {
	if c.multi != nil {
		if st := c.multi.oldest(); st != nil {
			c.since = st.sent
		}
	}
	return c.since
}

// Expired ends a pause, or a request that has taken too long.
func (c *conn) Expired() {
	w := c.worker
	c.armed = false
	switch {
	case c.phase == phasePause:
		c.begin()
	case c.phase == phaseDial:
		c.unreachable()
	case c.phase == phaseTurn, c.phase == phaseShake:
		c.notOpened(&w.errors.Handshake)
	case c.n == 0:
	case c.waiting().Add(w.options.Timeout) > w.loop.Now():
		c.arm()
	default:
		c.shut(true)
		c.fail(&w.errors.Timeout)
		c.resume()
	}
}

// send writes the unsent bytes, as far as the socket takes them.
func (c *conn) send() {
	w := c.worker
	if c.multi != nil {
		c.multi.send()
		return
	}
	for c.unsent > 0 && c.Writable() {
		b := w.request.block[c.pos:]
		b = b[:min(len(b), c.unsent)]
		n, err := c.Write(b)
		if err != nil {
			c.unsent = 0 // an answer may still be there to read; reading shows how the conn ended
			return
		}
		w.sent(n)
		c.unsent -= n
		c.pos = (c.pos + n) % w.request.len
	}
}

// receive reads what is available. It returns false if the conn was shut.
func (c *conn) receive() bool {
	w := c.worker
	for range readsMax {
		buf := w.buf
		if c.in != nil {
			buf = c.in.Room()
		}
		n, err := c.Read(buf)
		if err != nil {
			c.ended(err)
			return false
		}
		if n > 0 {
			w.received(n)
			if !c.take(buf[:n]) {
				return false
			}
		}
		if !c.Readable() {
			return true
		}
	}
	c.Again()
	return true
}

// take parses bytes that were read into the buffer or into c.in, and keeps the rest
// that cannot be used yet. It returns false if the conn was shut.
func (c *conn) take(b []byte) bool {
	if c.in != nil {
		c.in.W += len(b)
		b = c.in.Bytes()
	}
	c.worker.stamp = 0
	rest, ok := c.takeApart(b)
	if !ok {
		return false
	}
	c.keep(rest)
	return c.goOn()
}

// takeApart parses b in the conn's protocol.
func (c *conn) takeApart(b []byte) (rest []byte, ok bool) {
	if c.multi != nil {
		return c.multi.parse(b)
	}
	return c.parse(b)
}

// keep stores rest, the end of the bytes just read, for the next read.
func (c *conn) keep(rest []byte) {
	slabs, old := c.worker.slabs, c.in
	if len(rest) == 0 {
		slabs.Put(old)
		c.in = nil
		return
	}
	if old != nil {
		old.R = old.W - len(rest)
		if len(old.Room()) >= slabBytes/4 {
			return
		}
		if len(rest) <= len(old.B)/2 {
			old.R, old.W = 0, copy(old.B, rest)
			return
		}
	}
	if len(rest) <= slabBytes/2 {
		c.in = slabs.Get()
	} else {
		c.in = slabs.GetLarge()
	}
	c.in.W = copy(c.in.B, rest)
	slabs.Put(old)
	invariant.Check(len(c.in.Room()) > 0, "bench: more held than any parser waits for")
}

// goOn starts requests if an answer has made room. It returns false if the conn
// was shut.
func (c *conn) goOn() bool {
	w := c.worker
	if w.stamp == 0 {
		return true
	}
	if w.open {
		w.put(c)
		w.caughtUp()
		return c.phase == phaseOpen
	}
	c.fill(w.stamp)
	if c.n == 0 {
		c.retire()
		return false
	}
	c.arm()
	return true
}

// ended handles the end of the conn, or the error that ended it.
func (c *conn) ended(err error) {
	w := c.worker
	if a := &c.answer; err == io.EOF && a.state == inBody && a.framing == httpparse.Close {
		w.stamp = w.kernel.Now()
		c.finish()
		c.shut(false)
	} else {
		c.shut(false)
		c.fail(&w.errors.Reset)
	}
	c.resume()
}

// resume uses a conn again that was just shut: for the requests that the server
// left unanswered when it announced its close, or for new ones.
func (c *conn) resume() {
	w := c.worker
	switch {
	case !w.open:
		c.begin()
	case c.n > 0:
		c.dial()
	default:
		w.put(c)
		w.caughtUp()
	}
}

// shut closes the socket.
func (c *conn) shut(reset bool) {
	w := c.worker
	w.loop.Disarm(&c.timer)
	c.armed = false
	c.Close(reset)
	w.slabs.Put(c.in)
	c.in, c.unsent, c.layer = nil, 0, nil
	c.answer = answer{}
	was := c.phase
	c.phase = phaseClosed
	if was == phaseShake {
		w.shakes.ended()
	}
}

// retire ends the conn of a closed loop.
func (c *conn) retire() {
	c.shut(false)
	c.phase = phaseRetired
	c.worker.retired()
}
