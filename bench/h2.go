package bench

import (
	"errors"
	"slices"

	"lb/httpparse/h2"
	"lb/loop/tick"
)

const (
	h2Window   = 1 << 20   // bytes that a server may send in a stream before we have read them
	h2Out      = 256 << 10 // bytes to be written beyond which no frame is added
	h2Room     = 4 * h2.OutMax
	streamsMax = 1 << 10
)

var errNoH2 = errors.New("the server does not agree to HTTP/2 (ALPN)")

// multi is the HTTP/2 of one conn. Its streams are the outstanding requests that have been
// sent; the ring of the conn has those that wait for a stream.
type multi struct {
	h2.Session
	c      *conn
	out    []byte // to be written, from pos on
	pos    int
	open   int // streams
	bodies int // streams whose request is not yet sent to its end
	away   bool
}

// stream is one request that has been sent, and its answer.
type stream struct {
	h2.Stream
	start tick.Instant // as in conn.starts
	sent  tick.Instant
	body  int // bytes of the body that are sent
	answer
}

// newH2Shared returns what the conns of one loop share.
func newH2Shared() *h2.Shared {
	return h2.NewShared(answerLimits.HeadBytes, func() *h2.Stream {
		st := new(stream)
		st.Owner = st
		return &st.Stream
	})
}

// h2Options returns those of all sessions of a run.
func (r *run) h2Options() *h2.Options {
	return &h2.Options{Role: h2.Client, Streams: r.options.Streams, Window: h2Window}
}

// begin begins the session on a new conn.
func (m *multi) begin() {
	w := m.c.worker
	m.Init(w.run.h2, w.h2shared)
	m.away, m.bodies, m.pos = false, 0, 0
	m.out = m.AppendStart(slices.Grow(m.out[:0], h2Room), w.loop.Now())
}

// send writes what is to be written, and requests, as far as the server allows.
func (m *multi) send() {
	for m.write() && m.compose() {
	}
}

// write writes once, and reports whether nothing is left.
func (m *multi) write() bool {
	c := m.c
	for m.pos < len(m.out) {
		if !c.Writable() {
			return false
		}
		n, err := c.Write(m.out[m.pos:])
		if err != nil { // an answer may still be there to read; reading shows how the conn ended
			m.out, m.pos = m.out[:0], 0
			return false
		}
		c.worker.sent(n)
		m.pos += n
	}
	m.out, m.pos = m.out[:0], 0
	return true
}

// compose makes frames of requests that wait, and of bodies. It reports whether there are any.
func (m *multi) compose() bool {
	c, r := m.c, m.c.worker.request
	had := len(m.out)
	for c.n > m.open && len(m.out) < h2Out && m.CanOpen() > 0 {
		st := m.Open().Owner.(*stream)
		st.start, st.sent, st.body, st.answer = c.dequeue(), c.worker.loop.Now(), 0, answer{}
		m.open++
		m.out = slices.Grow(m.out, h2.HeadRoom(len(r.head)))
		m.out = m.AppendRequest(m.out, &st.Stream, r.head, r.url.Scheme, len(r.body) == 0)
		if len(r.body) > 0 {
			m.bodies++
		}
	}
	if m.bodies > 0 {
		for s := range m.All {
			m.sendBody(s.Owner.(*stream), r.body)
		}
	}
	return len(m.out) > had
}

// sendBody makes frames of the body of a request.
func (m *multi) sendBody(st *stream, body []byte) {
	for st.body < len(body) && len(m.out) < h2Out {
		n := min(len(body)-st.body, m.Sendable(&st.Stream))
		if n == 0 {
			return
		}
		end := st.body+n == len(body)
		m.out = slices.Grow(m.out, h2.HeaderLen+n)
		m.out = append(m.AppendData(m.out, &st.Stream, n, end), body[st.body:st.body+n]...)
		if st.body += n; end {
			m.bodies--
		}
	}
}

