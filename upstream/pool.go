// Package upstream is WHERE a request goes: one loop's view of the routes, the
// pools, their backends and idle lists, the rules of health, and the retry
// budget. It opens no socket and knows no clock; time is an argument. What is
// not on the board belongs to one loop.
package upstream

import (
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// Backend is one backend as one loop sees it. C is the type of a backend conn.
type Backend[C any] struct {
	Index  int    // in its pool
	ID     int    // over all pools; the backend's place on the board
	Name   string // host:port, [v6]:port or unix:/path
	Sticky string // value of the cookie that leads back here; "" before UseSticky
	Slot   *board.Backend
	State  *board.State
	Idle   IdleList[C]
}

// Pool is one pool as one loop sees it.
type Pool[C any] struct {
	Name     string
	Backends []*Backend[C]

	roster roster
}

// Ask is what an exchange asks of a pick. The zero value asks for any backend.
type Ask struct {
	Tried  *Tried // not one of these, if there is another; nil: none
	Key    uint64 // Hash of what the pool hashes; 0: none
	Sticky []byte // value of the pool's cookie; empty: none
}

// Why says why there is no backend for a request.
type Why uint8

const (
	// Picked: there is one.
	Picked Why = iota
	// Full: each has as many attempts as it may have; it is worth waiting.
	Full
	// Down: active checks say that none works, or none that may be used.
	Down
	// Drained: none may get anything new.
	Drained
	// Empty: the pool has no backends.
	Empty
)

// NewPool returns the pool for loop number loop of loops: loops start staggered.
// firstID is the ID of its first backend; the board has a slot for all of them.
// Chance has a seed that nobody knows, see Seed.
func NewPool[C any](cfg config.Pool, b *board.Board, firstID, loop, loops int) *Pool[C] {
	p := &Pool[C]{Name: cfg.Name}
	for i, backend := range cfg.Backends {
		p.Backends = append(p.Backends, &Backend[C]{
			Index: i,
			ID:    firstID + i,
			Name:  backend.String(),
			Slot:  b.Backend(loop, firstID+i),
			State: b.State(firstID + i),
		})
	}
	p.roster.init(cfg, b, firstID, loop, loops)
	p.Seed(rand.Uint64())
	return p
}

// Seed makes what is left to chance repeat itself, for tests and simulation.
func (p *Pool[C]) Seed(seed uint64) { p.roster.rand.Seed(seed, uint64(p.roster.loop)) }

// Notify has f called, on the loop, for every backend that a Pick finds to be
// back from its ejection: once over all loops. It is called inside Pick, and
// must not pick.
func (p *Pool[C]) Notify(f func(Change)) { p.roster.notify = f }

// Pick chooses a backend and counts an attempt at it, which Release ends. It
// returns nil and why when there is none.
//
// Of what may be used it is one that was not tried, even a backup; when all have
// been tried, any again. Flat cost but for the strategy least_conn, and no
// allocation; only when the first backends that it comes upon are all full does
// it go through the whole pool for one that is not.
func (p *Pool[C]) Pick(ask Ask, now tick.Instant) (*Backend[C], Why) {
	i, why := p.roster.pick(ask, now)
	if why != Picked {
		return nil, why
	}
	return p.Backends[i], Picked
}

// Release ends an attempt at a backend that Pick chose.
func (p *Pool[C]) Release(b *Backend[C]) {
	b.Slot.InFlight.Sub(1)
	p.roster.inFlight.released()
}

// Failed notes at now that an attempt ended in a fault of the backend's: not
// one of the client's or of lb's own. It returns true and the change if this
// one ejects the backend.
func (p *Pool[C]) Failed(b *Backend[C], why board.Reason, detail uint64, now tick.Instant) (c Change, ejected bool) {
	return p.roster.failed(b.Index, why, detail, now)
}

// Succeeded notes at now that an attempt got a final response that is no fault,
// whose first byte came after ttfb; 0: that
// says nothing about it, as when it came before the request was whole.
func (p *Pool[C]) Succeeded(b *Backend[C], ttfb time.Duration, now tick.Instant) {
	p.roster.succeeded(b.Index)
	if p.roster.timed && ttfb > 0 {
		observe(b.State, ttfb, now)
	}
}
