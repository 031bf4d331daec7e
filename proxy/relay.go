package proxy

import (
	"bytes"
	"io"
	"slices"
	"strconv"

	"lb/arena"
	"lb/board"
	"lb/httpparse"
	"lb/loop"
	"lb/upstream"
)

// pump moves bytes both ways until there is something to wait for, the exchange
// is over, or its share of the turn is used up. It is the one place where bytes
// move behind the request head: every event that brings bytes or makes room
// ends here, as edges ask for.
func (x *exchange) pump() (ended bool) {
	if x.client.Hangup() {
		return x.fail(fault{side: clientSide, cause: gone})
	}
	if b := x.backend; x.tunnel && b.Hangup() && !b.Readable() {
		return x.fail(fault{side: backendSide, cause: reset})
	}
	for range pumpTurns {
		before := x.moves
		if !x.up.broken && !(x.up.done() && x.phase != Send) {
			if f, bad := x.pumpUp(); bad {
				return x.fail(f)
			}
		}
		if f, bad := x.pumpDown(); bad {
			return x.fail(f)
		}
		if x.over() {
			return x.finish()
		}
		if x.moves == before {
			x.arm()
			return false
		}
	}
	x.arm()
	x.client.Again()
	return false
}

// over reports whether the exchange has come to its end.
func (x *exchange) over() bool {
	if x.phase != Relay || !x.down.done() {
		return false
	}
	if x.tunnel {
		return x.up.done()
	}
	// The whole response is out. A client that keeps its conn may finish its
	// request, as long as the backend is there to take it.
	return x.up.done() || x.up.broken || !x.keep || x.backend == nil || x.backend.PeerShut() || x.backend.Hangup()
}

// pumpUp moves bytes from the client to the backend.
func (x *exchange) pumpUp() (f fault, bad bool) {
	up, c, p := &x.up, x.client, x.p
	if up.flushed() && !up.whole {
		if f, bad = x.takeUp(); bad {
			return f, true
		}
	}
	if !up.flushed() {
		n, err := up.flush(&x.backend.Conn, c.in)
		if x.sent += int64(n); n > 0 {
			x.moved(up)
		}
		if err != nil {
			return x.refusedUp()
		}
	}
	if !up.done() {
		return f, false
	}
	p.drop(&c.in)
	if x.tunnel {
		if x.backend.ShutdownWrite() != nil {
			return fault{side: backendSide, cause: reset}, true
		}
		return f, false
	}
	if x.phase == Send {
		x.enter(Wait)
		if !x.idempotent {
			up.release(p.arena) // it will not be sent again
		}
	}
	return f, false
}

// refusedUp is called when the backend takes no more of the request. It may
// have answered before it stopped reading; that answer still counts.
func (x *exchange) refusedUp() (f fault, bad bool) {
	if x.tunnel {
		return fault{side: backendSide, cause: reset}, true
	}
	x.up.broken = true
	x.backend.LookAgain() // the event of its answer may still be on its way
	x.moves++
	return f, false
}

// takeUp reads more of the request's body, unless there is some, and composes
// what goes on.
func (x *exchange) takeUp() (f fault, bad bool) {
	up, c, p := &x.up, x.client, x.p
	if c.in == nil || c.in.Len() == 0 || up.starved {
		n, err := p.fill(&c.Conn, &c.in, up.bulk())
		p.counters.BytesFromClient.Add(uint64(n))
		switch {
		case err == io.EOF && x.tunnel:
			up.end(p.arena)
			return f, false
		case err == io.EOF:
			return fault{side: clientSide, cause: shortBody}, true
		case err != nil:
			return fault{side: clientSide, cause: gone}, true
		case n == 0:
			return f, false
		}
		x.moved(up)
		x.expecting = false
	}
	if reason, bad := up.take(p.arena, c.in, &x.snap.limits); bad {
		return fault{side: clientSide, cause: badRequest, reason: reason}, true
	}
	x.lookAgain(up, &c.Conn)
	if limit := x.snap.cfg.Limits.BodyBytes; limit > 0 && up.taken > limit && !x.tunnel {
		return fault{side: clientSide, cause: tooLarge}, true
	}
	return f, false
}

