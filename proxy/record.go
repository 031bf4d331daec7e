package proxy

import (
	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
)

// Record is what is known of an exchange when it has ended, however it ended. It is
// filled where things happen and handed to Options.Record once. It and everything it
// points to are valid only during that call.
//
// The times are on the loop's clock, and of the last attempt where there were
// several. A time is 0 if the exchange did not get that far.
type Record struct {
	Begun    tick.Instant // the first byte of the request had come
	Admitted tick.Instant // its head was whole, or was refused
	Picked   tick.Instant // a backend was chosen; the wait for room ends here
	Dialled  tick.Instant // a new conn to it was begun; 0 if an idle one was used
	Sending  tick.Instant // the conn was there
	Sent     tick.Instant // the request was written; 0 if the response came first
	Answered tick.Instant // the final head had come, or lb made a reply of its own
	Ended    tick.Instant

	Peer    *front.Peer
	Request *httpparse.Request // not valid without a Head
	Head    []byte             // the text that Request's spans point into; empty if the head was refused, or never whole

	Route    *config.Route // or nil if none matched
	Pool     string        // empty if the request was answered without one
	Backend  string        // the last that was tried, or empty
	Attempts int

	Status  int   // of the final response; 0 if there was none
	Own     bool  // the response was lb's own
	Tunnel  bool  // after a 101; the byte counts are then those of the tunnel
	BytesIn int64 // of the body, from the client
	Bytes   int64 // of the body, to the client

	// Fault is what ended the exchange, if its Cause is not empty: an answer that was
	// whole, and was not lb's own because of a fault, has none.
	Fault Fault
}

// keptHeadMax bounds, in bytes, the memory for a head that an exchange keeps for the
// next one.
const keptHeadMax = 8 << 10

// beginRecord makes x.rec the record of x, whose first byte came at since. Like all that
// fills in what only Options.Record reads, it costs next to nothing without that.
func (x *exchange) beginRecord(since tick.Instant) {
	r := &x.rec
	if x.p.record == nil {
		r.Status, r.Own, r.Attempts, r.Fault = 0, false, 0, Fault{}
		return
	}
	head := r.Head[:0]
	if cap(head) > keptHeadMax {
		head = nil
	}
	*r = Record{Begun: since, Admitted: x.since, Peer: x.peer, Request: x.req, Head: head}
}

// recordHead copies the head, which is whole and still in the inbox.
func (x *exchange) recordHead() {
	if x.p.record != nil {
		x.rec.Head = append(x.rec.Head, x.in.Bytes()[:x.req.HeadLen]...)
	}
}

// recordRoute notes the route and the pool that were found.
func (x *exchange) recordRoute() {
	if x.p.record == nil {
		return
	}
	if x.route != nil {
		x.rec.Route = x.route.Route
	}
	if x.pool != nil {
		x.rec.Pool = x.pool.Name
	}
}

// recordPhase notes that phase ph has begun.
func (x *exchange) recordPhase(ph Phase) {
	if x.p.record == nil {
		return
	}
	r, now := &x.rec, x.since
	switch ph {
	case Dial:
		r.Dialled = now
	case Send:
		r.Sending = now
	case Wait:
		r.Sent = now
	case Relay:
		r.Answered = now
	}
}

// recordPick notes that t was chosen at now.
func (x *exchange) recordPick(t *target, now tick.Instant) {
	r := &x.rec
	r.Attempts++
	if x.p.record == nil {
		return
	}
	r.Pool, r.Backend, r.Picked = x.pool.Name, t.Name, now
	r.Dialled, r.Sending, r.Sent = 0, 0, 0
}

// handOut completes the record and hands it out. What is counted once for each
// exchange is counted from it.
func (x *exchange) handOut() {
	r, p := &x.rec, x.p
	if r.Own {
		p.counters.OwnReplies[r.Status/100].Add(1)
		p.counters.Replies[r.Status/100].Add(1)
	}
	if c := r.Fault.Cause; r.Fault.Side == ClientSide && (c == causeGone || c == causeShortBody) {
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
