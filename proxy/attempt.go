package proxy

import (
	"time"

	"lb/loop/tick"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/upstream"
)

// choice is what an exchange goes by when it picks a backend.
type choice struct {
	route *route // that sent the request to pool, or nil if none did; nil from Relay on
	pool  *pool  // that takes the request; nil before Pick and from Relay on
	tried upstream.Tried
	key   uint64 // Hash of what the pool hashes

	sticky    [stickyMax]byte // value of the pool's cookie
	stickyLen uint8

	wait    upstream.WaitLink[*exchange]
	waiting bool // for room, in pool.waits or pool.again
}

// reset prepares c for another exchange.
func (c *choice) reset() {
	c.route, c.pool = nil, nil
	c.tried.Reset()
}

// attempt is one try at one backend.
type attempt struct {
	backend  *backendConn  // nil before Dial, and while a reply of lb's own is sent
	target   *target       // or nil without an attempt
	index    int           // of target in pool
	asked    tick.Instant  // when the attempt began to send
	answered time.Duration // to the head of its final response; 0 if there was none, or it is a fault
	sent     int64         // bytes of the request that the backend took
	received int64         // bytes of the response, head and body, that came
	fresh    bool          // no idle conn may be used
	blamed   bool          // a fault of this attempt has been noted
}

// answeredEarly, as a time to the first byte, says that the answer came before the
// request was whole, so that there is none.
const answeredEarly = 1 << 62 * time.Nanosecond

// pick chooses a backend and a conn to it.
func (x *exchange) pick() (ended bool) {
	if x.pool.successor != nil {
		x.follow()
	}
	p, q := x.p, x.pool
	if first, waited := q.queueOf(x).First(); waited && first != x || q.yields(x) {
		return x.queue() // others were here before
	}
	now := p.loop.Now()
	i, why := q.Pick(upstream.Ask{Tried: &x.tried, Key: x.key, Sticky: x.sticky[:x.stickyLen]}, now)
	switch why {
	case upstream.Picked:
	case upstream.Full:
		return x.queue()
	default:
		return x.fail(record.ByLB(record.CauseNoBackend))
	}
	t := q.targets[i]
	x.target, x.index = t, i
	x.leaveQueue()
	x.tried.Add(i)
	x.recordPick(t, now)
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

// takeIdle takes a conn of t from the idle list, or returns nil if there is none. A
// request that could not be sent twice is worth a look whether the conn still lives.
func (x *exchange) takeIdle(t *target) *backendConn {
	for {
		b := x.p.takeIdle(t)
		if b == nil || x.idempotent && x.up.Whole && x.up.Held {
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
		return x.fail(record.ByBackend(record.CauseNoConnect))
	}
	t.next = (t.next + 1) % len(t.addrs)
	b := p.newBackend(t)
	if err := p.loop.Dial(&b.Conn, b, &t.addrs[t.next]); err != nil {
		b.next, p.freeBacks = p.freeBacks, b
		if lackOf(err) {
			return x.fail(record.ByLB(record.CauseExhausted))
		}
		return x.fail(record.ByError(record.CauseNoConnect, err))
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

// endAttempt notes the end of the attempt on the board. Nothing of it is written there
// afterwards: see target.release.
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
		t.bulky = x.received > lane.SlabBytes
		x.target, x.received = nil, 0
		t.release()
	}
}

// dialled looks at how the attempt to connect ended, if it has.
func (x *exchange) dialled() (ended bool) {
	b := x.backend
	if x.front.Gone() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if !b.Writable() && !b.Hangup() {
		x.arm()
		return false
	}
	if err := b.DialResult(); err != nil {
		return x.fail(record.ByError(record.CauseNoConnect, err))
	}
	x.enter(Send)
	return x.pump()
}
