package proxy

import (
	"slices"
	"time"

	"lb/config"
	"lb/httpparse"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/proxy/admission"
	"lb/proxy/ratelimit"
	"lb/proxy/retry"
	"lb/proxy/rewrite"
	routing "lb/proxy/route"
	"lb/proxy/spread"
)

// Snapshot is one configuration, with the facts beside it that a loop needs. It must not
// be changed once a proxy has it.
type Snapshot struct {
	Config *config.Config
	Number uint64  // of the configuration; counts from 1
	IDs    [][]int // on the board, where they are claimed, by pool and backend
	Awaits bool    // the default pool is one, although it has no backend at the moment
	Loops  int     // how many are running
	Place  int     // of this one among them, from 0
	Slots  []int   // on the board, of all running loops, this one included
	// TLS is what the configuration needs of crypto/tls, or nil if it needs nothing.
	TLS *tlsconf.Set
	// Series are the numbers of the series of pools on the board, and BackendSeries those of
	// backends, by pool and backend; -1 is for none, and so is no list.
	Series        []int
	BackendSeries [][]int
}

// snapshot is a configuration as exchanges go by it. The present one is Proxy.now;
// others live as long as the exchanges that began on them.
type snapshot struct {
	cfg    *config.Config
	number uint64
	limits httpparse.Limits
	awaits bool   // Snapshot.Awaits
	trust  uint32 // numbers cfg.TrustedProxies, from 1: see front.Peer
	// guarded are the fields that its routes set or match, and those of tags.
	guarded *httpparse.Guarded
	tags    rewrite.Tags
	via     rewrite.Via
	strict  rewrite.Strict

	// These are needed for picking, and dropped when no exchange may pick any more: one
	// that is at its response, which may take days, goes by cfg and limits alone.
	pools  []*pool
	routes []route
	router *routing.Router // nil without routes
	rates  *ratelimit.Set  // nil without rate limits

	picking int // exchanges that began on it and may still pick a backend
}

// newSnapshot prepares a configuration, with its targets by ID. It takes over the parts
// of the present one that stay the same, and changes nothing of it.
func (p *Proxy) newSnapshot(o Snapshot) (s *snapshot, targets map[int]*target) {
	cfg := o.Config
	s = &snapshot{cfg: cfg, number: o.Number, awaits: o.Awaits, trust: 1, via: rewrite.NewVia(cfg.Via), strict: rewrite.NewStrict(cfg.TLS.HSTS), tags: rewrite.NewTags(cfg), limits: httpparse.Limits{
		HeadBytes:   cfg.Limits.HeaderBytes,
		Fields:      cfg.Limits.Fields,
		TargetBytes: cfg.Limits.TargetBytes,
	}}
	before := p.poolsByName()
	sameKey := p.now != nil && p.now.cfg.StickyKey == cfg.StickyKey
	targets = make(map[int]*target)
	for i := range cfg.Pools {
		members := p.membersOf(&o, i)
		for _, t := range members {
			targets[t.ID] = t
		}
		from := before[cfg.Pools[i].Name]
		if from != nil && sameKey && from.isOf(&cfg.Pools[i], members) {
			s.pools = append(s.pools, from)
			continue
		}
		s.pools = append(s.pools, p.newPool(&o, i, members, from, false))
	}
	s.newRoutes(p.now)
	s.rates = ratelimit.New(cfg, p.board, p.slot)
	return s, targets
}

// targetOf returns the target with that ID, or a new one if the ID is not in use.
func (p *Proxy) targetOf(id int, b config.Backend) *target {
	if t := p.targets[id]; t != nil && t.Name == b.String() {
		return t
	}
	t := new(target)
	t.Init(p.board, p.slot, id, b.String(), loop.Addr{IP: b.Addr(), Path: b.Socket})
	return t
}

// stickyKey returns the key that the values of sticky cookies are made with.
func (p *Proxy) stickyKey(cfg *config.Config) []byte {
	if cfg.StickyKey != "" {
		return []byte(cfg.StickyKey)
	}
	return p.secret
}

// poolsByName returns the pools of the present configuration, and those of earlier ones
// that are no longer in it and may still be picked from.
func (p *Proxy) poolsByName() map[string]*pool {
	all := make(map[string]*pool)
	add := func(s *snapshot) {
		for _, q := range s.pools {
			all[q.Name] = q.newest()
		}
	}
	for _, s := range p.past {
		add(s)
	}
	if p.now != nil {
		add(p.now)
	}
	return all
}

