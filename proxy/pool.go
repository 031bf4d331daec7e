package proxy

import (
	"slices"
	"time"

	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/h1back"
	"lb/proxy/record"
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
	// waits are the exchanges for which every backend is full, first come first
	// served. Room that this loop makes goes to the first at once; for room that other
	// loops make, the first tries again now and then.
	waits upstream.WaitList[*exchange]
	// again are those that have tried a backend already. They wait for room at another
	// one, which is no reason for newcomers to wait.
	again upstream.WaitList[*exchange]
	look  loop.Timer
}

const (
	waitsMax  = 1 << 14              // exchanges that wait in one loop and pool
	lookEvery = 8 * time.Millisecond // for room that another loop has made
)

// newPool returns the pool of cfg with these targets, one for each backend.
func (p *Proxy) newPool(cfg *config.Pool, targets []*target, stickyKey []byte, at upstream.Seat) *pool {
	backends := make([]*upstream.Backend[*h1back.Conn], len(targets))
	for i, t := range targets {
		backends[i] = &t.Backend
	}
	q := &pool{p: p, cfg: cfg, targets: targets, streams: cfg.Protocol == config.ProtocolH2 || cfg.Protocol == config.ProtocolH2C,
		Pool: upstream.NewPool(*cfg, p.board, backends, at)}
	q.waits.Max, q.again.Max = waitsMax, waitsMax
	if cfg.Sticky != "" {
		q.UseSticky(stickyKey)
	}
	q.Seed(p.chance.Uint64())
	q.Notify(q.logRestored)
	return q
}

// isOf reports whether a pool made of cfg and these targets would be the same as q. What
// may be picked, and whose turn it is, depends on nothing else.
func (q *pool) isOf(cfg *config.Pool, targets []*target) bool {
	return slices.Equal(q.targets, targets) && q.cfg.Same(cfg)
}

// newest returns the pool that is in q's place now.
func (q *pool) newest() *pool {
	for q.successor != nil {
		q = q.successor
	}
	return q
}

// keepsClients reports whether it matters at which backend a request ends up.
func (q *pool) keepsClients() bool {
	return q.cfg.Sticky != "" || q.cfg.Strategy == config.HashOnKey
}

// logRestored logs that a backend is in use again. upstream reports that to one loop.
func (q *pool) logRestored(c upstream.Change) {
	q.p.log.Info("backend restored", "pool", q.Name, "backend", c.Name, "ejected_for", c.For)
}

// logEjected logs an ejection by a fault in phase ph.
func (q *pool) logEjected(c upstream.Change, detail uint64, ph record.Phase) {
	args := []any{"pool", q.Name, "backend", c.Name, "reason", c.Reason.String(), "phase", ph.String(),
		"count", c.Count, "for", c.For, "mend", "lb faults shows the requests; look at the backend"}
	if detail != 0 {
		args = append(args, "status", detail)
	}
	q.p.log.Warn("backend ejected", args...)
}

// wakeFirst has the first waiting exchange of each list try again at the next turn.
func (q *pool) wakeFirst() {
	waiting := false
	for _, list := range [...]*upstream.WaitList[*exchange]{&q.waits, &q.again} {
		if x, ok := list.First(); ok {
			x.front.Wake()
			waiting = true
		}
	}
	if waiting {
		q.p.loop.Arm(&q.look, q, q.p.loop.Now().Add(lookEvery))
	}
}

// queueOf returns the list that x waits in.
func (q *pool) queueOf(x *exchange) *upstream.WaitList[*exchange] {
	if x.tried.Len() > 0 {
		return &q.again
	}
	return &q.waits
}

// showWait puts on the board how many exchanges of this loop wait, and since when the first.
func (q *pool) showWait() {
	since := tick.Instant(0)
	for _, list := range [...]*upstream.WaitList[*exchange]{&q.waits, &q.again} {
		if x, ok := list.First(); ok && (since == 0 || x.since < since) {
			since = x.since
		}
	}
	q.ShowWait(q.waits.Len()+q.again.Len(), since)
}

// Expired is called by the loop when it is time to look for room again.
func (q *pool) Expired() { q.wakeFirst() }
