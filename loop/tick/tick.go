// Package tick is the loop's time. It is a leaf, so that rules about time can be
// tested without a loop, a clock or a sleep. It does not know what time it is.
package tick

import "time"

// Instant is a moment on a loop's monotonic clock, in nanoseconds. Zero means
// "never" or "not set"; a kernel's clock is always above zero.
type Instant int64

// Add returns the instant d after i.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns the time from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }
