package upstream

import (
	"math"
	"time"

	"lb/loop/tick"
)

// budgetBuckets is how many steps a window slides in: what a budget forgets, it
// forgets a tenth of a window at a time.
const budgetBuckets = 10

// Budget bounds retries to a share of the exchanges, over a sliding window, so
// that a pool in trouble is not given a multiple of its load on top. It belongs
// to one loop.
type Budget struct {
	millionths int64 // the share; whole numbers make "20 % of 5" exactly 1
	least      int64
	width      int64 // of a bucket, in nanoseconds
	current    int64 // number of the newest bucket, counted from the clock's zero
	buckets    [budgetBuckets]budgetBucket
	sum        budgetBucket // of all buckets
}

type budgetBucket struct{ begun, retries int64 }

// NewBudget returns a budget of share (0.2: 20 %) of the exchanges begun in the
// last window, and at least least retries per window.
func NewBudget(share float64, least int, window time.Duration) Budget {
	return Budget{
		millionths: int64(math.Round(share * 1e6)),
		least:      int64(least),
		width:      max(1, int64(window)/budgetBuckets),
	}
}

// Begin counts an exchange.
func (b *Budget) Begin(now tick.Instant) {
	b.slide(now).begun++
	b.sum.begun++
}

// Retry counts a retry and returns true, or returns false when the budget is spent.
func (b *Budget) Retry(now tick.Instant) bool {
	bucket := b.slide(now)
	if b.sum.retries >= max(b.least, b.sum.begun*b.millionths/1e6) {
		return false
	}
	bucket.retries++
	b.sum.retries++
	return true
}

// slide forgets what is older than the window and returns the newest bucket.
func (b *Budget) slide(now tick.Instant) *budgetBucket {
	number := int64(now) / b.width
	if gone := number - b.current; gone > 0 {
		for i := range min(gone, budgetBuckets) {
			old := &b.buckets[(number-i)%budgetBuckets]
			b.sum.begun -= old.begun
			b.sum.retries -= old.retries
			*old = budgetBucket{}
		}
		b.current = number
	}
	return &b.buckets[b.current%budgetBuckets]
}
