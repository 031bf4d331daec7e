package proxy

import "lb/upstream"

// pick chooses a backend and a conn to it.
func (x *exchange) pick() (ended bool) {
	if x.pool.heir != nil {
		x.follow()
	}
	p, q := x.p, x.pool
	if first, waited := q.queueOf(x).First(); waited && first != x || q.yields(x) {
		return x.queue() // others were here before
	}
	i, why := q.Pick(upstream.Ask{Tried: &x.tried, Key: x.key, Sticky: x.sticky[:x.stickyLen]}, p.loop.Now())
	switch why {
	case upstream.Picked:
	case upstream.Full:
		return x.queue()
	default:
		return x.fail(fault{side: lbSide, cause: noBackend})
	}
	t := q.targets[i]
	x.target, x.index = t, i
	x.leaveQueue()
	x.tried.Add(i)
	x.attempts++
	x.blamed = false
	x.resp.Reset(&x.snap.limits, x.req.Method)
	t.Slot.Attempts.Add(1)
	if !x.fresh {
		if b := x.takeIdle(t); b != nil {
			x.attach(b)
			x.enter(Send)
			return x.pump()
		}
	}
	return x.dial()
}

// takeIdle takes a conn of t from the idle list. A request that could not be sent
// twice is worth a look whether the conn still lives.
func (x *exchange) takeIdle(t *target) *backendConn {
	for {
		b := x.p.takeIdle(t)
		if b == nil || x.idempotent && x.up.whole && x.up.held {
			return b
		}
		n, err := b.probe()
		if n == 0 && err == nil {
			return b
		}
		if err != nil {
			now := x.p.loop.Now()
			upstream.IdleClosed(t.State, now.Sub(b.since), now)
		}
		b.close()
	}
}

// dial begins a new conn to the target.
func (x *exchange) dial() (ended bool) {
	p, t := x.p, x.target
	if len(t.addrs) == 0 {
		return x.fail(fault{side: backendSide, cause: noConnect})
	}
	t.next = (t.next + 1) % len(t.addrs)
	b := p.newBackend(t)
	if err := p.loop.Dial(&b.Conn, b, &t.addrs[t.next]); err != nil {
		b.next, p.freeBacks = p.freeBacks, b
		if lackOf(err) {
			return x.fail(fault{side: lbSide, cause: exhausted})
		}
		return x.fail(fault{side: backendSide, cause: noConnect})
	}
	p.counters.BackendConns.Add(1)
	t.Slot.Conns.Add(1)
	x.attach(b)
	x.enter(Dial)
	x.arm()
	return false
}

// attach makes b the conn of this attempt.
func (x *exchange) attach(b *backendConn) {
	b.x, x.backend = x, b
	b.uses++
	x.asked = x.p.loop.Now()
}

// dropBackend ends the attempt and its conn.
func (x *exchange) dropBackend() {
	if x.backend != nil {
		x.backend.close()
		x.backend = nil
	}
	x.endAttempt()
}

// endAttempt notes the end of the attempt on the board. That it is at work no
// more is the last it says there: see target.release.
func (x *exchange) endAttempt() {
	if t := x.target; t != nil {
		if x.answered > 0 {
			t.succeeded(x.answered&^answeredEarly, x.p.loop.Now())
			x.answered = 0
		}
		t.Slot.BytesTo.Add(uint64(x.sent))
		t.Slot.BytesFrom.Add(uint64(x.received))
		x.p.counters.BytesToBackend.Add(uint64(x.sent))
		x.p.counters.BytesFromBackend.Add(uint64(x.received))
		t.bulky = x.received > slabBytes
		x.target, x.received = nil, 0
		t.release()
	}
}

// dialled looks how the attempt to connect ended, if it has.
func (x *exchange) dialled() (ended bool) {
	b := x.backend
	if x.client.Hangup() {
		return x.fail(fault{side: clientSide, cause: gone})
	}
	if !b.Writable() && !b.Hangup() {
		x.arm()
		return false
	}
	if b.DialResult() != nil {
		return x.fail(fault{side: backendSide, cause: noConnect})
	}
	x.enter(Send)
	return x.pump()
}
