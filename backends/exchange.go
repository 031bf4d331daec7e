package backends

import (
	"bytes"
	"strconv"
	"time"

	"lb/httpparse"
)

const (
	roundsMax     = 8            // rounds of moving bytes before others have their turn
	runBytesMax   = 128 << 10    // bytes of the pattern in one write
	chunkBytes    = 64 << 10     // size of a chunk of /chunked
	replyRoom     = 1 << 10      // for head and text of any answer, without repeated parts of the request
	chunkRoom     = 2*16 + 2 + 2 // for a chunk's line and line ends
	echoBytes     = 64 << 10     // bytes echoed in one step
	idleTimeout   = 2 * time.Minute
	tunnelTimeout = 2 * time.Hour // WebSocket
	lingerTimeout = time.Second
)

var limits = httpparse.Limits{HeadBytes: 96 << 10, Fields: 512, TargetBytes: 64 << 10}

type phase uint8

const (
	phaseHead     phase = iota // waits for a request head
	phaseRoute                 // has a head, waits for room to answer
	phaseBody                  // reads the request body, drops or echoes it
	phaseTrailers              // reads the trailers after the last chunk
	phaseDelay                 // waits for the end of a delay
	phaseAnswer                // writes the rest of the answer
	phaseFrames                // is a WebSocket
	phaseLast                  // closes after all is written
	phaseLinger                // has ended its side, waits for the client's end
)

// exchange is the state of one request and its answer. The zero value expects a
// head.
type exchange struct {
	phase   phase
	echo    bool // the request body is copied to out
	chunked bool // the pattern is sent in chunks
	close   bool // the conn ends with this exchange
	refused bool // the client may still be sending
	held    int  // last bytes of out, held until the end of the request body and of the delay
	delay   time.Duration
	owed    int64 // bytes of the request body to come, for Length
	run     int64 // bytes of the pattern that flush may write
	left    int64 // bytes of the pattern beyond run
	pos     int64 // offset of the pattern's next byte
}

// advance makes steps as far as the bytes in in and the room in out allow.
func (c *conn) advance() (moved bool) {
	for c.step() {
		moved = true
	}
	return moved
}

// step makes one step. It returns false if it needs bytes, room or time.
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
	if b := c.in.Bytes(); bytes.HasPrefix(b, []byte(preface)) {
		c.becomeH2()
		return false
	} else if len(b) < len(preface) && preface[:len(b)] == string(b) {
		return false
	}
	if c.parser == nil {
		c.parser = c.server.newParser()
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

// route writes the answer, or its beginning, and sets the next phase.
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
		c.freeParser()
		return true
	}
	if !c.echo {
		c.held = c.out.W - before
	}
	c.owed = c.req.Length
	c.chunks.Reset(false)
	if c.req.Framing == httpparse.None || c.req.Framing == httpparse.Length && c.owed == 0 {
		c.answer()
	}
	return true
}

// takeBody consumes the part of the request body that has arrived.
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
		c.trailers.Reset(&limits, false)
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

// answer releases the held bytes, or starts the delay before that.
func (c *conn) answer() {
	if c.delay > 0 {
		c.phase = phaseDelay
		c.arm(c.delay)
		return
	}
	c.held, c.phase = 0, phaseAnswer
}

// goOn begins the next chunk of the pattern, or ends the exchange.
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
	c.freeParser()
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