// parse takes frames from b. rest is the part that could not be used yet; it has to come
// again before the next bytes. ok is false if the conn was shut.
func (m *multi) parse(b []byte) (rest []byte, ok bool) {
	for {
		m.out = slices.Grow(m.out, h2Room)
		ev, n, out := m.Next(b, m.c.worker.loop.Now(), m.out)
		m.out, b = out, b[n:]
		switch ev.Kind {
		case h2.More:
			return b, m.goesOn()
		case h2.Full:
		case h2.Leaving:
			m.away = true
		case h2.Broken:
			m.broken()
			return nil, false
		default:
			if ev.Stream != nil {
				m.event(&ev, ev.Stream.Owner.(*stream))
			}
		}
	}
}

// broken ends a conn whose bytes are not HTTP/2.
func (m *multi) broken() {
	c := m.c
	if c.n > 0 {
		c.spoil()
		return
	}
	c.shut(false)
	c.resume()
}

// goesOn ends a conn that can carry no more requests, once its streams have ended.
func (m *multi) goesOn() bool {
	c := m.c
	if (m.away || c.worker.options.NewConnPerRequest && c.worker.stamp != 0) && m.open == 0 {
		c.shut(false)
		c.resume()
		return false
	}
	return true
}

// event handles what has come in a stream.
func (m *multi) event(ev *h2.Event, st *stream) {
	w := m.c.worker
	switch ev.Kind {
	case h2.Head:
		m.head(st, ev.End)
	case h2.Trail:
		if _, r := m.ReadTrailers(w.text[:0], &answerLimits); r.Verdict != h2.Whole {
			m.fail(st, &w.errors.Protocol)
			return
		}
		m.answered(st)
	case h2.Part:
		if w.options.Verify {
			st.answer.body.add(ev.Bytes)
		}
		m.out = m.Take(m.out, &st.Stream, len(ev.Bytes))
		if ev.End {
			m.answered(st)
		}
	case h2.Faulted:
		m.fail(st, &w.errors.Protocol)
	case h2.Unheard:
		m.again(st)
	case h2.Aborted:
		if ev.Code == h2.RefusedStream {
			m.again(st)
		} else {
			m.fail(st, &w.errors.Reset)
		}
	}
}

// head reads the head of an answer.
func (m *multi) head(st *stream, end bool) {
	w := m.c.worker
	_, r := m.ReadResponse(w.text[:0], &answerLimits)
	switch {
	case r.Verdict != h2.Whole:
		m.fail(st, &w.errors.Protocol)
		return
	case r.Status < 200:
		return
	}
	st.answer.code = int(r.Status)
	if end {
		m.answered(st)
	}
}

// answered counts the answer of st.
func (m *multi) answered(st *stream) {
	c := m.c
	w := c.worker
	if w.stamp == 0 {
		w.stamp = w.kernel.Now()
	}
	w.answered(st.start, &st.answer)
	m.release(st)
	c.n--
	w.outstanding--
}

// fail counts the request of st as one kind of error.
func (m *multi) fail(st *stream, kind *int64) {
	c := m.c
	w := c.worker
	if w.stamp == 0 {
		w.stamp = w.kernel.Now()
	}
	w.failed(st.start, kind)
	m.release(st)
	c.n--
	w.outstanding--
}

// again has the request of st, which the server has not processed, sent once more.
func (m *multi) again(st *stream) {
	start := st.start
	m.release(st)
	m.c.enqueue(start)
}

// release lets go of st.
func (m *multi) release(st *stream) {
	if st.body < len(m.c.worker.request.body) {
		m.bodies--
	}
	m.open--
	m.out = m.Release(slices.Grow(m.out, h2Room), &st.Stream)
}

// oldest returns the stream that has waited for the longest, or nil.
func (m *multi) oldest() *stream {
	for s := range m.All {
		return s.Owner.(*stream)
	}
	return nil
}

// cut lets go of the oldest stream and returns its start. A conn is over after it.
func (m *multi) cut() (start tick.Instant) {
	st := m.oldest()
	start = st.start
	m.release(st)
	return start
}
