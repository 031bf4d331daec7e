package backends

import (
	"fmt"
	"strconv"
	"time"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
)

const (
	roundsMax     = 8            // of moving bytes, before others have their turn
	runBytesMax   = 128 << 10    // of the pattern, in one write
	chunkBytes    = 64 << 10     // of one chunk of /chunked
	replyRoom     = 1 << 10      // head and text of any answer, beside what it repeats of the request
	chunkRoom     = 2*16 + 2 + 2 // a chunk's line and line ends
	echoBytes     = 64 << 10     // of a body echoed in one step
	idleTimeout   = 2 * time.Minute
	tunnelTimeout = 2 * time.Hour // WebSocket
	lingerTimeout = time.Second
)

var limits = httpparse.Limits{HeadBytes: 96 << 10, Fields: 512, TargetBytes: 64 << 10}

type phase uint8

const (
	phaseHead     phase = iota // waits for a request head
	phaseRoute                 // has one, waits for room to answer
	phaseBody                  // takes the request body: drops or echoes it
	phaseTrailers              // takes what follows the last chunk
	phaseDelay                 // waits for its time
	phaseAnswer                // writes what is left of the answer
	phaseFrames                // is a WebSocket
	phaseLast                  // closes as soon as all is written
	phaseLinger                // has ended its side, waits for the end of the client's
)

// exchange is what one request and its answer need; the zero value awaits a head.
type exchange struct {
	phase   phase
	echo    bool // the request body goes to out
	chunked bool // the answer's pattern goes in chunks
	close   bool // the conn ends with this exchange
	refused bool // the client may still be sending
	held    int  // last bytes of out, which wait for the end of the request body or of the delay
	delay   time.Duration
	owed    int64 // bytes of the request body to come, for Length
	run     int64 // bytes of the pattern that flush may write
	left    int64 // bytes of the pattern beyond run
	pos     int64 // of the pattern's next byte
}

// conn is one client and the exchange it is at. An answer is written to out as
// soon as its request's head is there and held until the body has been taken,
// so nothing of the request needs to be kept; a long answer goes on with bytes
// of the pattern, straight from where it lies.
type conn struct {
	loop.Conn
	exchange
	server   *Server
	timer    loop.Timer
	in, out  *arena.Slab // nil when empty and the conn at rest
	req      httpparse.Request
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
	ws       wsEcho
}