// Reload makes s the configuration from now on. Exchanges that have begun end on the one
// that they began on, except that they pick backends from the pool as it is now, if
// there still is one of its name. Client conns stay, and so do conns to the backends
// that stay, idle ones included.
func (p *Proxy) Reload(s Snapshot) {
	next, targets := p.newSnapshot(s)
	old, before := p.now, p.poolsByName()
	for _, q := range next.pools {
		if from := before[q.Name]; from != nil && from != q {
			from.successor = q
		}
	}
	p.eachTarget(func(t *target) {
		if targets[t.ID] != t {
			t.leave()
		}
	})
	p.now, p.targets = next, targets
	p.use(s)
	for _, q := range next.pools {
		if from := before[q.Name]; from != nil && from != q {
			from.moveTo(q)
		}
	}
	if next.trust = old.trust; !slices.Equal(old.cfg.TrustedProxies, next.cfg.TrustedProxies) {
		next.trust++
	}
	if a, b := &old.cfg.Retry, &next.cfg.Retry; a.Budget != b.Budget || a.BudgetMin != b.BudgetMin {
		p.budget = retry.NewBudget(&next.cfg.Retry)
	}
	p.arena.Grow(admission.LargeBytes(next.cfg))
	if old.picking > 0 {
		p.past = append(p.past, old)
	} else {
		old.end()
	}
	p.showOldest()
}

// use tells every pool and target its place in the present configuration.
func (p *Proxy) use(s Snapshot) {
	for i, q := range p.now.pools {
		q.use(&s, i)
	}
	for i, q := range p.quotas.Use(p.now.cfg.Routes) {
		p.now.routes[i].quota = q
	}
	p.backs.Use(p.now.cfg, &p.now.limits)
	p.SetTLS(s.TLS)
	p.clients.Use(p.now.cfg, spread.New(p.board, p.slot, s.Slots))
}

// SetTLS makes set, which may be nil, that of new conns. Those that there are stay, but for
// idle ones to backends that would be made in another manner now.
func (p *Proxy) SetTLS(set *tlsconf.Set) {
	p.clients.SetTLS(set)
	for i, q := range p.now.pools {
		q.setTLS(set, i)
	}
}

// eachTarget calls f for every backend of the present configuration.
func (p *Proxy) eachTarget(f func(t *target)) {
	for _, q := range p.now.pools {
		for _, t := range q.targets {
			f(t)
		}
	}
}

// end drops the parts that only picking needs.
func (s *snapshot) end() { s.pools, s.routes, s.router = nil, nil, nil }

// showOldest puts the oldest configuration from which this loop may still pick on the
// board.
func (p *Proxy) showOldest() {
	oldest := p.now.number
	switch {
	case p.shared.Draining && p.shared.Clients == 0:
		oldest = 0
	case len(p.past) > 0:
		oldest = p.past[0].number
	}
	p.counters.OldestConfig.Set(oldest)
}

// Limits implements front.Lease.
func (s *snapshot) Limits() *httpparse.Limits { return &s.limits }

// HeadTimeout implements front.Lease.
func (s *snapshot) HeadTimeout() time.Duration { return s.cfg.Timeouts.ClientHeader }

// settle notes that x will not pick a backend any more. It may be called again.
func (x *exchange) settle() {
	if !x.picks {
		return
	}
	x.picks, x.pool, x.route = false, nil, nil
	x.p.picked(x.snap)
}

// picked notes that one exchange, or a lease, less may pick a backend by s.
func (p *Proxy) picked(s *snapshot) {
	if s.picking--; s.picking == 0 && s != p.now {
		s.end()
		p.past = slices.DeleteFunc(p.past, func(old *snapshot) bool { return old == s })
		p.showOldest()
	}
}

// follow moves x, which is about to pick, to the pool that has taken the place of its own.
func (x *exchange) follow() {
	old := x.pool
	x.pool = old.newest()
	if old.cfg.Sticky != x.pool.cfg.Sticky {
		x.stickyLen = 0 // that was another cookie
	}
	if x.tried.Len() == 0 {
		return
	}
	var tried []*target
	for i, t := range old.targets {
		if x.tried.Has(i) {
			tried = append(tried, t)
		}
	}
	x.tried.Reset()
	for _, t := range tried {
		if t.pool == x.pool {
			x.tried.Add(t.index)
		}
	}
}
