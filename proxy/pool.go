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
	look  loop.Timer
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
	q.waits.Max = waitsMax
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
	if c.Ejected {
		q.p.log.Warn("backend ejected", "pool", q.Name, "backend", c.Name, "reason", c.Reason.String(),
			"detail", c.Detail, "count", c.Count, "for", c.For)
		return
	}
	q.p.log.Info("backend restored", "pool", q.Name, "backend", c.Name, "ejected_for", c.For)
}

// failed notes a fault of t's.
func (q *pool) failed(t *target, why board.Reason, detail uint64) {
	if c, ejected := q.Failed(t.Backend, why, detail, q.p.loop.Now()); ejected {
		q.tell(c)
	}
}

// nudge has the first exchange that waits try again, at the next turn.
func (q *pool) nudge() {
	if x, _, ok := q.waits.First(); ok {
		x.client.Again()
		q.p.loop.Arm(&q.look, q, q.p.loop.Now().Add(lookEvery))
	}
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
