// Package upstream is WHERE a request goes: one loop's view of the routes, the
// pools, their backends and idle lists, the rules of health, and the retry
// budget. It opens no socket and knows no clock; time is an argument. What is
// not on the board belongs to one loop.
//
// A Pool is of one configuration and does not change. What a reload must not
// lose is in the Backend, which the pools of the old and the new configuration
// share, and on the board. A pool knows its backends by index, their place in its
// list; the board by ID, which stays the same as long as the backend is in the
// configuration, and of which a pool may have any, in any order.
package upstream

import (
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// Backend is what one loop knows of one backend, whatever pools of whatever
// configurations it is in. C is the type of a backend conn.
type Backend[C any] struct {
	ID    int    // the backend's place on the board
	Name  string // host:port, [v6]:port or unix:/path
	Slot  *board.Backend
	State *board.State
	Idle  IdleList[C]
	Gone  bool // no longer in the configuration: no conn of it is kept for reuse
}

// NewBackend returns what a loop that begins in a slot of b knows of the backend
// with that ID, both of which are claimed.
func NewBackend[C any](b *board.Board, slot, id int, name string) *Backend[C] {
	return &Backend[C]{ID: id, Name: name, Slot: b.Backend(slot, id), State: b.State(id)}
}

// Pool is one pool of one configuration as one loop sees it.
type Pool[C any] struct {
	Name     string
	Backends []*Backend[C] // by index

	roster roster
}

// Seat is where among all loops a pool picks.
type Seat struct {
	Slot  int // of the loop on the board
	Loops int // how many are at work
	Place int // which of them it is, from 0: they begin staggered
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

// NewPool returns the pool of cfg with these backends, one for each of
// cfg.Backends, in that order. Chance has a seed that nobody knows, see Seed.
func NewPool[C any](cfg config.Pool, b *board.Board, backends []*Backend[C], at Seat) *Pool[C] {
	p := &Pool[C]{Name: cfg.Name, Backends: backends}
	members := make([]member, len(backends))
	for i, m := range backends {
		members[i] = member{id: m.ID, name: m.Name, slot: m.Slot, state: m.State}
	}
	p.roster.init(cfg, b, members, at)
	p.Seed(rand.Uint64())
	return p
}

// GoOn has p, which comes in the place of another pool, begin where that has got
// to: with round_robin, of which a change that comes often would else be forever
// at the beginning.
func (p *Pool[C]) GoOn(before *Pool[C]) {
	now, isTurns := p.roster.picker.(*roundRobin)
	old, wasTurns := before.roster.picker.(*roundRobin)
	if isTurns && wasTurns && len(now.steps) > 0 && len(old.steps) > 0 {
		now.first = old.along(old.first, len(now.steps))
		now.retry = old.along(old.retry, len(now.steps))
	}
}

// Seed makes what is left to chance repeat itself, for tests and simulation.
func (p *Pool[C]) Seed(seed uint64) { p.roster.rand.Seed(seed, uint64(p.roster.at.Place)) }

// Notify has f called, on the loop, for every backend that a Pick finds to be
// back from its ejection: once over all loops. It is called inside Pick, and
// must not pick.
func (p *Pool[C]) Notify(f func(Change)) { p.roster.notify = f }

// Pick chooses a backend, of which it returns the index, and counts an attempt at
// it, which Release ends. If there is none it says why.
//
// Of what may be used it is one that was not tried, even a backup; when all have
// been tried, any again. Flat cost but for the strategy least_conn, and no
// allocation; only when the first backends that it comes upon are all full does
// it go through the whole pool for one that is not.
func (p *Pool[C]) Pick(ask Ask, now tick.Instant) (index int, why Why) {
	return p.roster.pick(ask, now)
}

// Release ends an attempt at a backend that Pick chose, of this pool or of the
// one in whose place it has come.
func (p *Pool[C]) Release(index int) {
	p.Backends[index].Slot.InFlight.Sub(1)
	p.roster.inFlight.released()
}

// Failed notes at now that an attempt ended in a fault of the backend's: not
// one of the client's or of lb's own. It returns true and the change if this
// one ejects the backend.
func (p *Pool[C]) Failed(index int, why board.Reason, detail uint64, now tick.Instant) (c Change, ejected bool) {
	return p.roster.failed(index, why, detail, now)
}

// Succeeded notes at now that an attempt got a final response that is no fault,
// whose first byte came after ttfb; 0: that says nothing about it, as when it came
// before the request was whole.
func (p *Pool[C]) Succeeded(index int, ttfb time.Duration, now tick.Instant) {
	p.roster.succeeded(index)
	if p.roster.timed && ttfb > 0 {
		observe(p.Backends[index].State, ttfb, now)
	}
}
