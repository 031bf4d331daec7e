package upstream

import (
	"time"

	"lb/loop/tick"
)

// ShowWait puts on the board how many exchanges wait for room in this loop, and since when
// the first one has; 0: none waits.
func (p *Pool[C]) ShowWait(queued int, since tick.Instant) {
	if len(p.Backends) > 0 { // without backends no exchange waits
		slot := p.Backends[0].Slot
		slot.WaitsSince.Set(uint64(since))
		slot.SetQueued(queued)
	}
}

// yieldShare is the part of the longest wait by which an exchange of another loop must
// have waited longer to go first. There is no stricter order between loops: room that is
// left to another loop is unused until that loop looks.
const yieldShare = 16

// Yields reports whether an exchange of another loop has waited so much longer than one
// that has waited since then, that this one leaves it the room. most is the longest that
// an exchange may wait.
func (p *Pool[C]) Yields(since tick.Instant, most time.Duration) bool {
	r := &p.roster
	if !r.limited {
		return false
	}
	longer := since.Sub(0) - most/yieldShare
	for i := range r.board.Loops() {
		if i == r.at.Slot {
			continue
		}
		if w := r.board.Backend(i, p.Backends[0].ID).WaitsSince.Load(); w != 0 && time.Duration(w) < longer {
			return true
		}
	}
	return false
}
