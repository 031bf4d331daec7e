package upstream

import (
	"time"

	"lb/board"
	"lb/loop/tick"
)

const (
	// leaveTime is how long a backend that asks for it gets no new clients. Each time that
	// it asks again, the time begins again; a check that finds it up after it was down ends
	// it. Sticky clients and what runs go on.
	leaveTime = 10 * time.Second
	// leaveAgain is how old a wish has to be to be renewed: one word for each answer of a
	// busy backend would be written by all loops.
	leaveAgain = time.Second
)

// Leave notes at now that a backend asks for no new clients, for a reason of board. A wish
// that any request may bring about is not believed of more backends than may be ejected,
// and none of the last one that can be used.
func (p *Pool[C]) Leave(index int, why board.Reason, now tick.Instant) {
	p.roster.leave(index, why, now)
}

func (r *roster) leave(i int, why board.Reason, now tick.Instant) {
	s, until := r.entries[i].state, uint64(now.Add(leaveTime))
	if !r.entries[i].takesNew() {
		return // it gets none as it is
	}
	old := s.LeavingUntil.Load()
	if tick.Instant(old) > now {
		if until-old >= uint64(leaveAgain) {
			s.LeavingUntil.CompareAndSwap(old, until) // a loop that looks at the old time sees the new one then
		}
		return
	}
	if !r.mayLeave(i, why, now) || !s.LeavingUntil.CompareAndSwap(old, until) {
		return
	}
	// As for ejections: two loops may have two backends leave at the same moment.
	if !r.mayLeave(i, why, now) {
		s.LeavingUntil.CompareAndSwap(until, 0)
	}
	s.LeavingReason.Store(uint64(why))
	r.board.Changed()
}

// mayLeave reports whether the pool can do without i.
func (r *roster) mayLeave(i int, why board.Reason, now tick.Instant) bool {
	leaving, left := 1, 0
	for j := range r.entries {
		if j == i {
			continue
		}
		e := &r.entries[j]
		switch s := e.state; {
		case tick.Instant(s.LeavingUntil.Load()) > now:
			leaving++
		case e.takesNew() && tick.Instant(s.EjectedUntil.Load()) <= now:
			left++
		}
	}
	return left > 0 && (why == board.ReasonDrainField || leaving*100 <= r.eject.MaxPercent*len(r.entries))
}

// takesNew reports whether neither the operator nor a check keeps new clients from e.
func (e *entry) takesNew() bool {
	s := e.state
	return !e.drain && board.Health(s.Health.Load()) != board.Down && board.Admin(s.Admin.Load()) == board.Enabled
}

// isLeaving reports whether a backend has asked for no new clients.
func (r *roster) isLeaving(e *entry, now tick.Instant) bool {
	until := tick.Instant(e.state.LeavingUntil.Load())
	if until > now {
		r.until = min(r.until, until)
	}
	return until > now
}
