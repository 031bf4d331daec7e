// Package outlier ejects the backends of a pool that stand out: by the share of their answers
// that are 5xx (eject.error_rate), or by the time to their first byte against the median of
// the pool (eject.latency_factor). It looks at what all loops have counted on the board, so
// that no loop decides by the few requests that it has seen itself. An ejection is that of
// package upstream: of the same length, share of the pool and end. It does not know what runs
// the loops.
package outlier

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/supervise/plan"
	"lb/upstream"
)

// lookEvery is how often the board is read at most; each pool is read in parts of its window.
const lookEvery = 100 * time.Millisecond

// parts is in how many parts a window moves on.
const parts = 10

// Options say what to look at.
type Options struct {
	Board *board.Board
	View  func() *plan.Snapshot // the one in use; any goroutine calls it
	Log   *slog.Logger
	Now   func() tick.Instant // the clock of the board
}

// Outliers looks at a board until it is closed.
type Outliers struct {
	o     Options
	pools map[string]*pool

	stop context.CancelFunc
	done sync.WaitGroup
}

// pool is what was seen of one pool.
type pool struct {
	due      tick.Instant // when it is looked at next
	backends map[int]*course
}

// Start begins to look. The board has to stay until Close has returned.
func Start(o Options) *Outliers {
	w := New(o)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.done.Go(func() {
		every := time.NewTicker(lookEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				w.Look()
			case <-ctx.Done():
				return
			}
		}
	})
	return w
}

// New returns Outliers that Look alone has read the board.
func New(o Options) *Outliers { return &Outliers{o: o, pools: map[string]*pool{}} }

// Close ends the looking. It may be called again, and for nil.
func (w *Outliers) Close() {
	if w != nil {
		w.stop()
		w.done.Wait()
	}
}

// Look looks at the pools that are due, and ejects what stands out. Only one goroutine may
// call it.
func (w *Outliers) Look() {
	now, view := w.o.Now(), w.o.View()
	known := w.pools
	w.pools = map[string]*pool{}
	for i := range view.Config.Pools {
		cfg := &view.Config.Pools[i]
		if e := &cfg.Eject; !e.Enabled || e.ErrorRate == 0 && e.LatencyFactor == 0 {
			continue
		}
		p := known[cfg.Name]
		if p == nil {
			p = &pool{backends: map[int]*course{}}
		}
		w.pools[cfg.Name] = p
		if now >= p.due {
			p.due = now.Add(cfg.Eject.Window / parts)
			w.lookAt(p, cfg, view.IDs[i], now)
		}
	}
}

// lookAt reads what the backends of a pool have done, and ejects those that stand out.
func (w *Outliers) lookAt(p *pool, cfg *config.Pool, ids []int, now tick.Instant) {
	known := p.backends
	p.backends = make(map[int]*course, len(ids))
	all := make([]seen, len(ids))
	for j, id := range ids {
		name := cfg.Backends[j].String()
		c := known[id]
		if c == nil || c.name != name { // the ID had another owner
			c = &course{name: name}
		}
		p.backends[id] = c
		if w.o.Board.State(id).EjectedUntil.Load() != 0 {
			c.points = c.points[:0] // after its return, what it does then counts
			continue
		}
		all[j] = c.move(pointOf(w.o.Board, id, now), cfg.Eject.Window)
	}
	var up *upstream.Pool[struct{}] // to eject by; most looks need none
	for _, f := range judge(&cfg.Eject, all) {
		if up == nil {
			up = w.poolOf(cfg, ids)
		}
		c, ejected := up.Expel(f.index, upstream.Fault{Why: f.why, Detail: f.detail, Own: true}, now)
		if !ejected {
			continue
		}
		w.o.Log.Warn("backend ejected", "pool", cfg.Name, "backend", c.Name, "reason", c.Reason.String(),
			"cause", c.Reason.WordsWith(c.Detail), "answers", all[f.index].answers, "count", c.Count, "for", c.For,
			"mend", "look at the backend; [eject] says what an outlier is")
	}
}

// poolOf returns the pool as a loop would see it, for its rules of ejection alone.
func (w *Outliers) poolOf(cfg *config.Pool, ids []int) *upstream.Pool[struct{}] {
	plain := *cfg
	plain.Strategy = config.RoundRobin // nothing is picked, so no table needs to be filled
	backends := make([]*upstream.Backend[struct{}], len(ids))
	for j, id := range ids {
		backends[j] = upstream.NewBackend[struct{}](w.o.Board, 0, id, cfg.Backends[j].String())
	}
	up := upstream.NewPool(plain, w.o.Board, backends, upstream.Seat{Loops: 1})
	up.Notify(func(c upstream.Change) {
		w.o.Log.Info("backend restored", "pool", cfg.Name, "backend", c.Name, "ejected_for", c.For)
	})
	return up
}
