package upstream

import "lb/loop/tick"

// A backend that is new or has recovered starts with a tenth of its weight, which
// grows to the whole over slow_start. Strategies that draw or take turns skip it
// with the probability of the missing share; those that compare loads use the
// reduced weight.
const (
	wholeShare = 1 << 10
	firstShare = wholeShare / 10
)

// share returns the part of its weight that a backend has at now, out of
// wholeShare.
func (r *roster) share(i int, now tick.Instant) uint64 {
	if now >= r.ramping {
		return wholeShare
	}
	at := r.entries[i].recovered
	gone := now.Sub(at)
	if at == 0 || gone >= r.slowStart {
		return wholeShare
	}
	return firstShare + uint64(float64(wholeShare-firstShare)*float64(max(0, gone))/float64(r.slowStart))
}

// weight returns a backend's weight at now, in units of 1/wholeShare.
func (r *roster) weight(i int, now tick.Instant) uint64 {
	return r.entries[i].weight * r.share(i, now)
}

// admits reports whether a backend takes a turn that it was given. chance is a
// random number of 32 bits.
func (r *roster) admits(i int, chance uint32, now tick.Instant) bool {
	return now >= r.ramping || uint64(chance)*wholeShare>>32 < r.share(i, now)
}

// rampTries bounds how often a turn is passed on: if nearly all backends are in
// slow start, one of them must take it.
const rampTries = 16
