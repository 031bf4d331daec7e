// Package quota holds how many requests a route may have at once over all loops
// (requests_max), and has those wait that are more. It does not know what an exchange is.
package quota

import (
	"math"
	"strings"

	"lb/board"
	"lb/board/tally"
	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/record"
	"lb/proxy/waiting"
	"lb/upstream"
)

// Quota is that of one route in one loop. Its Room has the exchanges that wait, first come
// first served.
type Quota[X waiting.Waiter] struct {
	waiting.Room[X]
	set   *Set[X]
	key   uint64
	most  uint64
	shown int
}

// Enter counts an exchange, or returns false: there are as many as may be. Leave ends that,
// unless counted is false: there was no room to count it.
func (q *Quota[X]) Enter() (counted, ok bool) {
	switch q.set.tally.Enter(q.key, q.most) {
	case tally.Entered:
		return true, true
	case tally.Over:
		return false, false
	}
	q.set.counters.TallyFull.Add(1)
	return false, true
}

// Leave ends what Enter has counted, and wakes the exchange that waits for its place.
func (q *Quota[X]) Leave() {
	q.set.tally.Leave(q.key)
	q.Wake()
}

// Blocks reports whether others have waited for longer than x.
func (q *Quota[X]) Blocks(x X) bool {
	first, waits := q.First(false)
	return waits && any(first) != any(x)
}

// show puts on the board how many wait.
func (q *Quota[X]) show(n int, _ tick.Instant) {
	q.set.counters.RoutesWait.Add(uint64(n - q.shown))
	q.shown = n
}

// Set has the quotas of the routes of one loop, to which it belongs. A route keeps its quota
// in a reload as long as its conditions stay the same.
type Set[X waiting.Waiter] struct {
	loop     *loop.Loop
	counters *board.Loop
	tally    *tally.Tally
	keys     tally.Keys
	byKey    map[uint64]*Quota[X]
}

// Init prepares s for the loop l in a slot of b.
func (s *Set[X]) Init(l *loop.Loop, b *board.Board, slot int) {
	*s = Set[X]{loop: l, counters: b.Loop(slot), tally: tally.New(b, slot), keys: tally.NewKeys(b.Secret())}
}

// Use returns the quotas of routes, by index; one is nil without requests_max, and so is the
// list if none has it. Exchanges that wait for a quota that is gone go on.
func (s *Set[X]) Use(routes []config.Route) (list []*Quota[X]) {
	before := s.byKey
	s.byKey = nil
	for i := range routes {
		if routes[i].RequestsMax == 0 {
			continue
		}
		if list == nil {
			list, s.byKey = make([]*Quota[X], len(routes)), map[uint64]*Quota[X]{}
		}
		key := s.keys.Text(Identity(&routes[i]))
		q := before[key]
		if q == nil {
			q = &Quota[X]{set: s, key: key}
			q.Init(s.loop, q.show)
		}
		q.most = uint64(routes[i].RequestsMax)
		s.byKey[key], list[i] = q, q
		q.Wake()
	}
	for key, q := range before {
		if s.byKey[key] == nil {
			q.most = math.MaxUint64
			q.Wake()
		}
	}
	return list
}

// Identity returns the conditions of a route, by which it differs from others.
func Identity(r *config.Route) string {
	parts := []string{"route", r.Host, r.Path, r.Scheme}
	parts = append(parts, r.Methods...)
	for _, f := range r.Headers {
		parts = append(parts, f.Name+": "+f.Value)
	}
	return strings.Join(parts, "\n")
}

// Place is that of one exchange in the quota of its route. The zero value has none.
type Place[X waiting.Waiter] struct {
	q  *Quota[X]
	in bool
}

// Of makes p a place in q, which may be nil, that is not taken yet.
func (p *Place[X]) Of(q *Quota[X]) { p.q, p.in = q, false }

// Room returns where an exchange waits: for its place, or at its pool.
func (p *Place[X]) Room(pool *waiting.Room[X]) *waiting.Room[X] {
	if p.q != nil && !p.in {
		return &p.q.Room
	}
	return pool
}

// Missing reports whether the place has to be taken yet.
func (p *Place[X]) Missing() bool { return p.q != nil && !p.in }

// Enter takes the place, which is Missing, for x, or returns false: x has to wait. An exchange that waits for it,
// with its link l, does so no longer.
func (p *Place[X]) Enter(x X, l *upstream.WaitLink[X], waits *bool) bool {
	q := p.q
	if q.Blocks(x) {
		return false
	}
	counted, ok := q.Enter()
	if !ok {
		return false
	}
	if *waits {
		*waits = false
		q.Remove(l, false)
	}
	if p.in = true; !counted {
		p.q = nil
	}
	return true
}

// Leave gives the place back.
func (p *Place[X]) Leave() {
	if p.q != nil && p.in {
		p.q.Leave()
	}
	*p = Place[X]{}
}

// Crowded returns the fault of a wait that came to nothing.
func (p *Place[X]) Crowded() record.Fault {
	f := record.ByLB(record.CauseCrowded)
	if p.q != nil && !p.in {
		f.Detail = record.DetailRoute
	}
	return f
}
