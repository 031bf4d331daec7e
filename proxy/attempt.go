package proxy

import (
	"time"

	"lb/config"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/backs"
	"lb/proxy/h1back"
	"lb/proxy/ids"
	"lb/proxy/lane"
	"lb/proxy/origin"
	"lb/proxy/quota"
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

	origin  origin.Client // for pools with send_proxy
	wait    upstream.WaitLink[*exchange]
	waiting bool // for room, see quota.Place.Room
	place   quota.Place[*exchange]
}

// reset prepares c for another exchange.
func (c *choice) reset() {
	c.route, c.pool = nil, nil
	c.tried.Reset()
}

// attempt is one try at one backend.
type attempt struct {
	backend  back.Back     // nil before Dial, and while a reply of lb's own is sent
	from     *lane.Inbox   // the answer's bytes; the backend's, and nil before Send
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
	if x.place.Missing() && !x.place.Enter(x, &x.wait, &x.waiting) {
		return x.queue()
	}
	p, q := x.p, x.pool
	if first, waited := q.room.First(x.tried.Len() > 0); waited && first != x || q.Yields(x.since, x.snap.cfg.Timeouts.Queue) {
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
	if x.hostAt > 0 {
		host := q.cfg.Backends[i].HostField()
		x.up.Splice(p.arena, x.hostAt, x.hostLen, host)
		if x.spanAt > 0 {
			x.spanAt += len(host) - x.hostLen
		}
		x.hostLen = len(host)
	}
	x.rec.Pick(&t.place, x.newSpan(), now)
	x.blamed, x.knocks = false, 0
	t.Slot.Attempts.Add(1)
	return x.connect()
}

// connect gets a conn to the target for the attempt.
func (x *exchange) connect() (ended bool) {
	q := x.pool.cfg
	b, p, f := x.p.backs.Get(&x.target.Target, x, &backs.Ask{
		Ask: h1back.Ask{
			Peer: x.peer, Known: x.peer.Served || q.Reuse == config.ReuseAlways,
			Twice: x.idempotent && x.up.Whole && x.up.Held,
			Most:  q.Backends[x.index].MaxConnections,
		},
		Front: x.front, Origin: &x.origin, Fresh: x.fresh, Waits: x.knocks < backs.RoomKnocks, Upgrade: x.upgrade != "",
	})
	switch {
	case p == back.Ready:
		x.attach(b)
		return x.send()
	case p == back.Waits:
		x.attach(b)
		if x.phase != Dial {
			x.enter(Dial)
		}
		x.arm()
		return false
	case p == back.Busy, f.Side == record.LBSide && x.knocks < backs.LackKnocks:
		return x.knock()
	}
	if x.phase != Dial {
		x.enter(Dial)
	}
	return x.fail(f)
}

// newSpan returns the id of a span for the attempt, which its backend gets as the parent of
// its own. It is all zeros without tracing.
func (x *exchange) newSpan() (id [8]byte) {
	if !x.snap.tags.Traces() {
		return id
	}
	id = x.p.ids.SpanID()
	if x.spanAt > 0 {
		text := ids.SpanText(id)
		x.up.Patch(x.spanAt, text[:])
	}
	return id
}

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

// attach makes b the backend's side of this attempt.
func (x *exchange) attach(b back.Back) {
	x.backend, x.pause = b, 0
	x.p.watch.Begin()
	x.asked = x.p.loop.Now()
}

// send begins to send the request: the conn is there.
func (x *exchange) send() (ended bool) {
	x.recordConn()
	x.from = x.backend.In()
	if x.up.Marks && !x.backend.Streams() {
		x.up.Unmark()
	}
	x.awaitResponse()
	x.enter(Send)
	return x.pump()
}

// dropBackend ends the attempt and its conn.
func (x *exchange) dropBackend() {
	x.detach()
	x.endAttempt()
}

// detach ends the conn of the attempt, if there is one.
func (x *exchange) detach() {
	if x.backend != nil {
		x.backend.Drop()
		x.backend, x.from = nil, nil
	}
}

// endAttempt notes the end of the attempt on the board. Nothing of it is written there
// afterwards, see target.release; bytes that still move in a tunnel count for the loop
// alone.
func (x *exchange) endAttempt() {
	if t := x.target; t != nil {
		x.rec.EndAttempt(x.p.loop.Now())
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

// dialled looks at how the attempt to connect ended, if it has. If lb has too many
// handshakes already, another conn is tried after a moment.
func (x *exchange) dialled() (ended bool) {
	if x.front.Gone() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if x.backend == nil {
		x.arm()
		return false
	}
	switch p, f := x.backend.Connect(); p {
	case back.Waits:
		x.arm()
		return false
	case back.Busy:
		x.detach()
		return x.knock()
	case back.Failed:
		return x.fail(f)
	case back.Other:
		x.detach()
		return x.connect()
	}
	return x.send()
}

// lateDial is called when the time to connect is over. After a standstill of lb, in which a
// handshake could not end, it begins again.
func (x *exchange) lateDial() (ended bool) {
	f, late := x.backend.Late(x.since)
	if late {
		return x.fail(f)
	}
	x.since = x.p.loop.Now()
	x.arm()
	return false
}
