package proxy

import (
	"time"

	"lb/config"
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

// rest is how long a conn is idle before another client's request may use it, with
// reuse = "safe", and anybody's if its last answer had no body: what a backend sends by
// mistake after a whole answer comes at once, or within the round trip of a network.
const rest = 3 * time.Millisecond

// takeIdle takes a conn of t from the idle list, or returns nil if there is none that x may
// use. A request that could not be sent twice is worth a look whether the conn still lives.
func (x *exchange) takeIdle(t *target) *backendConn {
	p := x.p
	now := p.loop.Now()
	for {
		b, ok := t.Idle.Hottest()
		if ok && !b.bare && (x.pool.cfg.Reuse == config.ReuseAlways || b.last == x.peer.Serial) {
			t.Idle.Remove(&b.link)
		} else if rested, has := t.Idle.GetRested(now.Add(-rest)); has {
			b = rested
		} else {
			most := x.pool.cfg.Backends[x.index].MaxConnections
			if ok && most > 0 && int(t.Slot.InFlight.Load())+t.Idle.Len() > most {
				b.end(true) // a backend for so few may have room for no other conn
			}
			return nil
		}
		p.counters.BackendIdle.Sub(1)
		switch {
		case !b.fresh():
			b.noteClosed()
		case now.Sub(b.since) >= p.idleLimit(t, now):
		case !b.bare && x.idempotent && x.up.Whole && x.up.Held || b.silent():
			return b
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
		return x.fail(record.ByBackend(record.CauseNoConnect))
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
	b.last = x.peer.Serial
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
// afterwards, see target.release; bytes that still move in a tunnel count for the loop
// alone.
func (x *exchange) endAttempt() {
	if t := x.target; t != nil {
		if x.answered > 0 {
			t.succeeded(x.answered&^answeredEarly, x.p.loop.Now())
			x.answered = 0
		}
		t.Slot.BytesTo.Add(uint64(x.sent))
		t.Slot.BytesFrom.Add(uint64(x.received))
		t.bulky = x.received > lane.SlabBytes
		x.target = nil
		t.release()
	}
	x.p.counters.BytesToBackend.Add(uint64(x.sent))
	x.p.counters.BytesFromBackend.Add(uint64(x.received))
	x.sent, x.received = 0, 0
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
	if b.DialResult() != nil {
		return x.fail(record.ByBackend(record.CauseNoConnect))
	}
	x.enter(Send)
	return x.pump()
}
