package accesslog

import (
	"log/slog"
	"time"
)

// Ring is the lines of one loop: a board.LogRing. This package alone reads it.
type Ring interface {
	// Pending returns the lines that are not consumed yet, whole and in order, in two
	// parts that follow each other.
	Pending() (first, rest []byte)
	// Consume frees the first n bytes of them.
	Consume(n int)
}

// Options are what a Writer needs. The functions are called on its goroutine alone.
type Options struct {
	Log *slog.Logger
	// Rings returns the rings to read, as long as no other process reads them.
	Rings func() []Ring
	// Await returns when a ring fills, or after timeout.
	Await func(timeout time.Duration)
	// Dropped returns how many lines the loops have dropped so far because a ring was full.
	Dropped func() uint64
	// Lost counts lines that were in a ring and cannot be written.
	Lost func(lines uint64)
	// Now is the clock; nil uses time.Now.
	Now func() time.Time
}
