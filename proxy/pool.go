package proxy

import (
	"slices"

	"lb/config"
	"lb/proxy/ejection"
	"lb/proxy/h1back"
	"lb/proxy/waiting"
	"lb/upstream"
)

// pool is a pool as this loop's proxy sees it. A reload that changes anything of it puts
// another one in its place: its successor.
type pool struct {
	*upstream.Pool[*h1back.Conn]
	p         *Proxy
	cfg       *config.Pool
	targets   []*target // by index
	series    int       // on the board, or -1
	streams   bool      // the backends speak HTTP/2 alone
	successor *pool     // or nil while it is in the present configuration, or if no pool of its name is
	room      waiting.Room[*exchange]
}

// newPool returns the pool of s at an index with these targets, one for each backend. It goes
// on where from, which may be nil, is. late says that a new table may come a moment later.
func (p *Proxy) newPool(s *Snapshot, i int, targets []*target, from *pool, late bool) *pool {
	cfg := &s.Config.Pools[i]
	backends := make([]*upstream.Backend[*h1back.Conn], len(targets))
	for i, t := range targets {
		backends[i] = &t.Backend
	}
	q := &pool{p: p, cfg: cfg, targets: targets, streams: cfg.Protocol == config.ProtocolH2 || cfg.Protocol == config.ProtocolH2C,
		Pool: upstream.NewPool(*cfg, p.board, backends, upstream.Seat{Slot: p.slot, Loops: max(1, s.Loops), Place: s.Place})}
	q.room.Init(p.loop, q.ShowWait)
	if cfg.Sticky != "" {
		q.UseSticky(p.stickyKey(s.Config))
	}
	if late && p.table != nil {
		q.TablesFrom(func(list []upstream.Share, take func(upstream.Table)) { p.table(q.Name, list, take) })
	}
	q.Seed(p.chance.Uint64())
	q.Notify(func(c upstream.Change) { ejection.Ended(p.log, q.Name, c) })
	if from != nil {
		q.ContinueFrom(from.Pool)
	}
	return q
}

// mayStream reports whether an attempt may be a stream of HTTP/2.
func (q *pool) mayStream() bool {
	return q.cfg.Protocol != "" && q.cfg.Protocol != config.ProtocolHTTP1
}

// isOf reports whether a pool made of cfg and these targets would be the same as q. What
// may be picked, and whose turn it is, depends on nothing else.
func (q *pool) isOf(cfg *config.Pool, targets []*target) bool {
	return slices.Equal(q.targets, targets) && q.cfg.Same(cfg)
}

// newest returns the pool that is in q's place now.
func (q *pool) newest() *pool {
	last := q
	for last.successor != nil {
		last = last.successor
	}
	if q != last {
		q.successor = last // a pool whose members change often has many
	}
	return last
}

// keepsClients reports whether it matters at which backend a request ends up.
func (q *pool) keepsClients() bool {
	return q.cfg.Sticky != "" || q.cfg.Strategy == config.HashOnKey
}
