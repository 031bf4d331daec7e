// Package health probes backends: the active checks of a machine, made once for each
// backend whatever the number of loops, by the process that runs them (mt) or by the
// supervisor (mp). It writes its findings to the board, and each change of state to the
// log. It does not know which loops read the board.
//
// # Why every probe has its own connection
//
// A kept connection would spare a handshake per interval, and would still say that all
// is well when the backend's accept queue is full or its listener is gone, which new
// requests will meet. With intervals of seconds the price is nothing; a pool of
// thousands that is checked many times a second would change our mind.
package health

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop/tick"
	"lb/upstream"
)

// location is where a backend is: a network and an address, as net.Dial takes them.
type location struct{ network, address string }

func locationOf(b config.Backend) location {
	if b.Socket != "" {
		return location{"unix", b.Socket}
	}
	return location{"tcp", b.String()}
}

// Options are what to check.
type Options struct {
	Config *config.Config
	// Secrets are what TLS to the backends needs beside Config; nil is like none. They have
	// been checked.
	Secrets *tlsconf.Secrets
	Board   *board.Board
	IDs     [][]int // on the board, of every backend of every pool
	Log     *slog.Logger
	// Now is the clock of the board.
	Now func() tick.Instant
	// Failed is called for each check that fails, with the host name of the backend, if it
	// has one; nil: it is not. Several goroutines call it at once.
	Failed func(name string)
}

// Prober checks the backends of the pools that have checks, each on a goroutine of its
// own, so that none waits for another. One goroutine at a time may call its methods.
type Prober struct {
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	checkers map[int]*checker // by ID
	tls      *tlsconf.Set     // for TLS to backends
}

