package proxy

import (
	"fmt"
	"slices"
	"time"

	"lb/board"
	"lb/config"
	"lb/config/logging"
	"lb/loop"
	"lb/proxy/back"
)

const (
	simPoolsMax = 3
	simPlaces   = 4 + 3*(simPoolsMax-1) // backends, at most
)

// simHost is the host whose requests are for a pool. The host of the pool "default" is in no
// route.
func simHost(pool int) string { return fmt.Sprintf("pool%d.example", pool) }

// drawPools draws all pools that configurations may have, with their backends. The number of
// a backend's place is its ID on the board.
func (s *sim) drawPools() {
	s.pools = rigConfig(1 + s.rng.IntN(4)).Pools
	for range s.pools[0].Backends {
		s.poolOf = append(s.poolOf, 0)
	}
	if s.rng.IntN(3) == 0 {
		s.pools[0].Protocol = config.ProtocolH2C
	}
	extra := s.rng.IntN(simPoolsMax)
	for i := 1; i <= extra; i++ {
		pool := config.NewPool(fmt.Sprintf("pool%d", i))
		if s.rng.IntN(2) == 0 {
			pool.Protocol = config.ProtocolH2C
		}
		for range 1 + s.rng.IntN(3) {
			pool.Backends = append(pool.Backends, config.Backend{Host: string(rune('a' + len(s.poolOf))), Port: 80})
			s.poolOf = append(s.poolOf, i)
		}
		s.pools = append(s.pools, pool)
	}
}

// drawConfig draws a configuration: its pools, with their strategies, limits and rules. The
// first one has all pools.
func (s *sim) drawConfig(first bool) *config.Config {
	cfg := config.Default()
	cfg.Via, cfg.RequestID = "lb", simIDField
	cfg.Tracing = logging.Tracing{Endpoint: "http://traces.example", Sample: .5}
	cfg.Pools = nil
	for i, pool := range s.pools {
		if !first && i > 0 && s.rng.IntN(4) == 0 {
			continue
		}
		pool.Backends = slices.Clone(pool.Backends)
		if !first {
			s.rng.Shuffle(len(pool.Backends), func(i, j int) {
				pool.Backends[i], pool.Backends[j] = pool.Backends[j], pool.Backends[i]
			})
			pool.Backends = pool.Backends[:1+s.rng.IntN(len(pool.Backends))]
		}
		s.drawPool(&pool)
		if i > 0 {
			cfg.Routes = append(cfg.Routes, config.Route{Host: simHost(i), Path: "/", Pool: len(cfg.Pools)})
		}
		cfg.Pools = append(cfg.Pools, pool)
	}
	cfg.Limits.HeaderBytes, cfg.Limits.Fields = 4<<10<<s.rng.IntN(7), 32<<s.rng.IntN(3)
	cfg.Retry.On.Reset, cfg.Retry.On.Status503 = s.rng.IntN(2) == 0, s.rng.IntN(2) == 0
	if s.rng.IntN(2) == 0 {
		cfg.Retry.Budget = 1
	}
	cfg.AbortOnClose = s.aborts
	if s.rough && s.rng.IntN(2) == 0 {
		cfg.Timeouts.Response = time.Duration(200+s.rng.IntN(1500)) * time.Millisecond
	}
	if !s.rough {
		cfg.Timeouts.Queue = time.Minute // a timeout would hide a forgotten exchange
	}
	return cfg
}

func (s *sim) drawPool(p *config.Pool) {
	strategies := config.Strategies()
	p.Strategy = strategies[s.rng.IntN(len(strategies))]
	if s.rng.IntN(2) == 0 {
		p.Hash = config.Hash{Key: config.KeyHeader, Name: "x-id", BalanceFactor: 1.5}
	}
	if s.rng.IntN(3) == 0 {
		p.Sticky = "at"
	}
	p.Reuse = []string{config.ReuseAlways, config.ReuseSafe, config.ReuseSafe, config.ReuseNever}[s.rng.IntN(4)]
	if s.rng.IntN(3) == 0 {
		p.SlowStart = time.Second
	}
	if s.rng.IntN(3) == 0 {
		p.Eject.OnStatus = []int{503}
	}
	p.Eject.Time = time.Duration(1+s.rng.IntN(1000)) * time.Millisecond
	p.Eject.MaxPercent, p.Eject.Faults = 50+50*s.rng.IntN(2), 1+s.rng.IntN(2)
	limited := s.rng.IntN(2) == 0
	for i := range p.Backends {
		p.Backends[i].Weight = 1 + s.rng.IntN(3)
		if limited {
			p.Backends[i].MaxConnections = 1 + s.rng.IntN(3)
		}
		p.Backends[i].Backup = i > 0 && s.rng.IntN(6) == 0
	}
}