// pumpDown moves bytes from the backend to the client.
func (x *exchange) pumpDown() (f fault, bad bool) {
	if f, bad = x.flushDown(); bad || !x.down.flushed() {
		return f, bad
	}
	for x.phase != Relay {
		if f, bad = x.readResponse(); bad || x.phase != Relay {
			return f, bad
		}
	}
	if x.down.whole || x.backend == nil || !x.down.flushed() {
		return f, false
	}
	if f, bad = x.takeDown(); bad {
		return f, true
	}
	return x.flushDown()
}

// flushDown writes what is pending to the client.
func (x *exchange) flushDown() (f fault, bad bool) {
	down := &x.down
	if down.flushed() {
		return f, false
	}
	b := x.backend
	var n int
	var err error
	if b == nil {
		n, err = down.flush(&x.client.Conn, nil)
	} else {
		n, err = down.flush(&x.client.Conn, b.in)
	}
	if n > 0 {
		x.moved(down)
		x.p.counters.BytesToClient.Add(uint64(n))
		if x.phase == Relay && !x.begun {
			x.nowBegun()
		}
	}
	if err != nil {
		return fault{side: clientSide, cause: gone}, true
	}
	if b == nil || !down.flushed() {
		return f, false
	}
	x.p.drop(&b.in)
	down.release(x.p.arena)
	return f, false
}

// takeDown reads more of the response's body, unless there is some, and
// composes what goes on.
func (x *exchange) takeDown() (f fault, bad bool) {
	down, b, p := &x.down, x.backend, x.p
	if b.in == nil || b.in.Len() == 0 || down.starved {
		n, err := p.fill(&b.Conn, &b.in, down.bulk())
		x.received += int64(n)
		switch {
		case err == io.EOF && down.from == httpparse.Close:
			down.end(p.arena)
			x.moves++
			if x.tunnel && x.client.ShutdownWrite() != nil {
				return fault{side: clientSide, cause: gone}, true
			}
			return f, false
		case err != nil:
			return fault{side: backendSide, cause: reset}, true
		case n == 0:
			return f, false
		}
		x.moved(down)
	}
	if _, bad := down.take(p.arena, b.in, &x.snap.limits); bad {
		return fault{side: backendSide, cause: badAnswer}, true
	}
	x.lookAgain(down, &b.Conn)
	return f, false
}

// lookAgain has pump go on when what was left over in ln's buffer turned out not
// to be enough and src has more: its event has been, and no other will come.
func (x *exchange) lookAgain(ln *lane, src *loop.Conn) {
	if ln.starved && src.Readable() {
		x.moves++
	}
}

// readResponse reads the head of a response. Behind a final one the phase is Relay.
func (x *exchange) readResponse() (f fault, bad bool) {
	b, p := x.backend, x.p
	if b.in == nil || b.in.Len() == 0 || x.down.starved {
		n, err := p.fill(&b.Conn, &b.in, x.target.bulky)
		x.received += int64(n)
		if err != nil {
			return fault{side: backendSide, cause: reset}, true
		}
		if n == 0 {
			if x.up.broken {
				return fault{side: backendSide, cause: reset}, true
			}
			return f, false
		}
		x.moves++
		x.down.starved = false
	}
	switch x.resp.Feed(b.in.Bytes()) {
	case httpparse.Bad:
		return fault{side: backendSide, cause: badAnswer}, true
	case httpparse.More:
		x.down.starved = true
		x.lookAgain(&x.down, &b.Conn)
		return f, false
	}
	return x.respond()
}

// respond passes on the response head that has been read.
func (x *exchange) respond() (f fault, bad bool) {
	b, p, r := x.backend, x.p, &x.resp
	raw := b.in.Bytes()
	switch {
	case r.Code == 101:
		if !x.switches(raw) || !x.up.done() {
			return fault{side: backendSide, cause: badAnswer}, true
		}
		now := p.loop.Now()
		x.target.succeeded(now.Sub(x.since), now)
		x.composeInterim(raw)
		b.in.Take(int(r.HeadLen))
		x.openTunnel()
	case r.Code < 200:
		if x.req.Minor > 0 { // RFC 9110 15.2: an HTTP/1.0 client knows none
			x.composeInterim(raw)
			x.queued = true
		}
		x.expecting = false
		b.in.Take(int(r.HeadLen))
		r.Reset(&x.snap.limits, x.req.Method)
		p.drop(&b.in)
		x.moves++
		return x.flushDown()
	case x.noteAnswer():
		return fault{side: backendSide, cause: refused}, true
	default:
		x.keep = x.keeps()
		x.composeResponse()
		b.in.Take(int(r.HeadLen))
	}
	x.queued = true
	x.enter(Relay)
	if x.up.done() {
		x.up.release(p.arena)
	}
	p.drop(&b.in)
	x.moves++
	if !x.down.whole && b.in != nil {
		if _, bad := x.down.take(p.arena, b.in, &x.snap.limits); bad {
			return fault{side: backendSide, cause: badAnswer}, true
		}
	}
	return x.flushDown()
}