// Start begins to check. The first probes are made at once, a little apart.
func Start(o Options) *Prober {
	p := &Prober{checkers: map[int]*checker{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.Update(o)
	return p
}

// Update checks what o says from now on. A backend whose check is the same goes on
// undisturbed, with its streak and its pace. One whose check has changed begins again
// from the health that it has. The health of one that is no longer checked is unknown.
// Board, Log and Now are those of Start. Once Update has returned, no goroutine touches
// the board for a backend that is not in o.
func (p *Prober) Update(o Options) {
	set, err := tlsconf.ForProbes(o.Config, o.Secrets)
	if err != nil {
		o.Log.Error("backends with TLS cannot be checked", "cause", err, "mend", "put the files of [backend_tls] in order again")
	}
	set.Keep(p.tls)
	p.tls = set
	old := p.checkers
	p.checkers = map[int]*checker{}
	var added []*checker
	for i := range o.Config.Pools {
		added = append(added, p.check(&o, i, old)...)
	}
	p.end(slices.Collect(maps.Values(old)))
	for i := range o.Config.Pools {
		p.forget(&o, i)
	}
	p.beginAll(added)
}

// Change is Update for an o in which nothing but the members of these pools has changed.
// gone are the IDs of those that have left.
func (p *Prober) Change(o Options, pools, gone []int) {
	if !p.tls.Covers(o.Config) {
		p.Update(o)
		return
	}
	var left []*checker
	for _, id := range gone {
		if c := p.checkers[id]; c != nil {
			left = append(left, c)
			delete(p.checkers, id)
		}
	}
	p.end(left)
	for _, i := range pools {
		old := map[int]*checker{}
		for _, id := range o.IDs[i] {
			if c := p.checkers[id]; c != nil {
				old[id] = c
			}
		}
		added := p.check(&o, i, old)
		p.end(slices.Collect(maps.Values(old)))
		p.forget(&o, i)
		p.beginAll(added)
	}
}

// check makes checkers for a pool of o, takes those over from old that check the same, and
// returns the new ones, which do not run yet.
func (p *Prober) check(o *Options, pool int, old map[int]*checker) (added []*checker) {
	if o.Config.Pools[pool].Health.Type == "" {
		return nil
	}
	for j := range o.Config.Pools[pool].Backends {
		id := o.IDs[pool][j]
		c := old[id]
		if c != nil && c.checks(&o.Config.Pools[pool], j) {
			delete(old, id)
		} else {
			c = newChecker(o, pool, j)
			added = append(added, c)
		}
		c.speak(p.tls, o.Config, pool, j)
		p.checkers[id] = c
	}
	return added
}

// end ends checkers, and returns when they have ended: another one may check the same
// backend next, or another backend get the ID.
func (p *Prober) end(list []*checker) {
	for _, c := range list {
		c.cancel()
	}
	for _, c := range list {
		<-c.ended
	}
}

func (p *Prober) beginAll(added []*checker) {
	for i, c := range added {
		c.streak.health = board.Health(c.board.State(c.id).Health.Load())
		p.begin(c, first(i, len(added)))
	}
}

// forget resets the health of the backends of a pool without checks: one that is down would
// never come up.
func (p *Prober) forget(o *Options, pool int) {
	if o.Config.Pools[pool].Health.Type != "" {
		return
	}
	for _, id := range o.IDs[pool] {
		o.Board.SetHealth(id, board.Unknown, board.ReasonNone, 0, int64(o.Now()))
	}
}

func (p *Prober) begin(c *checker, wait time.Duration) {
	ctx, cancel := context.WithCancel(p.ctx)
	c.cancel = cancel
	p.running.Go(func() {
		defer close(c.ended)
		defer cancel()
		c.run(ctx, wait)
	})
}

// Close ends the checks. Their last findings stay on the board, which no check touches
// any longer once Close has returned.
func (p *Prober) Close() {
	p.cancel()
	p.running.Wait()
}

// checker checks one backend. It belongs to one goroutine, except for tls, and
// pool and known, which are the prober's.
type checker struct {
	cfg   config.Health
	eject config.Eject
	name  string // of pool and backend, as the log has them
	host  string // the Host field
	isTLS bool
	proto string // of the pool
	id    int    // its place on the board
	board *board.Board
	now   func() tick.Instant
	fails func()       // called for each check that fails; or nil
	log   *slog.Logger // names the backend
	at    location
	tls   atomic.Pointer[tls.Config] // nil for plain
	pool  *tls.Config                // of which tls was made
	known string                     // name of the backend, for which tls was made

	cancel context.CancelFunc
	ended  chan struct{}

	pace   pace
	streak streak
	ours   bool // the last probe failed because this machine lacks something, which was logged
	stood  int  // probes in a row that do not count because this process stood still
}

// newChecker returns a checker for the backend at an index.
func newChecker(o *Options, pool, backend int) *checker {
	p := &o.Config.Pools[pool]
	b := p.Backends[backend]
	id := o.IDs[pool][backend]
	c := &checker{
		cfg:   checked(p.Health),
		eject: p.Eject,
		name:  nameOf(p, backend),
		host:  hostOf(p.Health, b),
		isTLS: b.TLS,
		proto: p.Protocol,
		id:    id,
		board: o.Board,
		now:   o.Now,
		log:   o.Log.With("pool", p.Name, "backend", b.String()),
		at:    locationOf(b),
		ended: make(chan struct{}),
		pace:  paceOf(p.Health),
		streak: streak{
			rise: p.Health.Rise,
			fall: p.Health.Fall,
			// Not always unknown, because the board may be older than this process.
			health: board.Health(o.Board.State(id).Health.Load()),
		},
	}
	if o.Failed != nil && b.Name != "" {
		c.fails = func() { o.Failed(b.Name) }
	}
	return c
}

// checked returns h without what follows from its checks.
func checked(h config.Health) config.Health {
	h.Panic, h.PanicPercent = "", 0
	return h
}

// checks reports whether c checks the backend of p at an index as p says.
func (c *checker) checks(p *config.Pool, backend int) bool {
	return reflect.DeepEqual(c.cfg, checked(p.Health)) && reflect.DeepEqual(c.eject, p.Eject) && c.name == nameOf(p, backend) &&
		c.host == hostOf(p.Health, p.Backends[backend]) && c.proto == p.Protocol && c.isTLS == p.Backends[backend].TLS
}

// speak has later probes go by set, for the backend at an index.
func (c *checker) speak(set *tlsconf.Set, cfg *config.Config, pool, backend int) {
	b := &cfg.Pools[pool].Backends[backend]
	if now := set.Pools[pool]; now != c.pool || b.Name != c.known {
		c.pool, c.known = now, b.Name
		c.tls.Store(tlsconf.ForBackend(now, *b))
	}
}

func nameOf(p *config.Pool, backend int) string { return p.Name + " " + p.Backends[backend].String() }

// hostOf returns the Host field of probes.
func hostOf(h config.Health, b config.Backend) string {
	if h.Host != "" {
		return h.Host
	}
	return b.HostField()
}

// run probes until ctx is done. It looks at the board at the pace of a backend that is
// down, and probes an ejected one at that pace, so that it is soon back.
func (c *checker) run(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var due tick.Instant
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := c.now()
		if begun < due && c.board.State(c.id).EjectedUntil.Load() == 0 {
			timer.Reset(min(due.Sub(begun), c.pace.down))
			continue
		}
		stop := watch(c.cfg.Timeout)
		r := probe(ctx, &c.cfg, c.host, c.proto, c.at, c.tls.Load())
		stood := stop()
		if ctx.Err() != nil {
			return // the probe was cancelled, and has found nothing
		}
		if c.again(r, stood) {
			timer.Reset(0)
			continue
		}
		now := c.now()
		c.note(r, now)
		if r.good {
			c.restore(begun, now)
		}
		due = c.pace.next(c.streak.health, begun, rand.Float64())
		timer.Reset(min(due.Sub(now), c.pace.down))
	}
}

// restore ends an ejection if a probe that has passed may do so.
func (c *checker) restore(begun, now tick.Instant) {
	if out, ended := upstream.Passed(c.board, c.id, &c.eject, begun, now); ended {
		c.log.Info("backend restored", "cause", "a check passes", "ejected_for", out)
	}
}

// again reports whether a probe does not count because this process stood still.
func (c *checker) again(r result, stood bool) bool {
	if r.good || !stood || c.stood == againMax {
		c.stood = 0
		return false
	}
	c.stood++
	return true
}

// note enters the result of a probe made at now. A change goes to the board and the log.
func (c *checker) note(r result, now tick.Instant) {
	if r.ours {
		if !c.ours {
			c.log.Warn("backend cannot be checked", "cause", r.cause, "mend", "raise the limit of descriptors, or free ports")
		}
		c.ours = true
		return
	}
	c.ours = false
	if !r.good && c.fails != nil {
		c.fails()
	}
	if !c.streak.report(r.good, now) {
		return
	}
	c.board.SetHealth(c.id, c.streak.health, r.why, r.detail, int64(now))
	since := time.Now().Add(-now.Sub(c.streak.since))
	if r.good {
		c.log.Info("backend is up", "cause", r.cause, "since", since)
	} else {
		c.log.Warn("backend is down", "cause", r.cause, "since", since, "mend", "it gets no requests until its check succeeds; look at the backend, or at [health]")
	}
}
