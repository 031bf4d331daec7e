package proxy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop/tick"
	"lb/upstream"
)

// Phase is where an exchange stands. A client conn without an exchange is idle.
type Phase uint8

const (
	// Idle: no exchange; a first byte is waited for.
	Idle Phase = iota
	// Head: the request head is being read.
	Head
	// Pick: a backend is being chosen.
	Pick
	// Dial: a new conn to it is being made.
	Dial
	// Send: the request is being written.
	Send
	// Wait: the request is written, the response head is waited for.
	Wait
	// Relay: the response is on its way, and perhaps the rest of the request;
	// behind a 101, bytes both ways.
	Relay
	phases
)

// next are the phases that may follow each phase.
var next = [phases]uint8{
	Idle:  1 << Head,
	Head:  1<<Pick | 1<<Relay,
	Pick:  1<<Pick | 1<<Dial | 1<<Send | 1<<Relay,
	Dial:  1<<Send | 1<<Pick | 1<<Relay,
	Send:  1<<Wait | 1<<Relay | 1<<Pick,
	Wait:  1<<Relay | 1<<Pick,
	Relay: 1 << Relay, // a reply of lb's own in the place of a response that turned out bad
}

var phaseNames = [phases]string{"idle", "head", "pick", "dial", "send", "wait", "relay"}

// String returns the phase as logs have it.
func (ph Phase) String() string { return phaseNames[ph] }

// answeredEarly, as a time to first byte, says that the answer came before the
// request was whole, so that there is none.
const answeredEarly = 1 << 62 * time.Nanosecond

// pumpTurns is how often bytes are moved each way for one event, before the
// others of the turn have theirs.
const pumpTurns = 8

// exchange is one request and its response, over all attempts.
type exchange struct {
	p       *Proxy
	client  *client
	backend *backendConn // nil before Dial and behind a reply of lb's own
	snap    *snapshot    // the configuration that it began on and goes by
	target  *target      // of the present attempt; nil without one
	pool    *pool        // that takes the request; nil before Pick and from Relay on
	route   *route       // that sent it there; nil for none, and from Relay on
	free    *exchange    // next in the free list

	req      httpparse.RequestParser
	resp     httpparse.ResponseParser
	up, down lane
	tried    upstream.Tried
	upgrade  string // the protocols asked for in Upgrade and passed on
	extra    []byte // field lines of a reply of lb's own
	wait     upstream.WaitLink[*exchange]
	key      uint64 // Hash of what the pool hashes

	phase    Phase
	since    tick.Instant  // when the phase began
	asked    tick.Instant  // when this attempt began to send
	answered time.Duration // to the head of its final response; 0: not yet, or it is a fault
	pause    time.Duration // in Pick: before the next attempt
	moves    uint32        // counts what moved
	sent     int64         // bytes of the request that the backend of this attempt took
	received int64         // bytes of the response head and body that came from it
	hops     int64         // Max-Forwards of an OPTIONS or TRACE; -1: none
	index    int           // of target in pool
	attempts uint8

	stickyLen uint8
	sticky    [stickyMax]byte // value of the pool's cookie

	idempotent bool
	expecting  bool // the client may hold back the body until a 100
	fresh      bool // do not use an idle conn
	queued     bool // a byte of a response has been queued for the client
	begun      bool // the final head has been queued
	keep       bool // the client conn goes on behind this exchange
	tunnel     bool // behind a 101
	blamed     bool // a fault of this attempt has been noted
	queuedUp   bool // waits for room, in pool.waits
	picks      bool // may still pick a backend: it counts in snap.picking
}

// newExchange begins an exchange on c, whose first byte has come.
func (p *Proxy) newExchange(c *client) {
	x := p.freeExch
	if x == nil {
		x = &exchange{p: p}
	} else {
		p.freeExch, x.free = x.free, nil
	}
	now := p.loop.Now()
	x.client, c.x = c, x
	x.begin()
	if c.judged != p.judged {
		c.judgeAgain()
	}
	x.phase, x.since = Head, now
	x.req.Reset(&x.snap.limits)
	x.tried.Reset()
	x.sent, x.received, x.hops, x.attempts = 0, 0, -1, 0
	x.up.whole, x.up.broken, x.up.starved = false, false, false
	x.down.whole, x.down.starved = false, false
	x.idempotent, x.expecting, x.fresh, x.queued = false, false, false, false
	x.begun, x.keep, x.tunnel = false, false, false
	x.pool, x.route, x.extra, x.pause = nil, nil, nil, 0
	p.counters.Exchanges.Add(1)
}

