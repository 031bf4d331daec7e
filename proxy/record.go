package proxy

import (
	"lb/loop/tick"
	"lb/proxy/record"
)

// The record functions note what only Options.Record reads. Without it they are no more
// than a branch: the compiler puts the test into their callers.

// beginRecord makes x.rec the record of x, whose first byte came at since.
func (x *exchange) beginRecord(since tick.Instant) {
	x.rec.Status, x.rec.Own, x.rec.Attempts, x.rec.Fault = 0, false, 0, record.Fault{}
	if x.p.record != nil {
		x.rec.Begin(since, x.since, x.peer, x.req)
	}
}

// recordHead copies the head, which is whole and still in the inbox.
func (x *exchange) recordHead() {
	if x.p.record != nil {
		x.rec.Head = append(x.rec.Head, x.in.Bytes()[:x.req.HeadLen]...)
	}
}

// recordRoute notes the route and the pool that were found.
func (x *exchange) recordRoute() {
	if x.p.record != nil {
		x.noteRoute()
	}
}

func (x *exchange) noteRoute() {
	if x.route != nil {
		x.rec.Route = x.route.Config
	}
	if x.pool != nil {
		x.rec.Pool = x.pool.Name
	}
}

// recordPhase notes that the phase has begun.
func (x *exchange) recordPhase() {
	if x.p.record != nil {
		x.rec.Enter(x.phase, x.since)
	}
}

// recordPick notes that t was chosen at now.
func (x *exchange) recordPick(t *target, now tick.Instant) {
	x.rec.Attempts++
	if x.p.record != nil {
		x.rec.Pick(x.pool.Name, t.Name, now)
	}
}

// handOut completes the record and hands it out. What is counted once for each
// exchange is counted from it.
func (x *exchange) handOut() {
	r, p := &x.rec, x.p
	if r.Ended > 0 {
		return // the listener has panicked, and x is released again
	}
	if r.Own {
		p.counters.OwnReplies[r.Status/100].Add(1)
		p.counters.Replies[r.Status/100].Add(1)
	}
	if c := r.Fault.Cause; r.Fault.Side == record.ClientSide && (c == record.CauseGone || c == record.CauseShortBody) {
		p.counters.ClientAborts.Add(1)
	}
	if p.record == nil {
		return
	}
	r.Ended, r.Tunnel = p.loop.Now(), x.tunnel
	r.BytesIn = x.up.BodyBytes()
	if !r.Own {
		r.Bytes = x.down.BodyBytes()
	}
	p.record(r)
}
