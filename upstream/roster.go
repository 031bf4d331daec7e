package upstream

import (
	"math"
	"math/rand/v2"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/upstream/usable"
)

// roster is the backends of a pool as picking sees them: which may be picked now,
// what each weighs, and the strategy. It is recomputed when the board's version
// changes and not at each pick, so a pick costs the same however many backends are
// out.
type roster struct {
	board     *board.Board
	at        Seat
	entries   []entry
	eject     config.Eject
	health    config.Health
	slowStart time.Duration
	timed     bool // the strategy uses the time to first byte
	limited   bool // a backend has a limit
	picker    picker
	sticky    stickyTable
	inFlight  inFlight
	rand      rand.PCG
	notify    func(Change) // may be nil
	dry       bool         // a copy for Peek: it writes nothing that others see

	version uint64       // version of the board that the fields below were computed from
	weights uint64       // counts changes of weights
	until   tick.Instant // when time alone changes something: an ejection ends
	ramping tick.Instant // until then at least one backend is in slow start
	best    tier         // tier of the open backends; draining or above: none is open
	open    []int32      // indexes of those that may be picked, in order
	spare   []int32      // backups, used when all of open have been tried
	why     Why          // valid if open is empty
	panics  bool         // so many are down that all count as up
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
	weight    uint64 // in use now
	given     uint64 // configured
	limit     uint64 // attempts over all loops; 0: no limit
	drain     bool
	backup    bool
	tier      tier
	recovered tick.Instant // 0: not in slow start
}

// tier ranks backends. A roster opens only its best tier that is not empty.
type tier uint8

const (
	primary tier = iota
	backup
	ejectedPrimary // used if all better ones are out: faults alone never empty a pool
	ejectedBackup
	draining // nothing new, but sticky clients may go on
	disabled // not even those
	down
	tiers
)

// picker is one strategy with its state in this loop. It allocates only when it is
// made.
type picker interface {
	// renew is called when r.open (never empty here) or, if r.weights changed, the
	// weights may have changed.
	renew(r *roster)
	// next returns the index of an open backend; or pass, to be called again; or
	// none, if it knows that all untried backends are full.
	next(r *roster, d draw) int
	// copy returns a picker that goes on as this one would, and shares nothing with it
	// that either changes.
	copy() picker
}

const (
	pass = -1
	none = -2
)

// draw is what a picker knows about the pick.
type draw struct {
	tried *Tried
	again bool // the exchange has tried a backend before
	try   int  // counts the calls of next for one pick
	key   uint64
	now   tick.Instant
}

// lookAhead is how often the strategy may choose a backend that is tried or full
// before the whole pool is searched.
const lookAhead = 32

const never = tick.Instant(math.MaxInt64)

func (r *roster) init(cfg config.Pool, b *board.Board, members []member, at Seat) {
	*r = roster{
		board: b, at: at,
		eject: cfg.Eject, health: cfg.Health, slowStart: cfg.SlowStart, timed: cfg.Strategy == config.LeastTime,
		entries: make([]entry, 0, len(cfg.Backends)),
		open:    make([]int32, 0, len(cfg.Backends)), spare: make([]int32, 0, len(cfg.Backends)),
	}
	for i, backend := range cfg.Backends {
		e := entry{
			member: members[i], given: uint64(max(1, backend.Weight)),
			limit: uint64(max(0, backend.MaxConnections)), drain: backend.Drain, backup: backend.Backup,
		}
		e.weigh()
		r.limited = r.limited || e.limit > 0
		r.entries = append(r.entries, e)
	}
	r.picker = newPicker(cfg, r)
}

// newPicker returns the picker for cfg.Strategy, which config has checked. Every
// strategy is listed here.
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

// refresh recomputes what may be picked if the board changed or an ejection ended.
func (r *roster) refresh(now tick.Instant) {
	if now >= r.until || r.board.Version() != r.version {
		r.renew(now)
	}
}

