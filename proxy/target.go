package proxy

import (
	"time"

	"lb/board"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/backs"
	"lb/proxy/ejection"
	"lb/proxy/record"
	"lb/upstream"
)

// target is a backend as this loop's proxy sees it: one for each ID, whatever
// configurations have it, from when it comes into the configuration until it goes.
type target struct {
	backs.Target
	pool  *pool // the newest that had it, or nil if that has a successor without it
	index int   // there
	place record.Place
	bulky bool // its last response was longer than a small slab: read the next at once into a large one
}

// leave is called when t is no longer in the present configuration. Its attempts go on.
func (t *target) leave() {
	t.Leave()
	if t.pool.successor != nil {
		t.pool = nil
	}
}

// failed notes a fault of t in phase ph, which may eject t. If t is gone, failed does
// nothing: the IDs of its pool may belong to other backends by now, whose state is not
// for that pool to change.
func (t *target) failed(f upstream.Fault, ph record.Phase) {
	if t.Gone {
		return
	}
	if c, ejected := t.pool.Failed(t.index, f, t.pool.p.loop.Now()); ejected {
		ejection.Began(t.pool.p.log, t.pool.Name, c, f.Detail, ph)
		t.pool.p.evacuate()
	}
}

// wish notes that t asks for no new clients, unless why is ReasonNone.
func (t *target) wish(why board.Reason) {
	if why != board.ReasonNone && !t.Gone {
		t.pool.Leave(t.index, why, t.pool.p.loop.Now())
	}
}

// isOut reports whether t is down or ejected, and others take its place.
func (t *target) isOut() bool {
	return !t.Gone && t.pool.Out(t.index, t.pool.p.loop.Now())
}

// evacuate has the exchanges that wait at backends which are out look for another one, in
// this turn: their deadlines pass. Those that have to stay at a backend that is down hear
// soon if its machine is gone, and no idle conn to it is kept. It is called when the board
// has changed, and again while it returns true: an event may come first and set a new
// deadline.
func (p *Proxy) evacuate() (again bool) {
	out := false
	p.eachTarget(func(t *target) {
		down := t.IsDown()
		if down {
			t.CloseIdle()
		}
		out = out || t.Slot.InFlight.Load() > 0 && (down || t.isOut())
	})
	if !out {
		return false
	}
	backs.Each(p.loop, func(c back.Carrier, o back.Owner) {
		x := o.(*exchange)
		if x.target != nil && x.target.IsDown() {
			c.Doubt()
		}
		if x.phase != Relay && x.target.isOut() {
			x.front.Deadline(p.loop.Now())
			again = true
		}
	})
	return again
}

// isBusy reports whether an exchange may wait at a backend.
func (p *Proxy) isBusy() bool { return p.counters.Exchanges.Load() > p.counters.Tunnels.Load() }

// succeeded notes at now that an attempt was answered; see upstream.Pool.Succeeded.
func (t *target) succeeded(ttfb time.Duration, now tick.Instant) {
	if !t.Gone {
		t.pool.Succeeded(t.index, ttfb, now)
	}
}

// release ends an attempt and wakes the exchange that waits for its room. It is the last
// that an attempt writes to the board: if t is gone, its ID may belong to another
// backend from here on.
func (t *target) release() {
	q := t.pool
	if q == nil {
		t.Slot.InFlight.Sub(1)
		return
	}
	q.Release(t.index)
	q.room.Wake()
}
