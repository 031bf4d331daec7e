package proxy

import (
	"slices"
	"time"

	"lb/board"
	"lb/httpparse"
	"lb/proxy/leaving"
	"lb/proxy/record"
	"lb/proxy/retry"
	"lb/proxy/rewrite"
	"lb/upstream"
)

// readResponse reads the head of a response. After a final one the phase is Relay.
func (x *exchange) readResponse() (f record.Fault, bad bool) {
	if x.from.Len() == 0 || x.down.Starved {
		n, err := x.backend.Fill(x.target.bulky)
		x.received += int64(n)
		if err != nil {
			return x.backend.Fault(err), true
		}
		if n == 0 {
			if x.up.Broken {
				return record.ByBackend(record.CauseReset), true
			}
			return f, false
		}
		x.moves++
		x.down.Starved = false
	}
	switch x.resp.Feed(x.from.Bytes()) {
	case httpparse.Bad:
		return record.Fault{Side: record.BackendSide, Cause: record.CauseBadAnswer, Detail: uint16(x.resp.Reason)}, true
	case httpparse.More:
		x.down.Starved = true
		x.lookAgain()
		return f, false
	}
	return x.respond()
}

// awaitResponse prepares for the head of a response.
func (x *exchange) awaitResponse() {
	x.resp.Reset(&x.snap.limits, x.req.Method)
	if x.backend.Streams() {
		x.resp.InStream()
		x.resp.Marks = x.peer.HTTP2
	}
}

// respond passes on the response head that has been read.
func (x *exchange) respond() (f record.Fault, bad bool) {
	p, r, in := x.p, &x.resp, x.from
	raw := in.Bytes()
	if r.Code == 101 || r.Code >= 200 {
		x.rec.Answer(r.Code)
	}
	switch {
	case r.Code == 101:
		if x.up.Broken || !rewrite.Switches(x.upgrade, &r.Response, raw) {
			return record.ByBackend(record.CauseBadAnswer), true
		}
		x.composeInterim(raw)
		in.Take(int(r.HeadLen))
		x.openTunnel()
	case r.Code < 200:
		if x.req.Minor > 0 && (r.Code != 103 || x.snap.cfg.EarlyHints) { // RFC 9110 15.2: an HTTP/1.0 client knows none
			x.composeInterim(raw)
			x.replied = true
		}
		x.expecting = false
		in.Take(int(r.HeadLen))
		x.awaitResponse()
		in.Drop(p.arena)
		x.moves++
		return x.flushDown()
	case r.Code < 300 && x.peer.HTTP2 && x.req.Seen.Has(httpparse.Upgrade): // its client would take it for a tunnel (RFC 8441 5)
		return record.ByLB(record.CauseNoTunnel), true
	case x.noteAnswer():
		return record.ByBackend(record.CauseStatus), true
	default:
		x.keep = x.keeps()
		x.composeResponse()
		in.Take(int(r.HeadLen))
	}
	x.replied = true
	x.rec.Status = r.Code
	x.enter(Relay)
	if x.up.Done() {
		x.up.Release(p.arena)
	}
	in.Drop(p.arena)
	x.moves++
	switch {
	case x.down.Whole:
	case in.Len() > 0:
		f, bad = x.composeDown()
	case x.down.From == httpparse.Stream:
		f, bad = x.lookForEnd()
	}
	if bad {
		return f, true
	}
	return x.flushDown()
}

// noteAnswer notes what the head of a final response says about its backend, and
// returns true when the exchange is to be tried again because of its status.
func (x *exchange) noteAnswer() (again bool) {
	t, r := x.target, &x.resp
	if r.Seen.Has(httpparse.KeepAlive) {
		f, _ := r.Find(httpparse.KeepAlive)
		upstream.IdlePromised(t.State, f.Value.Of(x.from.Bytes()))
	}
	if r.Code == 503 || x.pool.cfg.DrainHeader != "" {
		t.wish(leaving.Of(&r.Response, x.from.Bytes(), x.pool.cfg.DrainHeader, x.accused))
	}
	counts := x.pool.cfg.Eject.Enabled && slices.Contains(x.pool.cfg.Eject.OnStatus, r.Code)
	if counts {
		x.blamed = true
		x.accuse(board.ReasonStatus, uint64(r.Code), x.phase)
	} else {
		x.answered = x.firstByte() // noted at the end, if nothing goes wrong until then
	}
	again = r.Code >= 502 && retry.OnStatus(&x.snap.cfg.Retry.On, r.Code) &&
		x.mayRetry(record.Fault{Side: record.BackendSide, Cause: record.CauseStatus, Phase: x.phase})
	if counts || again {
		t.State.StatusFaults.Add(1)
		t.State.NoteFault(board.ReasonStatus, uint8(x.phase), uint16(r.Code), int64(x.p.loop.Now()))
	}
	return again
}

// firstByte returns how long the answer has taken, or answeredEarly if that is unknown:
// lb itself may have stood still meanwhile.
func (x *exchange) firstByte() time.Duration {
	if x.phase != Wait || x.p.loop.StoodStill(x.since) {
		return answeredEarly
	}
	return max(1, x.p.loop.Now().Sub(x.since))
}

// keeps reports whether the client's conn can go on after the final response. An
// answer that comes before the request has ended and does not invite its rest
// ends the conn (RFC 9112 9.3, 9.5).
func (x *exchange) keeps() bool {
	r := &x.resp
	if x.req.Close || x.p.shared.Draining {
		return false
	}
	return x.up.Done() || !x.up.Broken && !x.expecting && r.Code < 400 && !r.Close && r.Framing != httpparse.Close
}

// nowBegun notes that the final head is on its way: from now on there is no other reply.
func (x *exchange) nowBegun() {
	x.begun = true
	if x.backend != nil && !x.tunnel {
		class := min(x.resp.Code/100, 5)
		x.p.counters.Replies[class].Add(1)
		x.target.Slot.Answered(class)
	}
}
