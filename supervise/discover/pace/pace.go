// Package pace says when a source of backends that has failed is tried again.
package pace

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minDefault = 250 * time.Millisecond
	maxDefault = 15 * time.Second
)

// Backoff are the pauses after failures in a row: each is drawn from the upper half of a
// bound that doubles from Min to Max, so that many lbs do not come back at the same moment.
// The zero Backoff goes from 250 ms to 15 s.
type Backoff struct {
	Min, Max time.Duration

	bound time.Duration // of the last pause; 0: there was none
}

// Next returns the pause after one more failure.
func (b *Backoff) Next() time.Duration {
	low, high := b.Min, b.Max
	if low == 0 {
		low = minDefault
	}
	if high == 0 {
		high = maxDefault
	}
	b.bound = min(max(2*b.bound, low), high)
	return b.bound/2 + rand.N(b.bound/2+1)
}

// Reset notes a success.
func (b *Backoff) Reset() { b.bound = 0 }

// Wait waits for as long as Next says, and reports whether ctx is not done yet.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) }

// Sleep waits for d, and reports whether ctx is not done yet.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ctx.Err() == nil
}
