package health

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// streak makes up and down out of single probes. It is a plain value, as is
// pace: a test drives both by hand.
type streak struct {
	rise, fall int
	health     board.Health
	against    int          // probes in a row that speak against health
	since      tick.Instant // the first of the last such row
}

// report takes in one probe, made at now, and returns true if it changes health.
// A backend of which nothing is known is up with its first good probe, as it may
// be picked anyway; it takes as many bad ones as any other to be down.
func (s *streak) report(good bool, now tick.Instant) (changed bool) {
	if good && s.health == board.Up || !good && s.health == board.Down {
		s.against = 0
		return false
	}
	if s.against == 0 {
		s.since = now
	}
	s.against++
	switch {
	case good && (s.health == board.Unknown || s.against >= s.rise):
		s.health = board.Up
	case !good && s.against >= s.fall:
		s.health = board.Down
	default:
		return false
	}
	s.against = 0
	return true
}

// pace is how often a backend is probed.
type pace struct{ up, down time.Duration }

func paceOf(h config.Health) pace { return pace{h.Interval, h.IntervalDown} }

// jitter is how much longer or shorter than configured an interval may be, so
// that balancers started at once do not probe at once for ever.
const jitter = 0.1

// next returns when to probe again after a probe begun at begun, of which not
// much later it is clear what the backend's health is. chance is from 0 to 1.
// Until it is clear whether a backend is up, it is probed like one that is down.
func (p pace) next(h board.Health, begun tick.Instant, chance float64) tick.Instant {
	interval := p.down
	if h == board.Up {
		interval = p.up
	}
	return begun.Add(time.Duration(float64(interval) * (1 - jitter + 2*jitter*chance)))
}

// Backends are first probed one behind the other: firstApart one from the next,
// or less, so that all are done in firstAll.
const (
	firstApart = 10 * time.Millisecond
	firstAll   = time.Second
)

// first returns how long backend i of n waits for its first probe.
func first(i, n int) time.Duration {
	return time.Duration(i) * min(firstApart, firstAll/time.Duration(n))
}
