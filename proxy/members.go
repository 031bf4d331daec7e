package proxy

import (
	"lb/internal/tlsconf"
	"lb/proxy/record"
	"lb/upstream"
)

// Change gives the pools at these indexes the members that s has, which is all that is new
// in s. The present configuration stays, under another number: exchanges that have begun pick
// among the new members, too. What is known of backends that stay is kept, as in Reload.
func (p *Proxy) Change(s Snapshot, pools []int) {
	now := p.now
	now.cfg, now.number = s.Config, s.Number
	for _, i := range pools {
		p.changePool(&s, i)
	}
	for i, q := range now.pools {
		q.cfg = &now.cfg.Pools[i] // the old configuration is not kept alive
	}
	for i := range now.routes {
		if q := now.routes[i].pool; q != nil {
			now.routes[i].pool = q.newest()
		}
	}
	p.showOldest()
}

// changePool puts another pool in the place of the one at an index.
func (p *Proxy) changePool(s *Snapshot, i int) {
	from, targets := p.now.pools[i], p.membersOf(s, i)
	q := p.newPool(s, i, targets, from, true)
	from.successor = q
	stays := make(map[*target]bool, len(targets))
	for _, t := range targets {
		stays[t] = true
		p.targets[t.ID] = t
	}
	for _, t := range from.targets {
		if !stays[t] {
			if p.targets[t.ID] == t {
				delete(p.targets, t.ID)
			}
			t.leave()
		}
	}
	p.now.pools[i] = q
	q.use(s, i)
	q.setTLS(s.TLS, i)
	from.moveTo(q)
}

// membersOf returns the targets of the pool of s at an index: those that there are, and new
// ones.
func (p *Proxy) membersOf(s *Snapshot, i int) []*target {
	members := make([]*target, len(s.Config.Pools[i].Backends))
	for j, b := range s.Config.Pools[i].Backends {
		members[j] = p.targetOf(s.IDs[i][j], b)
	}
	return members
}

// use gives q and its targets their place in s.
func (q *pool) use(s *Snapshot, i int) {
	q.cfg, q.series = &s.Config.Pools[i], record.SeriesOf(s.Series, i)
	for j, t := range q.targets {
		t.pool, t.index = q, j
		t.place = record.PlaceOf(q.Name, t.Name, s.Series, s.BackendSeries, i, j)
		t.Use(q.cfg, j)
	}
}

// setTLS has new conns to the targets of q, which is at an index, go by set.
func (q *pool) setTLS(set *tlsconf.Set, i int) {
	for j, t := range q.targets {
		t.Manner.Set(set.OfPool(i), q.cfg.Backends[j])
	}
}

// moveTo has the exchanges that wait for room at q wait at next, which is in its place.
func (q *pool) moveTo(next *pool) {
	q.room.MoveTo(&next.room, func(x *exchange) (*upstream.WaitLink[*exchange], bool) {
		x.follow()
		return &x.wait, x.tried.Len() > 0
	})
}
