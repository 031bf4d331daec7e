package bench

import "lb/httpparse"

// answerLimits bounds the head of an answer.
var answerLimits = httpparse.Limits{HeadBytes: 64 << 10, Fields: 512, TargetBytes: 1}

// answerState is the part of an answer that comes next.
type answerState uint8

const (
	inHead answerState = iota
	inBody
	inTrailers
)

// answer is the state of the answer being received.
type answer struct {
	state   answerState
	framing httpparse.Framing
	close   bool // the server announced its close
	code    int
	left    int64 // bytes of the body to come, for Length
	chunks  httpparse.Chunks
	body    Answer // length and checksum so far, if answers are verified
}

// verdict is the result of one step through the bytes of an answer.
type verdict uint8

const (
	wantMore verdict = iota // more bytes are needed
	stepped                 // progress; the answer goes on, or an interim one is over
	whole                   // the answer is over
	garbage                 // not an HTTP/1.1 answer
)

// parse consumes b answer by answer. rest is the part that could not be used yet;
// it has to come again before the next bytes. ok is false if the conn was shut.
func (c *conn) parse(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 {
		if c.n == 0 { // no request is outstanding; often a 408 before the server closes an idle conn
			c.shut(false)
			c.resume()
			return nil, false
		}
		n, v := c.step(b)
		b = b[n:]
		switch v {
		case wantMore:
			return b, true
		case garbage:
			c.spoil()
			return nil, false
		case whole:
			if w := c.worker; w.stamp == 0 {
				w.stamp = w.kernel.Now()
			}
			if len(b) > 0 && c.n == 1 { // bytes after the end of the last answer
				c.spoil()
				return nil, false
			}
			if c.finish() {
				c.shut(false)
				c.resume()
				return nil, false
			}
		}
	}
	return nil, true
}

// spoil ends a conn whose bytes are not answers.
func (c *conn) spoil() {
	c.worker.failed(c.pop(), &c.worker.errors.Protocol)
	c.shut(true)
	c.fail(&c.worker.errors.Reset)
	c.resume()
}

// finish counts the answer and prepares for the next one. It returns true if the
// conn has to be closed.
func (c *conn) finish() (closing bool) {
	w := c.worker
	closing = c.answer.close || w.options.NewConnPerRequest
	w.answered(c.pop(), &c.answer)
	c.answer = answer{}
	c.since = w.stamp
	return closing
}

// step consumes n bytes at the beginning of b, which is not empty.
func (c *conn) step(b []byte) (n int, v verdict) {
	switch c.answer.state {
	case inHead:
		return c.takeHead(b)
	case inBody:
		return c.takeBody(b)
	}
	return c.takeTrailers(b)
}

// takeHead consumes a whole head or nothing.
func (c *conn) takeHead(b []byte) (n int, v verdict) {
	p, a := &c.worker.response, &c.answer
	p.Reset(&answerLimits, c.worker.request.method)
	switch p.Feed(b) {
	case httpparse.More:
		return 0, wantMore
	case httpparse.Bad:
		return 0, garbage
	}
	n = int(p.HeadLen)
	if p.Code < 200 {
		if p.Code == 101 { // an upgrade that was not requested
			return n, garbage
		}
		return n, stepped
	}
	a.code, a.framing, a.close, a.left = p.Code, p.Framing, p.Close, p.Length
	a.state = inBody
	if a.framing == httpparse.None || a.framing == httpparse.Length && a.left == 0 {
		return n, whole
	}
	return n, stepped
}

// takeBody consumes the part of the body that is in b.
func (c *conn) takeBody(b []byte) (n int, v verdict) {
	a := &c.answer
	switch a.framing {
	case httpparse.Chunked:
		data, n, st := a.chunks.Next(b)
		c.note(data.Of(b))
		switch st {
		case httpparse.Bad:
			return n, garbage
		case httpparse.Done:
			a.state = inTrailers
		}
		return n, stepped
	case httpparse.Close:
		c.note(b)
		return len(b), stepped
	}
	n = int(min(int64(len(b)), a.left))
	c.note(b[:n])
	if a.left -= int64(n); a.left == 0 {
		return n, whole
	}
	return n, stepped
}

// note adds bytes of the body to the checksum, if answers are verified.
func (c *conn) note(b []byte) {
	if c.worker.options.Verify {
		c.answer.body.add(b)
	}
}

// takeTrailers consumes the whole trailer section or nothing.
func (c *conn) takeTrailers(b []byte) (n int, v verdict) {
	p := &c.worker.trailers
	p.Reset(&answerLimits, false)
	switch p.Feed(b) {
	case httpparse.More:
		return 0, wantMore
	case httpparse.Bad:
		return 0, garbage
	}
	return int(p.HeadLen), whole
}
