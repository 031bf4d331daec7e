package proxy

import (
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/tick"
	"lb/upstream"
)

// target is a backend as this loop's proxy sees it: one for each ID, whatever
// configurations have it, from when it comes into the configuration until it goes.
type target struct {
	upstream.Backend[*backendConn]
	pool  *pool // the newest that had it; nil when that has an successor, which has it not
	index int   // there
	addrs []loop.Addr
	next  int  // the address to dial next, in turn
	bulky bool // its last response was longer than a small slab: read the next at once into a large one
}

// leave is for a target that the present configuration has no more. Its attempts
// go on.
func (t *target) leave() {
	t.Gone = true
	t.Idle.Each(func(b *backendConn) { b.close() })
	if t.pool.successor != nil {
		t.pool = nil
	}
}

// failed notes a fault of t's in phase ph, which may eject it. If t is gone it is of no
// interest any more, and the IDs of the others of its pool may be other backends' by
// now, whose state is not for that pool to change.
func (t *target) failed(why board.Reason, detail uint64, ph Phase) {
	if t.Gone {
		return
	}
	if c, ejected := t.pool.Failed(t.index, why, detail, t.pool.p.loop.Now()); ejected {
		t.pool.tellEjected(c, detail, ph)
	}
}

// succeeded notes at now that an attempt was answered; see upstream.Pool.Succeeded.
func (t *target) succeeded(ttfb time.Duration, now tick.Instant) {
	if !t.Gone {
		t.pool.Succeeded(t.index, ttfb, now)
	}
}

// release ends an attempt, and gives the room on to who waits for it. Of an attempt
// that has ended nothing is written to the board any more: if t is gone, its ID may
// be another backend's from here on.
func (t *target) release() {
	q := t.pool
	if q == nil {
		t.Slot.InFlight.Sub(1)
		return
	}
	q.Release(t.index)
	q.nudge()
}

// SetAddrs replaces the addresses of the backend with that ID on the board, after a
// name was resolved again. Conns to the old ones go on until they end. It does
// nothing if the backend is gone.
func (p *Proxy) SetAddrs(id int, addrs []loop.Addr) {
	if t := p.targets[id]; t != nil {
		t.addrs = addrs
	}
}

// idleLimit returns how long an idle conn to t may be used.
func (p *Proxy) idleLimit(t *target, now tick.Instant) time.Duration {
	return upstream.IdleTimeout(t.State, p.now.cfg.Timeouts.BackendIdle, now)
}
