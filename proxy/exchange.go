package proxy

import (
	"time"

	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop/tick"
	"lb/proxy/admission"
	"lb/proxy/back"
	"lb/proxy/clients"
	"lb/proxy/deadline"
	"lb/proxy/front"
	"lb/proxy/grpc"
	"lb/proxy/lane"
	"lb/proxy/record"
	"lb/proxy/rewrite"
)

// The phases of an exchange; package record says what each is.
const (
	Admit = record.Admit
	Pick  = record.Pick
	Dial  = record.Dial
	Send  = record.Send
	Wait  = record.Wait
	Relay = record.Relay
)

// pumpTurns is how often bytes are moved each way for one event, before the other
// events of the turn are handled.
const pumpTurns = 8

// exchange is one request and its response, over all attempts. It belongs to one
// front, and knows nothing of the client's conn.
type exchange struct {
	p     *Proxy
	front front.Front        // nil once the exchange has ended
	in    *lane.Inbox        // the request's bytes; the front's
	peer  *front.Peer        // the client; the front's
	req   *httpparse.Request // the front's
	snap  *snapshot          // the configuration that it goes by

	choice
	attempt
	rec  record.Record
	call grpc.Call

	resp     httpparse.ResponseParser
	up, down lane.Lane
	upgrade  string // the protocols asked for in Upgrade and passed on

	phase record.Phase
	since tick.Instant  // when the phase began
	pause time.Duration // in Pick: before the next attempt; in Dial, without a conn: before the next knock
	moves uint32        // counts what moved
	hops  int64         // Max-Forwards to pass on, or -1 if there is none

	hostAt, hostLen int // in the head: the name of the backend as Host; hostAt is 0 if there is another
	spanAt          int // in the head: the id of the attempt's span, or 0

	idempotent bool
	expecting  bool // the client may hold back the body until a 100
	replied    bool // a byte of a response has been composed for the client
	begun      bool // a byte of the final head has been written
	keep       bool // the client's conn goes on after this exchange
	tunnel     bool // after a 101
	opening    bool // in a tunnel: the request is not whole yet
	accused    bool // a bad answer has been counted against a backend
	picks      bool // may still pick a backend: it counts in snap.picking
}

var (
	_ front.Exchange = (*exchange)(nil)
	_ back.Owner     = (*exchange)(nil)
)

// Lease returns the present configuration for a request whose first byte has come. It
// implements front.Host.
func (p *Proxy) Lease() front.Lease {
	p.now.picking++
	p.counters.Exchanges.Add(1)
	return p.now
}

// Return implements front.Host.
func (p *Proxy) Return(l front.Lease) {
	p.counters.Exchanges.Sub(1)
	p.picked(l.(*snapshot))
}

// Begin begins the exchange of a request whose first byte came at since. It implements
// front.Host.
func (p *Proxy) Begin(f front.Front, l front.Lease, in *lane.Inbox, peer *front.Peer, req *httpparse.Request, since tick.Instant) front.Exchange {
	x := p.spares.Get()
	if x == nil {
		x = &exchange{p: p}
		x.down.Answer = true
	}
	x.front, x.in, x.peer, x.req = f, in, peer, req
	x.snap, x.picks = l.(*snapshot), true
	if peer.Checked != x.snap.trust {
		peer.Checked, peer.Trusted = x.snap.trust, rewrite.Trusts(x.snap.cfg.TrustedProxies, peer)
	}
	x.phase, x.since = Admit, p.loop.Now()
	x.rec.Begin(p.record != nil, since, x.since, peer, req)
	x.choice.reset()
	x.sent, x.received, x.fresh, x.hops, x.call, x.pause = 0, 0, false, -1, grpc.None, 0
	x.up.Whole, x.up.Broken, x.up.Starved, x.up.Held = false, false, false, false
	x.down.Whole, x.down.Starved = false, false
	x.idempotent, x.expecting, x.replied = false, false, false
	x.begun, x.keep, x.tunnel, x.opening, x.accused = false, false, false, false, false
	x.up.Taken, x.down.Taken = 0, 0
	return x
}

// release gives back everything that x holds, and hands out its record.
func (x *exchange) release() {
	p := x.p
	x.leaveQueue()
	x.dropBackend()
	x.place.Leave()
	x.handOut()
	x.up.Release(p.arena)
	x.down.Release(p.arena)
	x.in.Drop(p.arena)
	x.closeTunnel()
	x.settle()
	x.front, x.snap = nil, nil
	p.spares.Put(x)
	p.counters.Exchanges.Sub(1)
}

// exchangeBytes is about what a free exchange takes with its memory for fields.
const exchangeBytes = 5 << 10

