package proxy

import (
	"lb/proxy/ownreply"
	"lb/proxy/record"
)

// recordRoute notes the route and the pool that were found.
func (x *exchange) recordRoute() {
	if x.route != nil {
		x.rec.Route = x.route.Config
	}
	if x.pool != nil {
		x.rec.Pool, x.rec.Series = x.pool.Name, x.pool.series
	}
}

// recordConn notes how the conn of the attempt was made, as far as it is.
func (x *exchange) recordConn() {
	if x.p.record != nil {
		x.rec.Make(x.backend.Made())
	}
}

// recordFailed notes that f ends the attempt, if there is one.
func (x *exchange) recordFailed(f record.Fault) {
	if x.p.record == nil || x.target == nil && !x.tunnel {
		return
	}
	if x.phase == Dial && x.backend != nil {
		x.recordConn()
	}
	x.rec.Fail(f)
}

// handOut completes the record and hands it out. What is counted once for each
// exchange is counted from it.
func (x *exchange) handOut() {
	r, p := &x.rec, x.p
	if r.Ended > 0 {
		return // the listener has panicked, and x is released again
	}
	ownreply.Count(p.counters, r)
	if p.record == nil {
		return
	}
	r.Ended, r.Tunnel = p.loop.Now(), x.tunnel
	r.Waits(false, r.Ended)
	if len(r.Head) == 0 {
		r.ID = x.snap.tags.AppendID(r.ID[:0], p.ids, r.Ended)
	}
	r.BytesIn = x.up.BodyBytes()
	if !r.Own {
		r.Bytes = x.down.BodyBytes()
	}
	p.record(r)
}
