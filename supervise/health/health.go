// Package health probes backends: the active checks of a machine, made once for
// each backend whatever the number of loops, by the process that runs them (mt)
// or the supervisor (mp). What it finds goes to the board, and each change of
// state to the log. It does not know who reads the board.
//
// # Why every probe has its own connection
//
// A kept connection would spare a handshake per interval, and go on saying that
// all is well when the backend's accept queue is full or its listener is gone,
// which is what new requests will meet. With intervals of seconds the price is
// nothing; a pool of thousands checked many times a second would change our mind.
package health

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// Addr is where a backend is: a network and an address, as net.Dial takes them.
type Addr struct{ Network, Address string }

// Options say what to check.
type Options struct {
	Config *config.Config
	Board  *board.Board
	Addrs  [][][]Addr // of every backend of every pool, in order of preference
	Log    *slog.Logger
	// Now is the clock of the board.
	Now func() tick.Instant
}

// Prober checks the backends of the pools that have checks, each on a goroutine
// of its own, so that none waits for another. Any goroutine may call its methods.
type Prober struct {
	cancel   context.CancelFunc
	running  sync.WaitGroup
	checkers map[[2]int]*checker // by pool and backend
}

// Start begins to check: the first probes are made at once, a little apart.
func Start(o Options) *Prober {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Prober{cancel: cancel, checkers: map[[2]int]*checker{}}
	id := 0
	var all []*checker
	for i := range o.Config.Pools {
		for j := range o.Config.Pools[i].Backends {
			if o.Config.Pools[i].Health.Type != "" {
				c := newChecker(&o, i, j, id)
				p.checkers[[2]int{i, j}] = c
				all = append(all, c)
			}
			id++ // as upstream numbers them
		}
	}
	for i, c := range all {
		p.running.Go(func() { c.run(ctx, first(i, len(all))) })
	}
	return p
}

// SetAddrs gives the next probes of a backend, by index, new addresses.
func (p *Prober) SetAddrs(pool, backend int, addrs []Addr) {
	if c := p.checkers[[2]int{pool, backend}]; c != nil {
		c.addrs.Store(&addrs)
	}
}

// Close ends the checks. What they last found stays on the board, which is not
// touched any more when Close returns.
func (p *Prober) Close() {
	p.cancel()
	p.running.Wait()
}

// checker checks one backend; it belongs to one goroutine, but for addrs.
type checker struct {
	cfg   *config.Health
	host  string // the Host field
	id    int    // its place on the board
	board *board.Board
	now   func() tick.Instant
	log   *slog.Logger // names the backend
	addrs atomic.Pointer[[]Addr]

	pace   pace
	streak streak
	ours   bool // the last probe failed for want of something of ours, and the log knows
}

func newChecker(o *Options, pool, backend, id int) *checker {
	p := &o.Config.Pools[pool]
	b := p.Backends[backend]
	c := &checker{
		cfg:   &p.Health,
		host:  hostOf(p.Health, b),
		id:    id,
		board: o.Board,
		now:   o.Now,
		log:   o.Log.With("pool", p.Name, "backend", b.String()),
		pace:  paceOf(p.Health),
		streak: streak{
			rise: p.Health.Rise,
			fall: p.Health.Fall,
			// Not always unknown: the board may be older than this process.
			health: board.Health(o.Board.State(id).Health.Load()),
		},
	}
	c.addrs.Store(&o.Addrs[pool][backend])
	return c
}

// hostOf returns the Host field of probes. A unix socket has no name of its own.
func hostOf(h config.Health, b config.Backend) string {
	switch {
	case h.Host != "":
		return h.Host
	case b.Socket != "":
		return "localhost"
	}
	return b.String()
}

// run probes until ctx is done.
func (c *checker) run(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := c.now()
		r := probe(ctx, c.cfg, c.host, *c.addrs.Load())
		if ctx.Err() != nil {
			return // it was ended by us, and has found nothing
		}
		now := c.now()
		c.note(r, now)
		timer.Reset(c.pace.next(c.streak.health, begun, rand.Float64()).Sub(now))
	}
}

// note judges a probe made at now: the board and the log hear of a change.
func (c *checker) note(r result, now tick.Instant) {
	if r.ours {
		if !c.ours {
			c.log.Warn("backend cannot be checked", "cause", r.cause)
		}
		c.ours = true
		return
	}
	c.ours = false
	if !c.streak.report(r.good, now) {
		return
	}
	c.board.SetHealth(c.id, c.streak.health, r.why, r.detail, int64(now))
	since := time.Now().Add(-now.Sub(c.streak.since))
	if r.good {
		c.log.Info("backend is up", "cause", r.cause, "since", since)
	} else {
		c.log.Warn("backend is down", "cause", r.cause, "since", since)
	}
}
