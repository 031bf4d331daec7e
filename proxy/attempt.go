package proxy

import (
	"time"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/loop/tick"
	"lb/loop/tlsconn"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/proxy/retry"
	"lb/upstream"
)

// choice is what an exchange goes by when it picks a backend.
type choice struct {
	route *route // that sent the request to pool, or nil if none did; nil from Relay on
	pool  *pool  // that takes the request; nil before Pick and from Relay on
	tried upstream.Tried
	key   uint64 // Hash of what the pool hashes

	client uint64 // Hash of the client's address, if its peer is trusted
	about  uint64 // TargetHash of the target; 0 while the head is in up

	sticky    [stickyMax]byte // value of the pool's cookie
	stickyLen uint8
	secure    bool // the client's side is https

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
	knocks   uint8         // how often there was no room for the conn: see knock
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
	if first, waited := q.queueOf(x).First(); waited && first != x || q.Yields(x.since, x.snap.cfg.Timeouts.Queue) {
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
	x.rec.Pick(q.Name, t.Name, now)
	if x.hostAt > 0 {
		host := q.cfg.Backends[i].HostField()
		x.up.Splice(p.arena, x.hostAt, x.hostLen, host)
		x.hostLen = len(host)
	}
	x.blamed, x.knocks = false, 0
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

// rest is how long a conn is idle before the first request of another client may use it,
// with reuse = "safe", and any request if its last answer had no body: what a backend sends
// by mistake after a whole answer comes at once, or within the round trip of a network; of
// a busy backend it may come some turns of its scheduler later.
const rest = 10 * time.Millisecond

// takeIdle takes a conn of t from the idle list, or returns nil if there is none that x may
// use. A request that could not be sent twice is worth a look whether the conn still lives.
func (x *exchange) takeIdle(t *target) *backendConn {
	p := x.p
	now := p.loop.Now()
	for {
		b, ok := t.Idle.Hottest()
		look := false
		if ok && !b.bare && (x.peer.Served || x.pool.cfg.Reuse == config.ReuseAlways) {
			t.Idle.Remove(&b.link)
		} else if rested, has := t.Idle.GetRested(now.Add(-rest)); has {
			b, look = rested, rested.bare
		} else if ok && p.loop.Crowded(int(p.counters.BackendConns.Load())) { // what conns have to spare, clients need
			t.Idle.Remove(&b.link)
			look = true
		} else {
			most := x.pool.cfg.Backends[x.index].MaxConnections
			if ok && most > 0 && int(t.Slot.InFlight.Load())+t.Idle.Len() > most {
				b.end(true) // a backend for so few may have room for no other conn
			}
			return nil
		}
		p.counters.BackendIdle.Sub(1)
		switch {
		case !b.Fresh(t.State, now):
			b.NoteClosed(t.State, now)
		case !b.Fits(&t.manner), now.Sub(b.Since) >= p.idleLimit(t, now):
		case !look && x.idempotent && x.up.Whole && x.up.Held || b.Silent(t.State, now):
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
	if err := p.loop.Dial(&b.Conn.Conn, b, &t.addrs[t.next]); err != nil {
		b.next, p.freeBacks = p.freeBacks, b
		if err == unix.EAGAIN {
			return x.knock()
		}
		f := record.ByDialling(err)
		if f.Side != record.LBSide {
			return x.fail(f)
		}
		if b, ok := t.Idle.Hottest(); ok && !x.fresh {
			return x.makeDo(b)
		}
		if x.knocks < lackKnocks {
			return x.knock()
		}
		return x.fail(f)
	}
	p.counters.BackendConns.Add(1)
	t.Slot.Conns.Add(1)
	x.attach(b)
	if x.phase != Dial {
		x.enter(Dial)
	}
	x.pause = 0
	x.arm()
	return false
}

// lackKnocks is how often an exchange waits a moment for a descriptor or a port: some 30 ms
// in all, in which others may end.
const lackKnocks = 5

// knock waits a moment before it dials again: the accept queue of a unix socket is full,
// which is neither a refusal nor a backend's fault, or lb itself lacks something.
func (x *exchange) knock() (ended bool) {
	if x.phase != Dial {
		x.enter(Dial)
	}
	x.pause = x.p.loop.Now().Sub(x.since) + retry.Knock(x.knocks, x.p.chance)
	x.knocks++
	x.arm()
	return false
}

// makeDo uses b, which is idle and has not rested, because no other conn can be had. A look
// at b finds what has come until now; without b there is room for another.
func (x *exchange) makeDo(b *backendConn) (ended bool) {
	b.to.Idle.Remove(&b.link)
	x.p.counters.BackendIdle.Sub(1)
	if s, now := b.to.State, x.p.loop.Now(); !b.Fits(&b.to.manner) || !b.Fresh(s, now) || !b.Silent(s, now) {
		b.close()
		return x.dial()
	}
	x.attach(b)
	x.pause = 0
	x.enter(Send)
	return x.pump()
}

// attach makes b the conn of this attempt.
func (x *exchange) attach(b *backendConn) {
	b.x, x.backend = x, b
	b.uses++
	x.p.watch.Begin()
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
	if b != nil && b.Shaking() {
		return x.shake()
	}
	if b == nil || !b.Writable() && !b.Hangup() {
		x.arm()
		return false
	}
	if err := b.DialResult(); err != nil {
		return x.fail(record.ByError(record.CauseNoConnect, err))
	}
	if b.to.manner.TLS() {
		return x.shake()
	}
	x.enter(Send)
	return x.pump()
}

// shake begins the TLS handshake, which the time to connect includes, or moves it on. If lb
// has too many of them already, another conn is tried after a moment.
func (x *exchange) shake() (ended bool) {
	b := x.backend
	var over bool
	var err error
	if b.Shaking() {
		over, err = b.Step()
	} else {
		err = b.Handshake(x.p.shared.Shaker(), &b.to.manner)
	}
	switch {
	case err == tlsconn.ErrBusy:
		b.close()
		x.backend = nil
		return x.knock()
	case err != nil:
		return x.fail(record.ByHandshake(err))
	case !over:
		x.arm()
		return false
	}
	x.enter(Send)
	return x.pump()
}

// lateShake is called when the time for a handshake is over. After a standstill of lb it
// begins again.
func (x *exchange) lateShake() (ended bool) {
	if x.p.loop.StoodStill(x.since) {
		x.since = x.p.loop.Now()
		x.arm()
		return false
	}
	return x.fail(x.backend.Late())
}
