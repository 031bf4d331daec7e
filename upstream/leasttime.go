package upstream

import (
	"time"

	"lb/board"
	"lb/loop/tick"
)

// leastTime draws two backends by weight and picks the one that promises the
// earlier answer: its average time to first byte, times the attempts that would
// then be active, by weight. Like p2c it costs two looks whatever the size of the
// pool.
//
// The new attempt counts as one at a backend of average weight, so that with equal
// times an idle pool is shared by weight. If both promises are nearly equal the
// first wins: averages of equal backends always differ a little, and the load would
// otherwise chase the noise.
type leastTime struct {
	sampler
	meanWeight float64
}

// noise is the ratio up to which two promises count as equal.
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
	if aTime == 0 || bTime == 0 { // no answer yet from one of them: compare loads only
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

// weight returns what a backend weighs at now, relative to the mean.
func (l *leastTime) weight(r *roster, i int, now tick.Instant) float64 {
	return float64(r.weight(i, now)) / (wholeShare * l.meanWeight)
}

const (
	// averageOver is how many answers the moving average covers.
	averageOver = 8
	// halfLife is the time in which an average without new answers halves: a backend
	// that was slow once must be tried again to show that it no longer is.
	halfLife = 10 * time.Second
)

// observe adds one time to first byte to the average. If two loops do so at the
// same moment one sample is lost, which does not matter to an average.
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

// average returns the average time to first byte in nanoseconds, or 0 if unknown.
func average(s *board.State, now tick.Instant) float64 {
	mean := s.TTFB.Load()
	if mean == 0 {
		return 0
	}
	halves := max(0, now.Sub(tick.Instant(s.TTFBAt.Load()))/halfLife)
	return float64(max(1, mean>>min(uint64(halves), 63)))
}
