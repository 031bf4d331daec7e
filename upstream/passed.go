package upstream

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// Passed notes at now that an active check of a backend, begun at begun, has passed. It
// returns for how long the backend was ejected, and true, if that ends an ejection. The
// first ejection ends with the first such check. A later one first lasts as long as the
// one before: a backend whose checks pass while its answers fail would otherwise come and
// go without end. Only the prober may call Passed.
func Passed(b *board.Board, id int, cfg *config.Eject, begun, now tick.Instant) (out time.Duration, ended bool) {
	s := b.State(id)
	until, since := tick.Instant(s.EjectedUntil.Load()), tick.Instant(s.EjectedSince.Load())
	out = now.Sub(since)
	switch board.Reason(s.EjectedReason.Load()) {
	case board.ReasonErrorRate, board.ReasonLatency: // a check that passes is no sign that answers are good now
		return 0, false
	}
	if until <= now || begun <= since || out < until.Sub(since)-cfg.Time || board.Health(s.Health.Load()) == board.Down {
		return 0, false // a loop restores it when its time is over
	}
	s.RecoveredAt.Store(uint64(now))
	if !s.EjectedUntil.CompareAndSwap(uint64(until), 0) {
		return 0, false
	}
	s.EjectedLast.Store(uint64(now))
	b.Changed()
	return out, true
}
