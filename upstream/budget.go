package upstream

import (
	"math"
	"time"

	"lb/loop/tick"
)

// budgetBuckets is in how many steps the window slides: a budget forgets a tenth of
// its window at a time.
const budgetBuckets = 10

// Budget bounds retries to a share of the exchanges in a sliding window, so that
// retries do not multiply the load on a pool in trouble. It belongs to one loop.
type Budget struct {
	millionths int64 // the share; an integer, so that "20 % of 5" is exactly 1
	least      int64
	width      int64 // of a bucket, in nanoseconds
	current    int64 // number of the newest bucket, counted from clock zero
	buckets    [budgetBuckets]budgetBucket
	sum        budgetBucket // of all buckets
}

type budgetBucket struct{ begun, retries int64 }

// NewBudget returns a budget of share (0.2 is 20 %) of the exchanges begun in the
// last window, but at least least retries in each window.
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

// Retry counts a retry and returns true, or returns false if the budget is spent.
func (b *Budget) Retry(now tick.Instant) bool {
	b.slide(now)
	if b.sum.retries >= max(b.least, b.sum.begun*b.millionths/1e6) {
		return false
	}
	b.Spend(now)
	return true
}

// Spend counts a retry that no budget may refuse.
func (b *Budget) Spend(now tick.Instant) {
	b.slide(now).retries++
	b.sum.retries++
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