// end releases x and tells its front how to go on.
func (x *exchange) end(how front.Ending) {
	f := x.front
	x.release()
	f.End(how)
}

// enter changes the phase. The deadline follows from it: see arm.
func (x *exchange) enter(ph record.Phase) {
	invariant.Check(ph.MayFollow(x.phase), "proxy: phase may not follow")
	x.phase, x.since = ph, x.p.loop.Now()
	x.up.Progress, x.down.Progress = x.since, x.since
	x.rec.Enter(ph, x.since)
	if ph == Relay {
		x.settle()
	}
}

// Run implements front.Exchange.
func (x *exchange) Run() (ended bool) {
	switch x.phase {
	case Admit:
		return x.admit()
	case Pick:
		return x.tryAgain()
	case Dial:
		return x.dialled()
	}
	return x.pump()
}

// BadHead implements front.Exchange.
func (x *exchange) BadHead(r httpparse.Reason) (ended bool) {
	x.call.Is = grpc.InHead(x.in.Bytes())
	if x.peer.Way == front.NotTLS {
		return x.reply(400, clients.NotTLS, nil)
	}
	return x.fail(record.ByHead(r))
}

// LateHead implements front.Exchange.
func (x *exchange) LateHead() (ended bool) {
	return x.fail(record.ByClient(record.CauseSlow))
}

// Gone implements front.Exchange.
func (x *exchange) Gone() { x.fail(record.ByClient(record.CauseGone)) }

// Cut implements front.Exchange.
func (x *exchange) Cut() { x.fail(record.ByLB(record.CauseCut)) }

// Abandon implements front.Exchange.
func (x *exchange) Abandon() {
	a := x.p.arena
	x.up.Forget(a)
	x.down.Forget(a)
	if x.from != nil {
		x.from.Forget(a)
	}
	x.rec.Fault = record.Fault{Side: record.LBSide, Cause: record.CausePanicked, Phase: x.phase}
	x.recordFailed(x.rec.Fault)
	x.release()
}

// Advance implements back.Owner.
func (x *exchange) Advance() { x.front.Advance() }

// moved notes that bytes moved in ln.
func (x *exchange) moved(ln *lane.Lane) {
	x.moves++
	ln.Progress = x.p.loop.Now()
}

// admit answers a request whose head is whole, or begins to look for a backend.
func (x *exchange) admit() (ended bool) {
	p, r := x.p, x.req
	p.counters.Requests.Add(1)
	p.budget.Begin(p.loop.Now())
	x.rec.NoteHead(x.in.Bytes()[:r.HeadLen])
	own := x.decide()
	if x.snap.rates != nil {
		own = p.own.Limit(own, x.snap.rates, x.request(), p.loop.Now())
	}
	if p.record != nil {
		x.recordRoute()
	}
	if own != nil {
		return x.answer(own)
	}
	came := x.request()
	x.prepareChoice(came)
	x.composeRequest(came)
	if x.route != nil {
		x.place.Of(x.route.quota)
	}
	x.in.Take(int(r.HeadLen))
	if !x.up.Whole && x.in.Len() > 0 {
		if f, bad := x.takeUp(); bad {
			return x.fail(f)
		}
	}
	x.in.Drop(p.arena)
	x.enter(Pick)
	return x.pick()
}

// answer answers with own, for the head of a request that is good.
func (x *exchange) answer(own *admission.Own) (ended bool) {
	if f := own.Fault; f.Cause != record.NoCause {
		f.Phase, x.rec.Fault, x.rec.Words = x.phase, f, own.Words
		if f.Cause == record.CauseNoRoute {
			x.p.counters.Unrouted.Add(1)
		}
	}
	if own.Close {
		return x.reply(own.Code, own.Text, own.Lines)
	}
	return x.replyHere(own.Code, own.Text, own.Lines)
}

// reply answers with a response of lb's own, with the field lines own. The client's
// conn goes on only if it is certain where its next request begins.
func (x *exchange) reply(code int, text string, own []byte) (ended bool) {
	x.noteReply(code, text)
	return x.sendReply(code, text, own)
}

// replyHere is reply for a request whose head is good: the conn may stay after its body.
func (x *exchange) replyHere(code int, text string, own []byte) (ended bool) {
	r := x.req
	x.noteReply(code, text)
	x.up.Begin(r.Framing, r.Framing, r.Length)
	x.in.Take(int(r.HeadLen))
	return x.sendReply(code, text, own)
}

