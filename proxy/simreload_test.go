package proxy

import (
	"slices"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// simEra is one configuration and the time at which it began.
type simEra struct {
	since tick.Instant
	cfg   *config.Config
}

// reload loads another configuration into lb, and now and then sets a weight at run time.
func (s *sim) reload() {
	if place, weight := s.rng.IntN(len(s.poolOf)), s.rng.IntN(5); s.rng.IntN(3) == 0 && s.gone[place] == 0 {
		s.r.board.SetWeight(place, weight)
	}
	cfg, load := s.drawConfig(false), s.r.reload
	if s.rng.IntN(2) == 0 {
		cfg, load = s.otherMembers(cfg), s.r.change
	}
	s.r.l.Post(func() {
		s.checkRemoved()
		s.checkFreed()
		s.comeBack(cfg)
		s.eras = append(s.eras, simEra{s.r.k.Now(), cfg})
		for _, q := range s.r.p.now.pools {
			s.moved += q.room.Len()
		}
	})
	load(cfg)
	s.r.l.Post(func() { s.note(cfg) })
}

// otherMembers returns the newest configuration with the members that its pools have in drawn.
func (s *sim) otherMembers(drawn *config.Config) *config.Config {
	cfg := *s.r.snapshot.Config
	cfg.Pools = slices.Clone(cfg.Pools)
	for i := range cfg.Pools {
		if at := slices.IndexFunc(drawn.Pools, func(p config.Pool) bool { return p.Name == cfg.Pools[i].Name }); at >= 0 {
			cfg.Pools[i].Backends = drawn.Pools[at].Backends
		}
	}
	return &cfg
}

// note notes the facts that the checks of a new configuration need.
func (s *sim) note(cfg *config.Config) {
	s.removed, s.grace = make(map[int]uint64), make(map[int]int)
	for place, i := range s.poolOf {
		pool := s.in(cfg, i)
		if s.at(pool, place) == nil && s.gone[place] == 0 {
			s.gone[place] = s.r.p.now.number
		}
		switch b := s.at(pool, place); {
		case b != nil:
			s.grace[place] = max(s.working[place], int(s.r.board.InFlight(place)))
		case pool != nil: // if its pool is gone, running exchanges may still arrive there
			s.removed[place] = s.r.board.Backend(0, place).Attempts.Load()
		}
	}
}

// checkRemoved checks that no attempt began at a backend that a reload had removed.
func (s *sim) checkRemoved() {
	for place, before := range s.removed {
		if n := s.r.board.Backend(0, place).Attempts.Load() - before; n != 0 {
			s.errorf("%d attempts at backend %d since it was removed", n, place)
		}
	}
}

// simFreed is the board's state of an ID that may be another backend's by now.
type simFreed struct {
	state board.State
	slot  board.Backend
}

// comeBack prepares the backends that a new configuration has again.
func (s *sim) comeBack(cfg *config.Config) {
	for place, i := range s.poolOf {
		if s.gone[place] > 0 && s.at(s.in(cfg, i), place) != nil {
			s.r.board.ClearState(place)
			delete(s.gone, place)
			delete(s.freed, place)
		}
	}
}

// checkFreed checks that nothing was written at IDs that may be another backend's by now,
// and finds further such IDs. It ejects each for a moment, as the other backend might be.
func (s *sim) checkFreed() {
	b := s.r.board
	for place, by := range s.gone {
		now := simFreed{*b.State(place), *b.Backend(0, place)}
		if left, freed := s.freed[place]; freed && left != now {
			s.errorf("the board says of ID %d\n%+v\nnow; when it was free\n%+v", place, now, left)
		}
		if b.OldestConfig() >= by && b.InFlight(place) == 0 {
			b.State(place).EjectedUntil.Store(uint64(s.r.l.Now().Add(time.Millisecond)))
			b.Changed()
			s.freed[place] = simFreed{*b.State(place), *b.Backend(0, place)}
		}
	}
}

// in returns pool number i as cfg has it, or nil if cfg does not have it.
func (s *sim) in(cfg *config.Config, i int) *config.Pool {
	at := slices.IndexFunc(cfg.Pools, func(p config.Pool) bool { return p.Name == s.pools[i].Name })
	if at < 0 {
		return nil
	}
	return &cfg.Pools[at]
}

// at returns the backend at a place, or nil if pool does not have it. pool may be nil.
func (s *sim) at(pool *config.Pool, place int) *config.Backend {
	if pool == nil {
		return nil
	}
	at := slices.IndexFunc(pool.Backends, func(b config.Backend) bool { return rigAddr(b) == rigBackend(place) })
	if at < 0 {
		return nil
	}
	return &pool.Backends[at]
}

// limit returns how many requests a backend may serve at once, or 0 for any number. After a
// reload that lowered the limit or removed the backend, earlier requests may still run.
func (s *sim) limit(place int) int {
	b := s.at(s.in(s.eras[len(s.eras)-1].cfg, s.poolOf[place]), place)
	if b == nil || b.MaxConnections == 0 {
		return 0
	}
	if int(s.r.board.InFlight(place)) <= b.MaxConnections && s.working[place] <= b.MaxConnections {
		delete(s.grace, place)
	}
	return max(b.MaxConnections, s.grace[place])
}

// some reports whether f is true for a configuration in use since then.
func (s *sim) some(since tick.Instant, f func(cfg *config.Config) bool) bool {
	for i := len(s.eras) - 1; i >= 0; i-- {
		if f(s.eras[i].cfg) {
			return true
		}
		if s.eras[i].since < since {
			break
		}
	}
	return false
}

// routed returns the number of the pool that takes a request under cfg.
func (s *sim) routed(r *simRequest, cfg *config.Config) int {
	if s.in(cfg, r.pool) == nil {
		return 0
	}
	return r.pool
}

// mayServe reports whether a request may arrive at a place: the place is in the pool that
// takes the request, or was at some time since the request began.
func (s *sim) mayServe(r *simRequest, place int) bool {
	return s.some(r.begun, func(cfg *config.Config) bool { return s.routed(r, cfg) == s.poolOf[place] }) &&
		s.some(r.begun, func(cfg *config.Config) bool { return s.at(s.in(cfg, s.poolOf[place]), place) != nil })
}

// maySet reports whether an answer may set this number of cookies.
func (s *sim) maySet(r *simRequest, cookies int) bool {
	return s.some(r.begun, func(cfg *config.Config) bool {
		taker := s.routed(r, cfg)
		return s.some(r.begun, func(cfg *config.Config) bool {
			pool := s.in(cfg, taker)
			return pool != nil && (pool.Sticky != "") == (cookies == 1) && cookies <= 1
		})
	})
}
