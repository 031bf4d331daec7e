// Package upstream is WHERE a request goes: one loop's view of the pools, their
// backends and idle lists, and the retry budget. It opens no socket; time is an
// argument. Everything belongs to one loop.
package upstream

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// This file is the agreed shape; the real bodies replace it.

// Backend is one backend as one loop sees it. C is the type of a backend conn.
type Backend[C any] struct {
	Index int    // in its pool
	ID    int    // over all pools; the backend's place on the board
	Name  string // host:port, [v6]:port or unix:/path
	Slot  *board.Backend
	Idle  IdleList[C]
}

// Pool is one pool as one loop sees it.
type Pool[C any] struct {
	Name     string
	Backends []*Backend[C]
}

// NewPool returns the pool for loop number loop of loops: loops start staggered.
// firstID is the ID of its first backend.
func NewPool[C any](cfg config.Pool, b *board.Board, firstID, loop, loops int) *Pool[C] {
	panic("stub")
}

// Tried is the set of backends that an exchange has tried, by Index. The zero
// value is empty; it does not allocate for pools of up to 256 backends.
type Tried struct{}

func (t *Tried) Add(index int)      { panic("stub") }
func (t *Tried) Has(index int) bool { panic("stub") }
func (t *Tried) Reset()             { panic("stub") }

// Pick chooses a backend, one not in tried where there is one (all tried: any
// again). It returns nil only when the pool is empty. Flat cost, no allocation.
func (p *Pool[C]) Pick(tried *Tried, now tick.Instant) *Backend[C] { panic("stub") }

// Link is a conn's place in an idle list, embedded in the conn.
type Link[C any] struct{}

// IdleList holds the conns of one backend that wait for reuse, LIFO, without
// allocation: the links are in the conns.
type IdleList[C any] struct{}

// Put adds c, whose link is l, at the hot end.
func (i *IdleList[C]) Put(l *Link[C], c C) { panic("stub") }

// Get takes the hottest conn.
func (i *IdleList[C]) Get() (c C, ok bool) { panic("stub") }

// Remove takes the conn with link l out, wherever it is; false if it is not in the list.
func (i *IdleList[C]) Remove(l *Link[C]) bool { panic("stub") }

// Len returns how many there are.
func (i *IdleList[C]) Len() int { panic("stub") }

// Each calls f for every conn, hottest first; f may Remove the conn it is given.
func (i *IdleList[C]) Each(f func(C)) { panic("stub") }

// Budget bounds retries to a share of the exchanges, over a sliding window.
type Budget struct{}

// NewBudget returns a budget of share (0.2: 20 %) of the exchanges begun in the
// last window, and at least least retries per window.
func NewBudget(share float64, least int, window time.Duration) Budget { panic("stub") }

// Begin counts an exchange.
func (b *Budget) Begin(now tick.Instant) { panic("stub") }

// Retry counts a retry and returns true, or returns false when the budget is spent.
func (b *Budget) Retry(now tick.Instant) bool { panic("stub") }
