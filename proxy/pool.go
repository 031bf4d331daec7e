package proxy

import (
	"time"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/upstream"
)

// target is a backend as this loop's proxy sees it.
type target struct {
	*upstream.Backend[*backendConn]
	pool  *pool
	addrs []loop.Addr
	next  int  // the address to dial next, in turn
	bulky bool // its last response was longer than a small slab: read the next at once into a large one
}

// pool is a pool as this loop's proxy sees it.
type pool struct {
	*upstream.Pool[*backendConn]
	p       *Proxy
	cfg     *config.Pool
	targets []target // by Index
	// waits are the exchanges for which every backend is full, first come first
	// served. Room that this loop makes is given on at once; for that of other
	// loops the first is asked to try now and then.
	waits upstream.WaitList[*exchange]
	// again are those of them that have tried a backend already. They wait for
	// another one to have room, which is no reason for newcomers to wait.
	again upstream.WaitList[*exchange]
	look  loop.Timer

	board   *board.Board
	firstID int
	loop    int
	limited bool // a backend has max_connections
}

const (
	waitsMax  = 1 << 14              // exchanges that wait in one loop and pool
	lookEvery = 8 * time.Millisecond // for room that another loop has made
)

// newPool returns pool number i of the configuration; firstID is the ID of its
// first backend.
func (p *Proxy) newPool(o Options, i, firstID int) *pool {
	cfg := &o.Config.Pools[i]
	q := &pool{p: p, cfg: cfg, Pool: upstream.NewPool[*backendConn](*cfg, o.Board, firstID, o.LoopIndex, o.Loops)}
	q.waits.Max, q.again.Max = waitsMax, waitsMax
	q.board, q.firstID, q.loop = o.Board, firstID, o.LoopIndex
	for _, b := range cfg.Backends {
		q.limited = q.limited || b.MaxConnections > 0
	}
	if cfg.Sticky != "" {
		q.UseSticky(o.Board.Secret())
	}
	q.Notify(q.tell)
	for j, b := range q.Backends {
		q.targets = append(q.targets, target{Backend: b, pool: q, addrs: o.Addrs[i][j]})
	}
	return q
}

// keepsClients tells whether it matters at which backend a request ends up.
func (q *pool) keepsClients() bool {
	return q.cfg.Sticky != "" || q.cfg.Strategy == config.HashOnKey
}

// tell logs a change of a backend's state, which over all loops is told once.
func (q *pool) tell(c upstream.Change) {
	q.p.log.Info("backend restored", "pool", q.Name, "backend", c.Name, "ejected_for", c.For)
}

// failed notes a fault of t's, in phase ph.
func (q *pool) failed(t *target, why board.Reason, detail uint64, ph Phase) {
	c, ejected := q.Failed(t.Backend, why, detail, q.p.loop.Now())
	if !ejected {
		return
	}
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
			x.client.Again()
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
	since := uint64(0)
	for _, list := range [...]*upstream.WaitList[*exchange]{&q.waits, &q.again} {
		if x, ok := list.First(); ok && (since == 0 || uint64(x.since) < since) {
			since = uint64(x.since)
		}
	}
	q.Backends[0].Slot.WaitsSince.Set(since)
}

// yieldShare is the part of timeouts.queue by which an exchange of another loop
// must have waited longer to go first. There is no order between loops beyond
// that: room that is left to another loop lies idle until it looks.
const yieldShare = 16

// yields tells whether an exchange of another loop has waited so much longer
// than since that the room is left to it.
func (q *pool) yields(since tick.Instant) bool {
	if !q.limited {
		return false
	}
	longer := since.Sub(0) - q.p.cfg.Timeouts.Queue/yieldShare
	for i := range q.board.Loops() {
		if i == q.loop {
			continue
		}
		if w := q.board.Backend(i, q.firstID).WaitsSince.Load(); w != 0 && time.Duration(w) < longer {
			return true
		}
	}
	return false
}

// Expired is called by the loop when it is time to look for room again.
func (q *pool) Expired() { q.nudge() }

// eachTarget calls f for every backend of every pool.
func (p *Proxy) eachTarget(f func(t *target)) {
	for _, q := range p.pools {
		for i := range q.targets {
			f(&q.targets[i])
		}
	}
}

// idleLimit returns how long an idle conn to t may be used.
func (p *Proxy) idleLimit(t *upstream.Backend[*backendConn], now tick.Instant) time.Duration {
	return upstream.IdleTimeout(t.State, p.cfg.Timeouts.BackendIdle, now)
}