// release lets go of all that x holds; its client conn stays.
func (x *exchange) release() {
	p, c := x.p, x.client
	x.leaveQueue()
	x.dropBackend()
	x.up.release(p.arena)
	x.down.release(p.arena)
	p.drop(&c.in)
	if x.tunnel {
		p.counters.Tunnels.Sub(1)
	}
	x.settle()
	c.x, x.client, x.snap = nil, nil, nil
	x.free, p.freeExch = p.freeExch, x
	p.counters.Exchanges.Sub(1)
}

// enter changes the phase. The deadline follows from it: see arm.
func (x *exchange) enter(ph Phase) {
	invariant.Check(next[x.phase]&(1<<ph) != 0, "proxy: phase may not follow")
	x.phase, x.since = ph, x.p.loop.Now()
	x.up.progress, x.down.progress = x.since, x.since
	if ph == Relay {
		x.settle()
	}
}

// run moves the exchange as far as it will go now. It returns true when it has
// ended; the client conn may then be closed.
func (x *exchange) run() (ended bool) {
	switch x.phase {
	case Head:
		return x.readHead()
	case Pick:
		return x.tryAgain()
	case Dial:
		return x.dialled()
	}
	return x.pump()
}

// moved notes that bytes moved in ln.
func (x *exchange) moved(ln *lane) {
	x.moves++
	ln.progress = x.p.loop.Now()
}

// readHead reads the request head.
func (x *exchange) readHead() (ended bool) {
	c, p := x.client, x.p
	for {
		switch x.req.Feed(c.in.Bytes()) {
		case httpparse.Done:
			return x.admit()
		case httpparse.Bad:
			return x.fail(fault{side: clientSide, cause: badRequest, reason: x.req.Reason})
		}
		n, err := p.fill(&c.Conn, &c.in, false)
		if err != nil {
			return x.fail(fault{side: clientSide, cause: gone})
		}
		if n == 0 {
			x.arm()
			return false
		}
		p.counters.BytesFromClient.Add(uint64(n))
	}
}

// admit decides what becomes of a whole request head.
func (x *exchange) admit() (ended bool) {
	p, c, r := x.p, x.client, &x.req
	p.counters.Requests.Add(1)
	p.budget.Begin(p.loop.Now())
	x.idempotent = r.Idempotent()
	if r.Method == httpparse.CONNECT {
		return x.reply(501, "lb forwards to its own backends and opens no tunnels")
	}
	if limit := x.snap.cfg.Limits.BodyBytes; limit > 0 && r.Length > limit && r.Framing == httpparse.Length {
		return x.fail(fault{side: clientSide, cause: tooLarge})
	}
	if (r.Method == httpparse.OPTIONS || r.Method == httpparse.TRACE) && r.Seen.Has(httpparse.MaxForwards) {
		if ended, answered := x.countHop(); answered {
			return ended
		}
	}
	if x.findRoute(); x.pool == nil {
		return x.redirect()
	}
	x.prepareAsk()
	x.composeRequest()
	x.expecting = x.waitsFor100()
	c.in.Take(int(r.HeadLen))
	if !x.up.whole && c.in.Len() > 0 {
		if f, bad := x.takeUp(); bad {
			return x.fail(f)
		}
	}
	p.drop(&c.in)
	x.enter(Pick)
	return x.pick()
}

// waitsFor100 reports whether the client may hold its body back until it is told to
// go on, which only the backend can do: nothing of the body has come, and the
// expectation was passed on.
func (x *exchange) waitsFor100() bool {
	r, b := &x.req, x.client.in.Bytes()
	if !r.ExpectContinue || r.Framing == httpparse.None || len(b) > int(r.HeadLen) {
		return false
	}
	f, _ := r.Find(httpparse.Expect)
	return !r.Nominates(b, f)
}

// countHop obeys Max-Forwards (RFC 9110 7.6.2).
func (x *exchange) countHop() (ended, answered bool) {
	b := x.client.in.Bytes()
	f, _ := x.req.Find(httpparse.MaxForwards)
	n, err := strconv.ParseUint(string(f.Value.Of(b)), 10, 62) // above that it is the greatest
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return x.reply(400, "Max-Forwards is no number"), true
	case n > 0:
		x.hops = int64(n)
		return false, false
	}
	x.up.begin(x.req.Framing, x.req.Framing, x.req.Length)
	x.client.in.Take(int(x.req.HeadLen))
	if x.req.Method == httpparse.OPTIONS {
		return x.reply(200, ""), true
	}
	return x.reply(501, "TRACE ends here by Max-Forwards, and lb does not reflect requests"), true
}