// Ready moves bytes until nothing moves any more or others are due.
func (c *conn) Ready() {
	if c.Hangup() {
		c.end(false)
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
	delete(c.server.conns, c)
}

// Expired ends a delay, or a conn that rests for too long.
func (c *conn) Expired() {
	if c.phase != phaseDelay {
		c.end(false)
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
func (c *conn) end(reset bool) {
	s := c.server
	s.loop.Disarm(&c.timer)
	c.Close(reset)
	s.slabs.Put(c.in)
	s.slabs.Put(c.out)
	c.in, c.out = nil, nil
	delete(s.conns, c)
	s.free = append(s.free, c)
}

// advance goes as far as the bytes in in and the room in out allow.
func (c *conn) advance() (moved bool) {
	for c.step() {
		moved = true
	}
	return moved
}

// step does one thing and returns true, or false when it needs bytes, room or time.
func (c *conn) step() bool {
	switch c.phase {
	case phaseHead:
		return c.takeHead()
	case phaseRoute:
		return c.route()
	case phaseBody:
		return c.takeBody()
	case phaseTrailers:
		return c.takeTrailers()
	case phaseAnswer:
		return c.goOn()
	case phaseFrames:
		return c.takeFrames()
	case phaseLinger:
		c.drop()
	}
	return false
}

func (c *conn) takeHead() bool {
	if c.in == nil || c.in.Len() == 0 || !c.room(replyRoom) {
		return false
	}
	switch c.req.Feed(c.in.Bytes()) {
	case httpparse.More:
		return false
	case httpparse.Bad:
		c.refuse(c.req.Reason)
	case httpparse.Done:
		c.phase = phaseRoute
	}
	return true
}

// route writes the answer, or its beginning, and says what is next.
func (c *conn) route() bool {
	if !c.room(int(c.req.HeadLen) + replyRoom) {
		return false
	}
	c.close = c.req.Close
	if c.req.ExpectContinue && c.req.Framing != httpparse.None {
		c.put(append(c.text(), "HTTP/1.1 100 Continue\r\n\r\n"...))
	}
	before := c.out.W
	c.phase = phaseBody
	c.serve(c.in.Bytes())
	c.in.Take(int(c.req.HeadLen))
	if c.phase == phaseFrames {
		return true
	}
	if !c.echo {
		c.held = c.out.W - before
	}
	c.owed = c.req.Length
	c.chunks.Reset()
	if c.req.Framing == httpparse.None || c.req.Framing == httpparse.Length && c.owed == 0 {
		c.answer()
	}
	return true
}

// takeBody takes what is there of the request body.
func (c *conn) takeBody() bool {
	if c.in == nil || c.in.Len() == 0 {
		return false
	}
	b := c.in.Bytes()
	if c.echo {
		b = b[:min(len(b), echoBytes)]
		if !c.room(len(b) + chunkRoom) {
			return false
		}
	}
	if c.req.Framing == httpparse.Length {
		b = b[:min(int64(len(b)), c.owed)]
		if c.echo {
			c.put(append(c.text(), b...))
		}
		c.in.Take(len(b))
		if c.owed -= int64(len(b)); c.owed == 0 {
			c.answer()
		}
		return true
	}
	return c.takeChunk(b)
}

func (c *conn) takeChunk(b []byte) bool {
	data, n, status := c.chunks.Next(b)
	if status == httpparse.Bad {
		c.spoil(c.chunks.Reason)
		return true
	}
	if c.echo && data.Len > 0 {
		dst := strconv.AppendUint(c.text(), uint64(data.Len), 16)
		dst = append(append(dst, "\r\n"...), data.Of(b)...)
		c.put(append(dst, "\r\n"...))
	}
	c.in.Take(n)
	if status == httpparse.Done {
		c.trailers.Reset(&limits)
		c.phase = phaseTrailers
		return true
	}
	return n > 0
}

func (c *conn) takeTrailers() bool {
	if c.in == nil || c.in.Len() == 0 {
		return false
	}
	b := c.in.Bytes()
	switch c.trailers.Feed(b) {
	case httpparse.More:
		return false
	case httpparse.Bad:
		c.spoil(c.trailers.Reason)
		return true
	}
	n := int(c.trailers.HeadLen)
	if c.echo {
		if !c.room(n + replyRoom) {
			return false
		}
		dst := httpparse.AppendTrailers(append(c.text(), "0\r\n"...), b, &c.trailers)
		c.put(append(dst, "\r\n"...))
	}
	c.in.Take(n)
	c.answer()
	return true
}

// answer lets go what was held, when its time has come.
func (c *conn) answer() {
	if c.delay > 0 {
		c.phase = phaseDelay
		c.arm(c.delay)
		return
	}
	c.held, c.phase = 0, phaseAnswer
}

// goOn cuts the next chunk off the pattern, or ends the exchange.
func (c *conn) goOn() bool {
	if c.run > 0 {
		return false // flush writes it
	}
	if c.chunked {
		if !c.room(chunkRoom) {
			return false
		}
		c.run = min(c.left, chunkBytes)
		c.left -= c.run
		dst := c.text()
		if c.pos > 0 {
			dst = append(dst, "\r\n"...) // of the chunk before
		}
		dst = append(strconv.AppendInt(dst, c.run, 16), "\r\n"...)
		if c.run == 0 {
			dst = append(dst, "\r\n"...)
			c.chunked = false
		}
		c.put(dst)
		return true
	}
	if c.close {
		c.phase = phaseLast
		return true
	}
	c.exchange = exchange{}
	c.req.Reset(&limits)
	return true
}

func (c *conn) takeFrames() bool {
	if c.in == nil || c.in.Len() == 0 || !c.room(frameRoom+controlBytesMax) {
		return false
	}
	before := c.out.W
	dst, n := c.ws.feed(c.text(), c.in.Bytes())
	c.put(dst)
	c.in.Take(n)
	if c.ws.done {
		c.refused, c.phase = true, phaseLast
	}
	return n > 0 || c.out.W > before
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
		c.end(false)
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
		c.end(false)
		return
	}
	c.phase = phaseLinger
	c.drop()
	c.arm(lingerTimeout)
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
		c.end(false)
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

// room tells whether out has n bytes of room, at most largeBytes. When it has
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
