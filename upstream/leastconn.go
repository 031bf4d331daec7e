package upstream

import "math/bits"

// leastConn picks the backend with the fewest active attempts over all loops, by
// weight. Every pick reads one word for each backend and loop: exact, and the only
// strategy whose cost grows with the pool. p2c is nearly as even.
//
// Among equals the least recently used one is next. With weights that is measured
// on a clock on which a pick costs a backend the inverse of its weight, so an idle
// pool is shared by weight, too.
type leastConn struct {
	used []float64 // by index: when its last pick ends on that clock
	time float64
}

func newLeastConn(backends int, at Seat) *leastConn {
	l := &leastConn{used: make([]float64, backends)}
	for i := range l.used { // loops begin at different backends; far below the cost of a pick
		l.used[i] = float64((i+backends-at.Place*backends/at.Loops)%backends) * 1e-12
	}
	return l
}

func (l *leastConn) renew(*roster) {}

func (l *leastConn) next(r *roster, d draw) int {
	best, bestLoad, bestWeight := none, uint64(0), uint64(1)
	for _, index := range r.open {
		i := int(index)
		if d.tried.Has(i) {
			continue
		}
		load, weight := r.load(i), r.weight(i, d.now)
		if r.entries[i].fullAt(load) {
			continue
		}
		if best != none {
			order := compare(load, weight, bestLoad, bestWeight)
			if order > 0 || order == 0 && l.used[i] >= l.used[best] {
				continue
			}
		}
		best, bestLoad, bestWeight = i, load, weight
	}
	if best != none {
		l.time = max(l.time, l.used[best])
		l.used[best] = l.time + wholeShare/float64(bestWeight)
	}
	return best
}

// compare orders a/aWeight and b/bWeight: -1, 0 or +1, without rounding.
func compare(a, aWeight, b, bWeight uint64) int {
	aHigh, aLow := bits.Mul64(a, bWeight)
	bHigh, bLow := bits.Mul64(b, aWeight)
	switch {
	case aHigh < bHigh || aHigh == bHigh && aLow < bLow:
		return -1
	case aHigh == bHigh && aLow == bLow:
		return 0
	}
	return 1
}
