package proxy

import "lb/proxy/record"

// queue has x wait for room at its pool.
func (x *exchange) queue() (ended bool) {
	if x.hasLeft() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	q, now := x.pool, x.p.loop.Now()
	if !x.waiting {
		first := q.waits.Len()+q.again.Len() == 0
		if !q.queueOf(x).Put(&x.wait, x) {
			return x.fail(record.ByLB(record.CauseCrowded))
		}
		x.waiting = true
		q.showWait()
		if first { // otherwise it is armed, and a newcomer must not put it off
			x.p.loop.Arm(&q.look, q, now.Add(lookEvery))
		}
	}
	x.arm()
	return false
}

// hasLeft reports whether the client of x, which waits for room, is taken for gone: it has
// ended its side. Most that do so have closed, and a request that has not been sent yet
// is no loss. Later a client that has closed looks like one that still reads.
func (x *exchange) hasLeft() bool { return x.snap.cfg.AbortOnClose && x.front.Shut() }

// leaveQueue ends the wait for room, if x waits. The next in line tries at once: there
// may be more room, or nothing to wait for.
func (x *exchange) leaveQueue() {
	if x.waiting {
		x.waiting = false
		x.pool.queueOf(x).Remove(&x.wait)
		x.pool.showWait()
		x.pool.wakeFirst()
	}
}

// tryAgain is called for events while x waits for room or for its next attempt to begin.
func (x *exchange) tryAgain() (ended bool) {
	if x.front.Gone() || x.waiting && x.hasLeft() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if first, _ := x.pool.queueOf(x).First(); x.pause == 0 && first == x {
		return x.pick()
	}
	x.arm()
	return false
}
