package health

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// streak makes up and down out of single probes. Like pace it is a plain value that a
// test drives by hand.
type streak struct {
	rise, fall int
	health     board.Health
	against    int          // probes in a row that speak against health
	since      tick.Instant // when the last such row began
}

// report adds one probe, made at now, and returns true if it changes health. A backend
// of unknown health is up with its first good probe, because it may be picked anyway.
// It needs as many bad ones as any other to be down.
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

// jitter is how much longer or shorter than configured an interval may be, so that
// balancers that were started together do not probe together for ever.
const jitter = 0.1

// next returns when to probe again after a probe that began at begun. chance is from 0
// to 1. A backend of unknown health is probed like one that is down.
func (p pace) next(h board.Health, begun tick.Instant, chance float64) tick.Instant {
	interval := p.down
	if h == board.Up {
		interval = p.up
	}
	return begun.Add(time.Duration(float64(interval) * (1 - jitter + 2*jitter*chance)))
}

// Backends are first probed one after the other: firstApart from one to the next, or
// less, so that all are done within firstAll.
const (
	firstApart = 10 * time.Millisecond
	firstAll   = time.Second
)

// first returns how long backend i of n waits for its first probe.
func first(i, n int) time.Duration {
	return time.Duration(i) * min(firstApart, firstAll/time.Duration(n))
}
