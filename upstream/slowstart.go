package upstream

import "lb/loop/tick"

// A backend that has recovered, or is new, is given a growing share of its
// weight: a tenth at once, the whole when slow_start has passed. Strategies that
// draw or take turns pass over it with the probability of what it lacks;
// strategies that compare loads compare them with that share of the weight.
const (
	wholeShare = 1 << 10
	firstShare = wholeShare / 10
)

// share returns how much of its weight a backend has at now, of wholeShare.
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

// weight returns what a backend weighs at now, in shares.
func (r *roster) weight(i int, now tick.Instant) uint64 {
	return r.entries[i].weight * r.share(i, now)
}

// admits reports whether a backend takes the turn that chance, or the strategy,
// gives to it. Chance is any number of 32 bits.
func (r *roster) admits(i int, chance uint32, now tick.Instant) bool {
	return now >= r.ramping || uint64(chance)*wholeShare>>32 < r.share(i, now)
}

// rampTries bounds how often turns are passed on: when nearly all backends have
// only just come back, one of them it is.
const rampTries = 16
