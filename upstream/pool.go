// Package upstream is WHERE a request goes: one loop's view of the pools, their
// backends and idle lists, and the retry budget. It opens no socket and knows no
// clock; time is an argument. Everything belongs to one loop.
package upstream

import (
	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

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

	picker picker
}

// picker is one strategy and its state in this loop.
type picker interface {
	// pick returns the Index of a backend, one not in tried where there is one.
	// It does not allocate, and its cost does not grow with the pool.
	pick(tried *Tried, now tick.Instant) int
}

// newPicker returns the picker of cfg.Strategy, which config has checked. All
// strategies there are meet here.
func newPicker(cfg config.Pool, loop, loops int) picker {
	return newRoundRobin(cfg.Backends, loop, loops)
}

// NewPool returns the pool for loop number loop of loops: loops start staggered.
// firstID is the ID of its first backend; the board has a slot for all of them.
func NewPool[C any](cfg config.Pool, b *board.Board, firstID, loop, loops int) *Pool[C] {
	p := &Pool[C]{Name: cfg.Name, picker: newPicker(cfg, loop, loops)}
	for i, backend := range cfg.Backends {
		p.Backends = append(p.Backends, &Backend[C]{
			Index: i,
			ID:    firstID + i,
			Name:  backend.String(),
			Slot:  b.Backend(loop, firstID+i),
		})
	}
	return p
}

// Pick chooses a backend, one not in tried where there is one (all tried: any
// again). It returns nil only when the pool is empty. tried may be nil: none.
// Flat cost, no allocation.
func (p *Pool[C]) Pick(tried *Tried, now tick.Instant) *Backend[C] {
	if len(p.Backends) == 0 {
		return nil
	}
	return p.Backends[p.picker.pick(tried, now)]
}