// check makes the active checks find a backend up or down, if the backend still exists.
func (s *sim) check(place int, h board.Health) {
	if _, gone := s.gone[place]; gone {
		return
	}
	s.r.board.SetHealth(place, h, board.ReasonTimeout, 0, int64(s.r.l.Now()))
}

// begins notes that a backend is serving a request, and checks that this is not one too
// many: by lb's count and, if bytes take no time, by the backend's own. The second check
// comes after all bytes that have arrived by now have been read, because lb closes conns
// after its writes.
func (b *simBackend) begins() {
	s := b.s
	b.working = true
	s.working[b.place]++
	limit := s.limit(b.place)
	if limit == 0 {
		return
	}
	if n := s.r.board.InFlight(b.place); n > uint64(limit) {
		s.errorf("%d attempts at backend %d, want %d at most", n, b.place, limit)
	}
	if f := &s.r.k.Faults; f.Delay > 0 || s.faulty || s.r.l.StoodStill(s.r.l.Now().Add(-time.Millisecond)) {
		return // the end of the request before may arrive later than this one; a tunnel that a fault has half closed holds no place
	}
	s.r.k.After(0, func() {
		if n, limit := s.working[b.place], s.limit(b.place); limit > 0 && n > limit {
			s.errorf("backend %d has %d requests in work, want %d at most", b.place, n, limit)
		}
	})
}

// ends notes that the backend is done with the request, or that the conn is gone.
func (b *simBackend) ends() {
	if b.working {
		b.working = false
		b.s.working[b.place]--
	}
}

// freePlaces waits until nothing holds a place at a backend: some clients that count as done
// have left a request unfinished.
func (s *sim) freePlaces() {
	end := s.r.l.Now().Add(simEndTime)
	idle := func() bool {
		for i := range s.r.servers {
			if s.r.board.InFlight(i) > 0 {
				return false
			}
		}
		return true
	}
	s.r.k.Run(s.r.l, func() bool { return idle() || s.r.l.Now() > end }, 1_000_000)
	if !idle() {
		s.errorf("places are held at backends, long after all clients are done")
	}
}

// countWaits counts the waiting exchanges now and then, a good moment for a reload.
func (s *sim) countWaits() {
	waits := 0
	for _, q := range s.r.p.now.pools {
		waits += q.room.Len()
	}
	s.waits += waits
	s.checkFreed()
	s.checkStuck()
	if s.reloads && waits > 0 && s.rng.IntN(3) == 0 {
		s.reload()
	}
	if s.r.l.Now() < s.begun.Add(simFaultTime) {
		s.r.k.After(50*time.Millisecond, s.countWaits)
	}
}

// checkStuck checks that an exchange which may be asked elsewhere does not go on waiting at
// a backend that is out.
func (s *sim) checkStuck() {
	const most = 20 // times in a row: longer than watch.Every, however often events put it off
	before := s.stuck
	if s.looked == s.r.l.Now() { // the loop stands still
		return
	}
	s.looked = s.r.l.Now()
	s.stuck = make(map[*exchange]int)
	s.r.l.Each(func(h loop.Handler) {
		c, ok := h.(back.Carrier)
		if !ok {
			return
		}
		c.Each(func(o back.Owner) {
			x := o.(*exchange)
			if x.target == nil || !x.target.isOut() || x.phase != Wait || !x.idempotent || !x.up.Held || x.received > 0 || x.replied || !x.snap.cfg.Retry.On.Timeout && !x.snap.cfg.Retry.On.Reset ||
				x.rec.Attempts > x.snap.cfg.Retry.Attempts || !x.pool.Other(&x.tried, s.r.l.Now()) {
				return
			}
			if s.stuck[x] = before[x] + 1; s.stuck[x] > most {
				s.errorf("a request waits at %s, which is out", x.target.Name)
			}
		})
	})
}