// noteAnswer notes what the head of a final response says about its backend, and
// returns true when the exchange is to be tried again because of its status.
func (x *exchange) noteAnswer() (again bool) {
	t, r, now := x.target, &x.resp, x.p.loop.Now()
	if r.Seen.Has(httpparse.KeepAlive) {
		x.noteIdleTime()
	}
	if x.pool.cfg.Eject.Enabled && slices.Contains(x.pool.cfg.Eject.OnStatus, r.Code) {
		x.blamed = true
		t.failed(board.ReasonStatus, uint64(r.Code), x.phase)
	} else {
		x.answered = answeredEarly // told at the end, if nothing goes wrong until then
		if x.phase == Wait {
			x.answered = max(1, now.Sub(x.since))
		}
	}
	return r.Code >= 502 && x.retriesStatus(r.Code) &&
		x.mayRetry(fault{side: backendSide, cause: refused, phase: x.phase})
}

// noteIdleTime notes how long the backend says it keeps idle conns.
func (x *exchange) noteIdleTime() {
	f, _ := x.resp.Find(httpparse.KeepAlive)
	for part := range bytes.SplitSeq(f.Value.Of(x.backend.in.Bytes()), []byte{','}) {
		if v, ok := bytes.CutPrefix(bytes.TrimSpace(part), []byte("timeout=")); ok {
			if n, err := strconv.Atoi(string(v)); err == nil && n >= 0 {
				upstream.IdleTold(x.target.State, n)
			}
		}
	}
}

// keeps reports whether the client conn can go on behind the final response. An
// answer that comes before the request has ended and does not invite its rest
// ends the conn (RFC 9112 9.3, 9.5).
func (x *exchange) keeps() bool {
	r := &x.resp
	if x.req.Close || x.p.draining {
		return false
	}
	return x.up.done() || !x.up.broken && !x.expecting && r.Code < 400 && !r.Close && r.Framing != httpparse.Close
}

// openTunnel makes the lanes carry raw bytes both ways (RFC 9110 7.8).
func (x *exchange) openTunnel() {
	x.tunnel = true
	x.up.release(x.p.arena)
	x.up.begin(httpparse.Close, httpparse.Close, 0)
	x.down.begin(httpparse.Close, httpparse.Close, 0)
	x.p.counters.Tunnels.Add(1)
}

// nowBegun notes that the final head is on its way: from here on there is no
// other reply.
func (x *exchange) nowBegun() {
	x.begun = true
	if x.backend != nil && !x.tunnel {
		class := min(x.resp.Code/100, 5)
		x.p.counters.Replies[class].Add(1)
		x.target.Slot.Replies[class].Add(1)
	}
}

// probe looks whether anything has come on an idle conn: n > 0 are bytes that
// nobody asked for.
func (b *backendConn) probe() (n int, err error) {
	n, err = b.Read(b.p.scrap[:])
	return n, err
}

// panicked ends the client that was being moved on, and its exchange. Its slabs
// are left to the collector: what state they are in, nobody knows.
func (p *Proxy) panicked(value any, stack []byte) {
	p.counters.Panics.Add(1)
	p.log.Error("panic", "value", value, "stack", string(stack))
	c := p.working
	p.working = nil
	if c == nil || c.state == connFree {
		return
	}
	if x := c.x; x != nil {
		for _, s := range []**arena.Slab{&c.in, &x.up.out, &x.down.out} {
			p.arena.Forget(*s)
			*s = nil
		}
		if b := x.backend; b != nil {
			p.arena.Forget(b.in)
			b.in = nil
		}
		x.up.data, x.up.skip, x.down.data, x.down.skip = 0, 0, 0, 0
		x.release()
	}
	p.arena.Forget(c.in)
	c.in = nil
	c.close(true)
}
