package upstream

import (
	"math"
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// roster is the backends of a pool as far as picking goes: which may be picked
// now, what each of them weighs, and the strategy. What follows from the states
// on the board is worked out when the board's version changes and not at each
// pick, so a pick costs the same however many backends are out.
type roster struct {
	board     *board.Board
	at        Seat
	entries   []entry
	eject     config.Eject
	slowStart time.Duration
	timed     bool // the strategy goes by the time to first byte
	picker    picker
	sticky    stickyTable
	inFlight  inFlight
	rand      rand.PCG
	notify    func(Change) // may be nil

	version uint64       // of the board, that what follows is worked out from
	weights uint64       // counts the changes of weights
	until   tick.Instant // when time alone changes something: an ejection is over
	ramping tick.Instant // until then some backend is in slow start
	best    tier         // of those that are open; draining or worse: none is
	open    []int32      // index of those that may be picked, in order
	spare   []int32      // backups that come in when all of open have been tried
	why     Why          // when open is empty
	turn    int          // where the next search through open begins
}

// member is a backend without its conns.
type member struct {
	id    int
	name  string
	slot  *board.Backend
	state *board.State
}

// entry is one backend of a roster.
type entry struct {
	member
	weight    uint64 // what it weighs now
	given     uint64 // by the configuration
	limit     uint64 // attempts over all loops; 0: any
	drain     bool
	backup    bool
	tier      tier
	recovered tick.Instant // 0: not in slow start
}

// tier is how good a backend is: a roster opens the best that there are.
type tier uint8

const (
	primary tier = iota
	backup
	ejectedPrimary // if all others are out: faults alone never empty a pool
	ejectedBackup
	draining // gets nothing new, but what is sticky goes on
	disabled // not even that
	down
	tiers
)

// picker is one strategy and its state in this loop. None of it allocates once
// it is made.
type picker interface {
	// renew is called when r.open may have changed, which is not empty, or, as
	// r.weights tells, weights have.
	renew(r *roster)
	// next returns the index of an open backend, or pass: try again; or none: it
	// knows that all those that were not tried are full.
	next(r *roster, d draw) int
}

const (
	pass = -1
	none = -2
)

// draw is what a picker is told of the pick.
type draw struct {
	tried *Tried
	again bool // something was tried before
	try   int  // counts the calls for one pick
	key   uint64
	now   tick.Instant
}

// lookAhead is how many choices of the strategy are looked at before the pool is
// searched through: those before may be tried, or full.
const lookAhead = 32

const never = tick.Instant(math.MaxInt64)

func (r *roster) init(cfg config.Pool, b *board.Board, members []member, at Seat) {
	*r = roster{
		board: b, at: at,
		eject: cfg.Eject, slowStart: cfg.SlowStart, timed: cfg.Strategy == config.LeastTime,
		open: make([]int32, 0, len(cfg.Backends)), spare: make([]int32, 0, len(cfg.Backends)),
	}
	for i, backend := range cfg.Backends {
		e := entry{
			member: members[i], given: uint64(max(1, backend.Weight)),
			limit: uint64(max(0, backend.MaxConnections)), drain: backend.Drain, backup: backend.Backup,
		}
		e.weigh()
		r.entries = append(r.entries, e)
	}
	r.picker = newPicker(cfg, r)
}

// newPicker returns the picker of cfg.Strategy, which config has checked. All
// strategies there are meet here.
func newPicker(cfg config.Pool, r *roster) picker {
	n := len(r.entries)
	switch cfg.Strategy {
	case config.Random:
		return &random{newSampler(n)}
	case config.LeastConn:
		return newLeastConn(n, r.at)
	case config.P2C:
		return &p2c{newSampler(n)}
	case config.LeastTime:
		return &leastTime{sampler: newSampler(n)}
	case config.HashOnKey:
		return newHashing(cfg, r)
	}
	return newRoundRobin(r.entries, r.at)
}

// look makes r true at now.
func (r *roster) look(now tick.Instant) {
	if now >= r.until || r.board.Version() != r.version {
		r.renew(now)
	}
}

// renew works out again what may be picked, and restores those whose ejection is
// over.
func (r *roster) renew(now tick.Instant) {
	r.version = r.board.Version() // before the states: what changes now is seen the next time
	r.until, r.ramping = never, 0
	var count [tiers]int
	weighed := false
	for i := range r.entries {
		e := &r.entries[i]
		weighed = e.weigh() || weighed
		e.tier = r.tierOf(i, now)
		e.recovered = 0
		if at := tick.Instant(e.state.RecoveredAt.Load()); r.slowStart > 0 && at > 0 && now.Sub(at) < r.slowStart {
			e.recovered = at
			r.ramping = max(r.ramping, at.Add(r.slowStart))
		}
		count[e.tier]++
	}
	if weighed {
		r.weights++
	}
	r.best = primary
	for r.best < draining && count[r.best] == 0 {
		r.best++
	}
	r.open, r.spare = r.open[:0], r.spare[:0]
	for i := range r.entries {
		switch t := r.entries[i].tier; {
		case t == r.best && t < draining:
			r.open = append(r.open, int32(i))
		case t == backup:
			r.spare = append(r.spare, int32(i))
		}
	}
	switch {
	case len(r.open) > 0:
		r.picker.renew(r)
	case len(r.entries) == 0:
		r.why = Empty
	case count[down] > 0:
		r.why = Down
	default:
		r.why = Drained
	}
}

// weigh makes weight what the backend weighs now, and returns true if that is
// another than before.
func (e *entry) weigh() (changed bool) {
	weight := e.given
	if w := e.state.WeightOverride.Load(); w != 0 {
		weight = w
	}
	changed = weight != e.weight
	e.weight = weight
	return changed
}

func (r *roster) tierOf(i int, now tick.Instant) tier {
	e := &r.entries[i]
	ejected := r.isEjected(i, now)
	admin := board.Admin(e.state.Admin.Load())
	switch winding := e.drain || admin == board.Draining; {
	case board.Health(e.state.Health.Load()) == board.Down:
		return down
	case admin == board.Disabled, winding && ejected:
		return disabled
	case winding:
		return draining
	case e.backup && ejected:
		return ejectedBackup
	case e.backup:
		return backup
	case ejected:
		return ejectedPrimary
	}
	return primary
}

// isEjected reports whether a backend is ejected, and restores it when that is over.
func (r *roster) isEjected(i int, now tick.Instant) bool {
	until := tick.Instant(r.entries[i].state.EjectedUntil.Load())
	if until > now {
		r.until = min(r.until, until)
		return true
	}
	if until != 0 {
		r.restore(i, until, now)
	}
	return false
}

// pick returns the index of a backend, at which it has counted an attempt.
func (r *roster) pick(ask Ask, now tick.Instant) (index int, why Why) {
	r.look(now)
	if len(ask.Sticky) > 0 {
		if i, ok := r.sticky.find(ask.Sticky); ok && r.stays(i) && !ask.Tried.Has(i) && r.reserve(i) {
			return i, Picked
		}
	}
	if len(r.open) == 0 {
		return none, r.why
	}
	d := draw{tried: ask.Tried, again: ask.Tried.Len() > 0, key: ask.Key, now: now}
	if d.tried.Len() >= len(r.entries) {
		d.tried = nil
	}
	for d.try = range lookAhead {
		i := r.picker.next(r, d)
		if i == none {
			break
		}
		if i != pass && !d.tried.Has(i) && r.reserve(i) {
			return i, Picked
		}
	}
	return r.search(d.tried)
}

// stays reports whether a client that was at a backend before may go on there.
func (r *roster) stays(i int) bool {
	return r.entries[i].tier == draining || r.isOpen(i)
}

// isOpen reports whether a backend may be picked.
func (r *roster) isOpen(i int) bool { return r.entries[i].tier == r.best && r.best < draining }

// search goes through all that are open for one that was not tried and has room,
// then through the backups, and at last takes any that was tried. One that is
// full is waited for: it is not out, so that backups would come in, and better
// than one that has just failed.
func (r *roster) search(tried *Tried) (index int, why Why) {
	for _, list := range [...][]int32{r.open, r.spare} {
		full := false
		for range list {
			r.turn++
			i := int(list[r.turn%len(list)])
			if tried.Has(i) {
				continue
			}
			if r.reserve(i) {
				return i, Picked
			}
			full = true
		}
		if full {
			return none, Full
		}
	}
	return r.search(nil)
}

// reserve counts an attempt at a backend, false if it is full.
func (r *roster) reserve(i int) bool {
	e := &r.entries[i]
	if e.limit == 0 {
		e.slot.InFlight.Add(1)
	} else if !r.board.Reserve(r.at.Slot, e.id, e.limit) {
		return false
	}
	r.inFlight.taken()
	return true
}

// load returns the attempts at work at a backend, over all loops.
func (r *roster) load(i int) uint64 { return r.board.InFlight(r.entries[i].id) }
