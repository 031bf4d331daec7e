package upstream

import (
	"time"

	"lb/board"
	"lb/loop/tick"
)

// Change is a backend ejected or restored by this loop. Over all loops each change
// is reported once.
type Change struct {
	ID      int // the backend's ID on the board
	Name    string
	Ejected bool // false: restored
	Reason  board.Reason
	Detail  uint64        // what belongs to Reason: a status code, or 0
	Count   int           // number of the ejection; it lasts that many times the first one
	For     time.Duration // how long the ejection lasts, or lasted
}

// forgive is how long a backend must stay quiet after an ejection for the next
// ejection to count one less.
const forgive = time.Minute

// failed counts a fault of a backend and ejects the backend when its run of faults
// reaches the limit and condemns it. The run outlasts the ejection: nothing has
// answered since, so after it a single fault ejects again. Faults reported during an
// ejection do not count.
func (r *roster) failed(i int, f Fault, now tick.Instant) (c Change, ejected bool) {
	r.refresh(now)
	e := &r.entries[i]
	s := e.state
	if !r.eject.Enabled || s.EjectedUntil.Load() != 0 || e.tier >= disabled {
		return c, false
	}
	if !r.condemned(e, f) {
		return c, false
	}
	return r.expel(i, f, now)
}

// expel ejects a backend that is not ejected, for a fault, if the pool can do without it.
func (r *roster) expel(i int, f Fault, now tick.Instant) (c Change, ejected bool) {
	e := &r.entries[i]
	s := e.state
	if !r.mayEject(i, now) {
		return c, false
	}
	n, lasts := r.sentence(s, now)
	until := now.Add(lasts)
	if !s.EjectedUntil.CompareAndSwap(0, uint64(until)) {
		return c, false // another loop was faster and reports it
	}
	// Two loops may eject two backends at the same moment. So check again now that
	// our own mark is visible to the other loop, and take the mark back if it is one
	// too many.
	if !r.mayEject(i, now) {
		s.EjectedUntil.CompareAndSwap(uint64(until), 0)
		r.board.Changed()
		return c, false
	}
	s.EjectedSince.Store(uint64(now))
	s.EjectedReason.Store(uint64(f.Why))
	s.EjectedDetail.Store(f.Detail)
	s.EjectedLast.Store(uint64(until))
	s.Ejections.Store(uint64(n))
	r.board.Changed()
	return Change{ID: e.id, Name: e.name, Ejected: true, Reason: f.Why, Detail: f.Detail, Count: n, For: lasts}, true
}

// sentence returns the number of a backend's next ejection and how long it lasts.
// The number stops growing where the time does, so that quiet minutes soon lower
// it.
func (r *roster) sentence(s *board.State, now tick.Instant) (n int, lasts time.Duration) {
	quiet := max(0, now.Sub(tick.Instant(s.EjectedLast.Load())))
	before := max(0, int(s.Ejections.Load())-int(quiet/forgive))
	first, most := max(1, r.eject.Time), max(r.eject.Time, r.eject.TimeMax)
	n = min(before+1, int((most+first-1)/first))
	return n, min(time.Duration(n)*first, most)
}

// mayEject reports whether the pool can do without i: the share of ejected backends
// stays within MaxPercent, and at least one usable backend is left.
func (r *roster) mayEject(i int, now tick.Instant) bool {
	ejected, left := 1, 0
	for j := range r.entries {
		if j == i {
			continue
		}
		e := &r.entries[j]
		switch s := e.state; {
		case tick.Instant(s.EjectedUntil.Load()) > now:
			ejected++
		case e.takesNew() && tick.Instant(s.LeavingUntil.Load()) <= now:
			left++
		}
	}
	return left > 0 && ejected*100 <= r.eject.MaxPercent*len(r.entries)
}

// restore ends an ejection whose time is over. Only the loop whose swap succeeds
// reports it.
func (r *roster) restore(i int, until, now tick.Instant) {
	e := &r.entries[i]
	s := e.state
	since, n := tick.Instant(s.EjectedSince.Load()), int(s.Ejections.Load())
	s.RecoveredAt.Store(uint64(now))
	if !s.EjectedUntil.CompareAndSwap(uint64(until), 0) {
		return
	}
	if !r.dry {
		r.board.Changed()
	}
	if r.notify != nil {
		r.notify(Change{ID: e.id, Name: e.name, Reason: board.ReasonTime, Count: n, For: until.Sub(since)})
	}
}

// succeeded ends a backend's run of faults.
func (r *roster) succeeded(i int) {
	if s := r.entries[i].state; s.Faults.Load() != 0 {
		s.Faults.Store(0)
		s.Refusals.Store(0)
		s.Clients.Store(0)
		s.Targets.Store(0)
	}
}
