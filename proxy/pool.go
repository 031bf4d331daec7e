package proxy

import (
	"reflect"
	"slices"
	"time"

	"lb/config"
	"lb/loop"
	"lb/upstream"
)

// pool is a pool as this loop's proxy sees it. A reload that changes nothing of it
// leaves it alone, else another one comes in its place: its successor.
type pool struct {
	*upstream.Pool[*backendConn]
	p         *Proxy
	cfg       *config.Pool
	targets   []*target // by index
	successor *pool     // nil: it is in the present configuration, or none of its name is
	// waits are the exchanges for which every backend is full, first come first
	// served. Room that this loop makes is given on at once; for that of other
	// loops the first is asked to try now and then.
	waits upstream.WaitList[*exchange]
	// again are those of them that have tried a backend already. They wait for
	// another one to have room, which is no reason for newcomers to wait.
	again upstream.WaitList[*exchange]
	look  loop.Timer

	limited bool // a backend has max_connections
}

const (
	waitsMax  = 1 << 14              // exchanges that wait in one loop and pool
	lookEvery = 8 * time.Millisecond // for room that another loop has made
)

// newPool returns the pool of cfg with these targets, one for each backend.
func (p *Proxy) newPool(cfg *config.Pool, targets []*target, stickyKey []byte, at upstream.Seat) *pool {
	backends := make([]*upstream.Backend[*backendConn], len(targets))
	for i, t := range targets {
		backends[i] = &t.Backend
	}
	q := &pool{p: p, cfg: cfg, targets: targets, Pool: upstream.NewPool(*cfg, p.board, backends, at)}
	q.waits.Max, q.again.Max = waitsMax, waitsMax
	for _, b := range cfg.Backends {
		q.limited = q.limited || b.MaxConnections > 0
	}
	if cfg.Sticky != "" {
		q.UseSticky(stickyKey)
	}
	q.Seed(p.chance.Uint64())
	q.Notify(q.tell)
	return q
}

// isOf reports whether q is what a pool of cfg with these targets would be. Who may
// be picked, and whose turn it is, follows from nothing else.
func (q *pool) isOf(cfg *config.Pool, targets []*target) bool {
	if !slices.Equal(q.targets, targets) || !slices.Equal(q.cfg.Backends, cfg.Backends) {
		return false
	}
	a, b := *q.cfg, *cfg
	a.Backends, b.Backends = nil, nil
	return reflect.DeepEqual(a, b)
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

// tell logs a change of a backend's state, which over all loops is told once.
func (q *pool) tell(c upstream.Change) {
	q.p.log.Info("backend restored", "pool", q.Name, "backend", c.Name, "ejected_for", c.For)
}

// tellEjected logs an ejection by a fault in phase ph.
func (q *pool) tellEjected(c upstream.Change, detail uint64, ph Phase) {
	args := []any{"pool", q.Name, "backend", c.Name, "reason", c.Reason.String(), "phase", ph.String(),
		"count", c.Count, "for", c.For}
	if detail != 0 {
		args = append(args, "status", detail)
	}
	q.p.log.Warn("backend ejected", args...)
}

// nudge has the first exchanges that wait try again, at the next turn.
func (q *pool) nudge() {
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

// showWait puts on the board since when the first of this loop waits.
func (q *pool) showWait() {
	if len(q.targets) == 0 {
		return // nobody waits where there is nothing to wait for
	}
	since := uint64(0)
	for _, list := range [...]*upstream.WaitList[*exchange]{&q.waits, &q.again} {
		if x, ok := list.First(); ok && (since == 0 || uint64(x.since) < since) {
			since = uint64(x.since)
		}
	}
	q.targets[0].Slot.WaitsSince.Set(since)
}

// yieldShare is the part of timeouts.queue by which an exchange of another loop
// must have waited longer to go first. There is no order between loops beyond
// that: room that is left to another loop lies idle until it looks.
const yieldShare = 16

// yields reports whether an exchange of another loop has waited so much longer
// than x that the room is left to it.
func (q *pool) yields(x *exchange) bool {
	if !q.limited {
		return false
	}
	b, first := q.p.board, q.targets[0].ID
	longer := x.since.Sub(0) - x.snap.cfg.Timeouts.Queue/yieldShare
	for i := range b.Loops() {
		if i == q.p.slot {
			continue
		}
		if w := b.Backend(i, first).WaitsSince.Load(); w != 0 && time.Duration(w) < longer {
			return true
		}
	}
	return false
}

// Expired is called by the loop when it is time to look for room again.
func (q *pool) Expired() { q.nudge() }
