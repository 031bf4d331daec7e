// Package ratestore lets several machines count a rate limit together. Loops take tokens from
// the buckets of their own board and note which; every 100 ms this package adds up the notes,
// takes as many tokens from the same buckets in a store, Redis or what speaks its protocol,
// and empties those of the board as far as those in the store are. So no request waits for
// the store, and where it is away, each machine counts alone. It runs in the supervisor.
package ratestore

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lb/admin/api"
	"lb/board/buckets"
	"lb/config"
)

// Board is what this package needs of a board.
type Board interface {
	Buckets() *buckets.Area
	Loops() int
}

// Options say where the buckets are.
type Options struct {
	Board Board
	Now   func() int64 // the clock of the board
	Log   *slog.Logger
}

// Stores are the stores of a configuration. Any goroutine may call the methods.
type Stores struct {
	o Options

	mu     sync.Mutex
	stores map[string]*store // by URL
	limits map[int]*limit    // by number on the board
	copied []buckets.Note    // memory of gather

	stop context.CancelFunc
	done sync.WaitGroup
}

// limit is a limit with a store.
type limit struct {
	name        string
	every, most int64 // as access.RateLimit.Fill has it
	store       *store
}

// every is how often the notes are read, and the stores asked.
const every = 100 * time.Millisecond

// New returns stores that follow nothing yet.
func New(o Options) *Stores {
	redis.SetLogger(quiet{}) // what it says is about conns; errors come to us
	s := &Stores{o: o, stores: map[string]*store{}, limits: map[int]*limit{}}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done.Go(func() { s.run(ctx) })
	return s
}

// quiet is a logger that says nothing.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Close ends all, after one more look at the notes. A nil *Stores has nothing to end.
func (s *Stores) Close() {
	if s == nil {
		return
	}
	s.stop()
	s.done.Wait()
	for _, st := range s.stores {
		st.close()
	}
}

// Follow makes the limits of cfg those that are counted from now on.
func (s *Stores) Follow(cfg *config.Config) {
	s.mu.Lock()
	left := maps.Clone(s.stores)
	clear(s.limits)
	for i := range cfg.RateLimits {
		l := &cfg.RateLimits[i]
		if l.Store == "" {
			continue
		}
		st := s.stores[l.Store]
		if st == nil {
			st = newStore(s, l.Store)
			s.stores[l.Store] = st
		}
		delete(left, l.Store)
		every, most := l.Fill()
		s.limits[s.o.Board.Buckets().Limit(l.Name)] = &limit{l.Name, every, most, st}
	}
	for url := range left {
		delete(s.stores, url)
	}
	s.mu.Unlock()
	for _, st := range left {
		st.close()
	}
}

// run reads the notes until ctx is done.
func (s *Stores) run(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.gather()
		}
	}
}

// gather hands what was noted to the stores.
func (s *Stores) gather() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.limits) == 0 {
		return // nothing is noted
	}
	area := s.o.Board.Buckets()
	for i := range s.o.Board.Loops() {
		s.copied = area.Notes(i).Read(s.copied, func(n buckets.Note) {
			if l := s.limits[n.Limit]; l != nil {
				l.store.add(l, n.Key)
			}
		})
	}
	for _, st := range s.stores {
		st.wake()
	}
}

// Limits returns the rate limits of cfg, what they have counted, and how it stands with their
// stores. A nil *Stores has none.
func (s *Stores) Limits(cfg *config.Config) (all []api.RateLimit) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	area := s.o.Board.Buckets()
	for i := range cfg.RateLimits {
		l := &cfg.RateLimits[i]
		n := area.Totals(area.Limit(l.Name), s.o.Board.Loops())
		one := api.RateLimit{Name: l.Name, Key: l.KeyText(), Rate: l.Rate.String(), Burst: l.Burst, DryRun: l.DryRun,
			Passed: n.Passed, Limited: n.Refused, Spared: n.Spared}
		if st := s.stores[l.Store]; st != nil {
			st.show(&one)
		}
		all = append(all, one)
	}
	return all
}

// Lost returns how many notes found no room on the board.
func (s *Stores) Lost() (n uint64) {
	area := s.o.Board.Buckets()
	for i := range s.o.Board.Loops() {
		n += area.Notes(i).Lost()
	}
	return n
}