// renew recomputes what may be picked, and restores backends whose ejection is
// over.
func (r *roster) renew(now tick.Instant) {
	r.version = r.board.Version() // read before the states: a change during renew is seen next time
	r.until, r.ramping = never, 0
	r.panics = r.failsOpen()
	count := r.rank(now, true)
	if r.best >= draining && count[draining] > 0 {
		count = r.rank(now, false) // no backend may leave as the last one
	}
	weighed := false
	for i := range r.entries { // after rank, which restores
		e := &r.entries[i]
		weighed = e.weigh() || weighed
		e.recovered = 0
		if at := tick.Instant(e.state.RecoveredAt.Load()); r.slowStart > 0 && at > 0 && now.Sub(at) < r.slowStart {
			e.recovered = at
			r.ramping = max(r.ramping, at.Add(r.slowStart))
		}
	}
	if weighed {
		r.weights++
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

// rank gives every backend its tier, finds the best, and returns how many are in each. With
// wishes, those that ask for no new clients get none.
func (r *roster) rank(now tick.Instant, wishes bool) (count [tiers]int) {
	for i := range r.entries {
		r.entries[i].tier = r.tierOf(i, now, wishes)
		count[r.entries[i].tier]++
	}
	r.best = primary
	for r.best < draining && count[r.best] == 0 {
		r.best++
	}
	return count
}

// failsOpen reports whether so many backends are down that all count as up.
func (r *roster) failsOpen() bool {
	if !usable.FailsOpen(&r.health, 1, 1) { // however many
		return false
	}
	down, all := 0, 0
	for i := range r.entries {
		e := &r.entries[i]
		if e.drain || board.Admin(e.state.Admin.Load()) != board.Enabled {
			continue
		}
		all++
		if board.Health(e.state.Health.Load()) == board.Down {
			down++
		}
	}
	return usable.FailsOpen(&r.health, down, all)
}

// weigh updates weight and returns true if it changed.
func (e *entry) weigh() (changed bool) {
	weight := e.given
	if w := e.state.WeightOverride.Load(); w != 0 {
		weight = w
	}
	changed = weight != e.weight
	e.weight = weight
	return changed
}

func (r *roster) tierOf(i int, now tick.Instant, wishes bool) tier {
	e := &r.entries[i]
	ejected := r.isEjected(i, now)
	admin := board.Admin(e.state.Admin.Load())
	switch winding := e.drain || admin == board.Draining || wishes && r.isLeaving(e, now); {
	case board.Health(e.state.Health.Load()) == board.Down && !r.panics:
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

// isEjected reports whether a backend is ejected, and restores it if its time is
// over.
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

// pick returns the index of a backend after counting an attempt there.
func (r *roster) pick(ask Ask, now tick.Instant) (index int, why Why) {
	r.refresh(now)
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

// stays reports whether a client with a sticky cookie may go on at this backend.
func (r *roster) stays(i int) bool {
	return r.entries[i].tier == draining || r.isOpen(i)
}

// isOpen reports whether a backend may be picked.
func (r *roster) isOpen(i int) bool { return r.entries[i].tier == r.best && r.best < draining }

// search looks for an untried backend with room among the open ones, then among the
// backups, then for any tried one. If it finds only full ones the exchange waits:
// full is not down, so no backup takes over, and waiting beats a backend that just
// failed.
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

// reserve counts an attempt at a backend, or returns false if the backend is full.
func (r *roster) reserve(i int) bool {
	e := &r.entries[i]
	if r.dry {
		return !e.fullAt(r.load(i))
	}
	if e.limit == 0 {
		e.slot.InFlight.Add(1)
	} else if !r.board.Reserve(r.at.Slot, e.id, e.limit) {
		return false
	}
	r.inFlight.taken()
	return true
}

// load returns the active attempts at a backend, over all loops.
func (r *roster) load(i int) uint64 { return r.board.InFlight(r.entries[i].id) }