// reply answers with a response of lb's own. The client conn goes on only when
// it is certain where its next request begins.
func (x *exchange) reply(code int, text string) (ended bool) {
	c, up := x.client, &x.up
	x.leaveQueue()
	x.dropBackend()
	x.keep = up.whole && !x.req.Close && !x.p.draining
	if up.whole && c.in != nil {
		c.in.Take(up.data + up.skip)
	}
	up.release(x.p.arena)
	up.broken = !up.whole
	x.composeReply(code, text)
	x.queued = true
	x.p.counters.OwnReplies[code/100].Add(1)
	x.p.counters.Replies[code/100].Add(1)
	x.enter(Relay)
	return x.pump()
}

// finish ends an exchange whose response has been written, and decides about
// each conn on its own.
func (x *exchange) finish() (ended bool) {
	c, b := x.client, x.backend
	sentAll := x.up.done()
	keep := x.keep && sentAll && !x.tunnel
	if b != nil && sentAll && !x.tunnel && x.reusable() {
		x.backend = nil
		x.endAttempt()
		b.idle()
	}
	tunnel := x.tunnel
	x.release()
	switch {
	case keep && c.p.draining: // the drain began behind the head: the client has not been told
		c.armLastCall()
	case keep:
	case tunnel:
		c.close(false)
	default:
		c.finish(!sentAll)
	}
	return true
}

// reusable reports whether the backend's conn may carry another request: the
// response was whole by its own framing, nothing is left over, and the backend
// keeps the conn (RFC 9112 9.3).
func (x *exchange) reusable() bool {
	b := x.backend
	if x.resp.Close || x.resp.Framing == httpparse.Close || b.in != nil && b.in.Len() > 0 || b.PeerShut() || b.Hangup() || x.p.draining {
		return false
	}
	if b.Readable() { // the last read filled its buffer: look whether more came
		n, err := b.probe()
		return n == 0 && err == nil
	}
	return true
}

// owes tells who has to move for the exchange to go on, since when, and how
// long that may take.
func (x *exchange) owes() (s side, from tick.Instant, limit time.Duration) {
	t := &x.snap.cfg.Timeouts
	switch x.phase {
	case Head:
		return clientSide, x.since, t.ClientHeader
	case Pick:
		if x.pause > 0 {
			return noSide, x.since, x.pause
		}
		return lbSide, x.since, t.Queue
	case Dial:
		return backendSide, x.since, t.Connect
	case Wait:
		if !x.down.flushed() {
			return clientSide, x.down.progress, t.ClientWrite
		}
		return backendSide, x.since, t.Response
	case Relay:
		switch {
		case x.tunnel:
			return clientSide, max(x.up.progress, x.down.progress), t.TunnelIdle
		case !x.down.flushed():
			return clientSide, x.down.progress, t.ClientWrite
		case !x.down.whole:
			return backendSide, x.down.progress, t.BackendBody
		}
	}
	switch {
	case !x.up.flushed():
		return backendSide, x.up.progress, t.BackendWrite
	case x.expecting: // the backend says no word, and the client need not: nobody's fault
		return noSide, x.since, t.Response
	}
	return clientSide, x.up.progress, t.ClientBody
}

// arm sets the deadline to what the exchange waits for now.
func (x *exchange) arm() {
	_, from, limit := x.owes()
	x.client.arm(from.Add(limit))
}

// expired is called when the deadline has passed.
func (x *exchange) expired() (ended bool) {
	s, from, limit := x.owes()
	if at := from.Add(limit); at > x.p.loop.Now() {
		x.client.arm(at)
		return false
	}
	switch {
	case x.phase == Pick && x.pause > 0:
		x.pause = 0
		return x.pick()
	case x.phase == Pick:
		return x.fail(fault{side: lbSide, cause: crowded})
	}
	return x.fail(fault{side: s, cause: slow})
}

// switches reports whether a 101 names one of the protocols that were asked for
// (RFC 9110 7.8).
func (x *exchange) switches(b []byte) bool {
	f, ok := x.resp.Find(httpparse.Upgrade)
	if !ok || x.upgrade == "" {
		return false
	}
	for asked := range strings.SplitSeq(x.upgrade, ",") {
		if strings.EqualFold(strings.TrimSpace(asked), string(f.Value.Of(b))) {
			return true
		}
	}
	return false
}
