package upstream

import (
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// Backend is what one loop knows of one backend, in whatever pools and
// configurations it appears. C is the type of a backend conn.
type Backend[C any] struct {
	ID    int    // its number on the board
	Name  string // host:port, [v6]:port or unix:/path
	Slot  *board.Backend
	State *board.State
	Idle  IdleList[C]
	Gone  bool // no longer configured: its conns are not kept for reuse
}

// NewBackend returns the Backend for a loop in a slot of b. Slot and id must have
// been claimed on b.
func NewBackend[C any](b *board.Board, slot, id int, name string) *Backend[C] {
	return &Backend[C]{ID: id, Name: name, Slot: b.Backend(slot, id), State: b.State(id)}
}

// Pool is one pool of one configuration, as one loop sees it.
type Pool[C any] struct {
	Name     string
	Backends []*Backend[C] // by index

	roster roster
}

// Seat is a loop's place among all loops that pick from the same pool.
type Seat struct {
	Slot  int // the loop's slot on the board
	Loops int // how many loops are active
	Place int // which of them this is, from 0; each begins at another backend
}

// Ask is what an exchange wants of a pick. The zero value accepts any backend.
type Ask struct {
	Tried  *Tried // avoid these while there is another; may be nil
	Key    uint64 // Hash of what the pool hashes, or 0 if it hashes nothing
	Sticky []byte // value of the pool's cookie; may be empty
}

// Why is why Pick found no backend.
type Why uint8

const (
	// Picked: it found one.
	Picked Why = iota
	// Full: each usable backend has all the attempts that it may have. Waiting
	// helps.
	Full
	// Down: active checks say that all backends are down, or all that may be used.
	Down
	// Drained: no backend may get new exchanges.
	Drained
	// Empty: the pool has no backends.
	Empty
)

// NewPool returns the pool of cfg. backends holds one for each of cfg.Backends, in
// that order. The pool's random generator is seeded randomly; Seed makes it
// repeatable.
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

// ContinueFrom lets p, which replaces the pool before, start where before stopped.
// Without it, frequent reloads would keep a round_robin pool at its first backends, and hash
// pools would stand still for a table each time.
func (p *Pool[C]) ContinueFrom(before *Pool[C]) {
	now, isTurns := p.roster.picker.(*roundRobin)
	old, wasTurns := before.roster.picker.(*roundRobin)
	if isTurns && wasTurns && len(now.steps) > 0 && len(old.steps) > 0 {
		now.first = old.along(old.first, len(now.steps))
		now.retry = old.along(old.retry, len(now.steps))
	}
	if now, ok := p.roster.picker.(*hashing); ok {
		if old, ok := before.roster.picker.(*hashing); ok {
			now.goOn(old, &p.roster)
		}
	}
}

// Seed seeds the random generator, so that tests and simulations repeat.
func (p *Pool[C]) Seed(seed uint64) { p.roster.rand.Seed(seed, uint64(p.roster.at.Place)) }

// Notify sets f to be called for every backend whose ejection a Pick finds to be
// over, once over all loops. It runs inside Pick, on the loop, and must not pick.
func (p *Pool[C]) Notify(f func(Change)) { p.roster.notify = f }

// Pick chooses a backend, returns its index, and counts an attempt there, which
// Release must end. If there is no backend it returns why. It prefers backends that
// were not tried, even backups, and repeats one only after all have been tried. It
// never allocates. The cost is independent of the pool's size, except for
// least_conn and when the first choices are all full: then it searches the whole
// pool.
func (p *Pool[C]) Pick(ask Ask, now tick.Instant) (index int, why Why) {
	return p.roster.pick(ask, now)
}

// Release ends an attempt at a backend that Pick chose, from this pool or the one
// it replaced.
func (p *Pool[C]) Release(index int) {
	p.Backends[index].Slot.InFlight.Sub(1)
	p.roster.inFlight.released()
}

// Failed counts a fault of a backend at now; faults of the client or of lb itself
// do not belong here. It returns the change and true if this fault ejects the
// backend.
func (p *Pool[C]) Failed(index int, f Fault, now tick.Instant) (c Change, ejected bool) {
	return p.roster.failed(index, f, now)
}

// Expel ejects a backend at now for what f says it is, whatever its run of faults. It
// returns the change and true, unless the pool cannot do without the backend, or it is out.
func (p *Pool[C]) Expel(index int, f Fault, now tick.Instant) (c Change, ejected bool) {
	r := &p.roster
	r.refresh(now)
	if e := &r.entries[index]; !r.eject.Enabled || e.state.EjectedUntil.Load() != 0 || e.tier >= disabled {
		return c, false
	}
	return r.expel(index, f, now)
}

// Out reports whether a backend is down or ejected, and others take its place.
func (p *Pool[C]) Out(index int, now tick.Instant) bool {
	r := &p.roster
	r.refresh(now)
	t := r.entries[index].tier
	return len(r.open) > 0 && t != r.best && (t >= ejectedPrimary && t < draining || t == down)
}

// Other reports whether there is a backend for another attempt that is not in tried.
func (p *Pool[C]) Other(tried *Tried, now tick.Instant) bool {
	r := &p.roster
	r.refresh(now)
	for _, list := range [...][]int32{r.open, r.spare} {
		for _, i := range list {
			if !tried.Has(int(i)) {
				return true
			}
		}
	}
	return false
}

// Succeeded records at now that an attempt got a final response without fault. ttfb
// is the time to its first byte, or 0 if unknown, as when the response began before
// the request was complete.
func (p *Pool[C]) Succeeded(index int, ttfb time.Duration, now tick.Instant) {
	p.roster.succeeded(index)
	if ttfb <= 0 {
		return
	}
	if p.roster.timed {
		observe(p.Backends[index].State, ttfb, now)
	}
	if p.roster.eject.LatencyFactor > 0 {
		p.Backends[index].Slot.CountFirstByte(ttfb)
	}
}
