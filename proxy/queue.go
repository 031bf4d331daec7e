package proxy

import (
	"lb/loop/tick"
	"lb/proxy/record"
)

// queue has x wait for room at its pool.
func (x *exchange) queue() (ended bool) {
	if x.hasLeft() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if !x.waiting {
		if !x.place.Room(&x.pool.room).Put(&x.wait, x, x.tried.Len() > 0) {
			return x.fail(x.place.Crowded())
		}
		x.waiting = true
	}
	x.arm()
	return false
}

// hasLeft reports whether the client of x, which waits for room, is taken for gone: it has
// ended its side. Most that do so have closed, and a request that has not been sent yet
// is no loss. Later a client that has closed looks like one that still reads.
func (x *exchange) hasLeft() bool { return x.snap.cfg.AbortOnClose && x.front.Shut() }

// Since implements waiting.Waiter.
func (x *exchange) Since() tick.Instant { return x.since }

// Wake implements waiting.Waiter.
func (x *exchange) Wake() { x.front.Wake() }

// leaveQueue ends the wait for room, if x waits.
func (x *exchange) leaveQueue() {
	if x.waiting {
		x.waiting = false
		x.place.Room(&x.pool.room).Remove(&x.wait, x.tried.Len() > 0)
	}
}

// tryAgain is called for events while x waits for room or for its next attempt to begin.
func (x *exchange) tryAgain() (ended bool) {
	if x.front.Gone() || x.waiting && x.hasLeft() {
		return x.fail(record.ByClient(record.CauseGone))
	}
	if first, _ := x.place.Room(&x.pool.room).First(x.tried.Len() > 0); x.pause == 0 && first == x {
		return x.pick()
	}
	x.arm()
	return false
}
