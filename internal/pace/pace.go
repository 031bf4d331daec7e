// Package pace says how long to wait before something that has failed is tried again.
package pace

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a row of waits, each twice as long as the one before. The zero value begins at
// 100 ms and ends at 10 s. It is for one goroutine.
type Backoff struct {
	Min, Max time.Duration
	last     time.Duration
}

// Next returns the next wait: between half and all of it by chance, so that many processes
// that fail together do not come back together.
func (b *Backoff) Next() time.Duration {
	low, high := b.Min, b.Max
	if low == 0 {
		low = 100 * time.Millisecond
	}
	if high == 0 {
		high = 10 * time.Second
	}
	b.last = min(max(2*b.last, low), high)
	return Jitter(b.last)
}

// Reset begins a new row.
func (b *Backoff) Reset() { b.last = 0 }

// Jitter returns a time between half of d and d by chance.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Sleep waits for d, and reports whether ctx is not done.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
