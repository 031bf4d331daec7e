package upstream

import (
	"time"

	"lb/board"
	"lb/loop/tick"
)

// leastTime draws two backends by weight and picks the one that promises the
// earlier answer: the moving average of its time to first byte, times the
// attempts that would then be at work, by weight. Like p2c it looks at two
// whatever the size of the pool.
//
// The attempt itself counts as one at a backend of average weight, so that with
// equal times an idle pool is shared out by weight; and of two that are as good
// as equal it is the first, since averages of equal backends always differ a
// little and the rest of the pool would otherwise chase the noise.
type leastTime struct {
	sampler
	meanWeight float64
}

// noise is the ratio of two promises up to which they are as good as equal.
const noise = 1.25

func (l *leastTime) renew(r *roster) {
	l.sampler.renew(r)
	sum := uint64(0)
	for _, i := range r.open {
		sum += r.entries[i].weight
	}
	l.meanWeight = float64(sum) / float64(len(r.open))
}

func (l *leastTime) next(r *roster, d draw) int {
	a, b := l.pair(r, d)
	switch {
	case a == b || d.tried.Has(b):
		return a
	case d.tried.Has(a):
		return b
	}
	aTime, bTime := average(r.entries[a].state, d.now), average(r.entries[b].state, d.now)
	if aTime == 0 || bTime == 0 { // one that has not answered yet is as good as the other
		aTime, bTime = 1, 1
	}
	aLoad, bLoad := r.load(a), r.load(b)
	aPromise := aTime * (float64(aLoad)/l.weight(r, a, d.now) + 1)
	bPromise := bTime * (float64(bLoad)/l.weight(r, b, d.now) + 1)
	if r.entries[a].fullAt(aLoad) || !r.entries[b].fullAt(bLoad) && aPromise > noise*bPromise {
		return b
	}
	return a
}

// weight returns what a backend weighs at now, compared with the others.
func (l *leastTime) weight(r *roster, i int, now tick.Instant) float64 {
	return float64(r.weight(i, now)) / (wholeShare * l.meanWeight)
}

const (
	// averageOver is how many answers the moving average is about.
	averageOver = 8
	// halfLife is the time in which an average that nothing is added to halves:
	// a backend that was slow once must be asked again to show that it is not.
	halfLife = 10 * time.Second
)

// observe adds one time to first byte to the average. Of two loops that do so at
// the same moment one is not counted, which an average can bear.
func observe(s *board.State, ttfb time.Duration, now tick.Instant) {
	old, sample := s.TTFB.Load(), uint64(max(1, ttfb))
	mean := sample
	if old != 0 {
		mean = max(1, old-old/averageOver+sample/averageOver)
	}
	if s.TTFB.CompareAndSwap(old, mean) {
		s.TTFBAt.Store(uint64(now))
	}
}

// average returns the average time to first byte in nanoseconds, 0: unknown.
func average(s *board.State, now tick.Instant) float64 {
	mean := s.TTFB.Load()
	if mean == 0 {
		return 0
	}
	halves := max(0, now.Sub(tick.Instant(s.TTFBAt.Load()))/halfLife)
	return float64(max(1, mean>>min(uint64(halves), 63)))
}