func (x *exchange) sendReply(code int, text string, own []byte) (ended bool) {
	up := &x.up
	x.leaveQueue()
	x.dropBackend()
	x.closeTunnel()
	x.keep = up.Whole && !x.req.Close && !x.p.shared.Draining
	if up.Whole {
		x.in.Take(up.Claimed())
	}
	up.Release(x.p.arena)
	up.Broken = !up.Whole
	x.composeReply(code, text, own)
	x.replied = true
	x.rec.Status, x.rec.Own = code, true
	x.call.Until = grpc.FarOff
	x.enter(Relay)
	return x.pump()
}

// finish ends an exchange whose response has been written, and decides about each
// conn on its own.
func (x *exchange) finish() (ended bool) {
	sentAll := x.up.Done()
	keep := x.keep && sentAll && !x.tunnel
	if x.backend != nil && sentAll && !x.tunnel && x.reusable() {
		x.backend, x.from = nil, nil
	}
	switch {
	case keep:
		x.peer.Served = true
		x.end(front.Keep)
	case sentAll || x.tunnel:
		x.end(front.Close)
	default:
		x.end(front.Unread)
	}
	return true
}

// reusable leaves the backend's conn to other exchanges, unless the answer speaks against
// that: only the end of the conn is its end, or the backend closes (RFC 9112 9.3).
func (x *exchange) reusable() bool {
	r := &x.resp
	return !r.Close && r.Framing != httpparse.Close && x.backend.Keep(r.Framing == httpparse.None)
}

// owes returns which side has to move for the exchange to go on, since when, and how
// long that may take.
func (x *exchange) owes() (s record.Side, from tick.Instant, limit time.Duration) {
	return deadline.Owed(&x.snap.cfg.Timeouts, &deadline.Case{
		Phase: x.phase, Since: x.since, Pause: x.pause, Up: &x.up, Down: &x.down,
		Conn: x.backend != nil, Expecting: x.expecting, Tunnel: x.tunnel, Opening: x.opening,
		HalfClosed: x.tunnel && !x.opening && x.halfClosed(),
		Call:       x.call.Long, Timed: x.call.Long && x.call.Until < grpc.FarOff,
	})
}

// arm sets the deadline to that of what the exchange waits for now. Bytes that wait, too,
// move to memory that fits them.
func (x *exchange) arm() {
	if x.in.Slab != nil || x.from != nil && x.from.Slab != nil || !x.down.Flushed() {
		x.rest()
	}
	s, from, limit := x.owes()
	if x.p.record != nil {
		x.rec.Waits(s == record.ClientSide && (!x.tunnel || x.opening), x.p.loop.Now())
	}
	x.front.Deadline(min(from.Add(limit), x.call.Until))
}

// rest moves the bytes that wait.
func (x *exchange) rest() {
	a := x.p.arena
	x.in.Rest(a)
	if x.from != nil {
		x.from.Rest(a)
	}
	if !x.down.Flushed() {
		x.down.Rest(a)
	}
}

// overdue returns the fault of a call whose client waits no longer.
func (x *exchange) overdue() record.Fault {
	var silent time.Duration
	if x.phase == Wait && !x.p.loop.StoodStill(x.since) {
		silent = x.p.loop.Now().Sub(x.since)
	}
	return grpc.Overdue(silent, x.snap.cfg.Timeouts.Response)
}

// Expired implements front.Exchange.
func (x *exchange) Expired() (ended bool) {
	now := x.p.loop.Now()
	if now >= x.call.Until {
		return x.fail(x.overdue())
	}
	if x.front.Behind() {
		x.down.Progress = now
	}
	s, from, limit := x.owes()
	at := from.Add(limit)
	knocks := x.phase == Dial && x.backend == nil && limit < x.snap.cfg.Timeouts.Connect
	switch {
	case (at > now || knocks) && x.leaves():
		x.recordFailed(record.Fault{Side: record.BackendSide, Cause: record.CauseOut, Phase: x.phase})
		x.dropBackend()
		return x.retry()
	case at > now:
		x.front.Deadline(min(at, x.call.Until))
		return false
	case knocks:
		return x.connect()
	case x.phase == Dial && x.backend == nil:
		return x.fail(record.ByLB(record.CauseCrowded))
	case x.phase == Pick && x.pause > 0:
		x.pause = 0
		return x.pick()
	case x.phase == Pick && x.p.loop.StoodStill(x.since): // room was not looked for meanwhile
		x.since = now
		return x.tryAgain()
	case x.phase == Pick:
		return x.fail(x.place.Crowded())
	}
	if x.phase == Dial {
		return x.lateDial()
	}
	return x.fail(record.Fault{Side: s, Cause: record.CauseSlow})
}
