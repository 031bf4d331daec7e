package supervise

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/discover"
	"lb/supervise/supervisetest"
)

// fakeSource is a source that reports what the test sets.
type fakeSource struct{ lists chan []config.Backend }

func newFakeSource(first ...config.Backend) *fakeSource {
	s := &fakeSource{make(chan []config.Backend, 1)}
	s.lists <- first
	return s
}

// Run implements discover.Source.
func (s *fakeSource) Run(ctx context.Context, report func([]config.Backend, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case list := <-s.lists:
			report(list, nil)
		}
	}
}

// of is Options.Sources for one source.
func (s *fakeSource) of(config.Pool) (discover.Source, error) { return s, nil }

// farm is backends that all answer "well", each counting.
type farm struct {
	backends []config.Backend
	counts   []*atomic.Int64
}

func newFarm(t *testing.T, n int) *farm {
	f := &farm{}
	for range n {
		count := new(atomic.Int64)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			count.Add(1)
			w.Write([]byte("well"))
		}))
		t.Cleanup(s.Close)
		f.backends = append(f.backends, supervisetest.BackendsAt(t, s.URL)...)
		f.counts = append(f.counts, count)
	}
	return f
}

// some returns any of the backends but the last, in any order.
func (f *farm) some() (list []config.Backend) {
	for _, i := range rand.Perm(len(f.backends) - 1)[:1+rand.IntN(len(f.backends)-1)] {
		list = append(list, f.backends[i])
	}
	return list
}

// churn has s report other members until the configuration has gone on by n, and then the
// last of f alone. between is called after each change.
func (in *inside) churn(t *testing.T, s *fakeSource, f *farm, n uint64, between func()) {
	t.Helper()
	view := in.running.View
	for end := view().Number + n; view().Number < end; between() {
		had := view().Number
		testkit.Until(t, "another configuration", func() bool {
			select {
			case s.lists <- f.some():
			default:
			}
			return view().Number > had
		})
	}
	s.lists <- f.backends[len(f.backends)-1:]
	in.wantAlone(t, f)
}

// wantAlone waits until all loops have no member but the last of f.
func (in *inside) wantAlone(t *testing.T, f *farm) {
	t.Helper()
	last := f.backends[len(f.backends)-1].String()
	testkit.Until(t, "all loops to have the last members", func() bool {
		now := in.running.View()
		list := now.Config.Pools[0].Backends
		return len(list) == 1 && list[0].String() == last && in.running.Board.OldestConfig() == now.Number
	})
	testkit.Until(t, "no request to come to a backend that is no member", func() bool { // one may be on its way
		before := f.sum()
		for range 20 {
			supervisetest.Get(in.addr).Want(t, "well")
		}
		return f.sum() == before
	})
}

// sum returns the requests at all backends but the last.
func (f *farm) sum() (n int64) {
	for _, c := range f.counts[:len(f.counts)-1] {
		n += c.Load()
	}
	return n
}

// discovered has cfg take the members of its pool from a source alone.
func discovered(cfg *config.Config) *config.Config {
	cfg.Pools[0].Backends, cfg.Pools[0].Discover = nil, "file:///of/the/test"
	return cfg
}

// TestChurn: members that come and go lose no request, and all loops have the same in the
// end. What the file says stays the file's: a plan finds no change.
func TestChurn(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		f := newFarm(t, 6)
		s := newFakeSource(f.backends[0])
		in := serve(t, discovered(cfg), Options{Sources: s.of})
		stops := []func() int{supervisetest.Asking(t, in.addr, "well"), supervisetest.Asking(t, in.addr, "well")}
		in.churn(t, s, f, 6, func() {})
		for _, stop := range stops {
			if stop() == 0 {
				t.Error("no request was made")
			}
		}
		if r, err := in.control.Reload(true); err != nil || len(r.Changes) > 0 {
			t.Errorf("a plan finds %q, %v", r.Changes, err)
		}
		if got := in.control.Status().Pools[0].Backends; len(got) != 1 || got[0].Address != f.backends[5].String() {
			t.Errorf("status has %+v", got)
		}
	})
}

// TestReloadsInChurn: reloads between changes lose nothing of either.
func TestReloadsInChurn(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		f := newFarm(t, 4)
		s := newFakeSource(f.backends[0])
		cfg.Pools[0].Strategy, cfg.Pools[0].Hash.Key = config.HashOnKey, config.KeyClientIP // tables are made beside the loops
		in := serve(t, discovered(cfg), Options{Sources: s.of})
		stop := supervisetest.Asking(t, in.addr, "well")
		attempts := cfg.Retry.Attempts
		in.churn(t, s, f, 8, func() {
			attempts++
			in.next.Store(changed(cfg, func(c *config.Config) { c.Retry.Attempts = attempts }))
			testkit.Until(t, "a reload", func() bool {
				_, err := in.control.Reload(false)
				if err != nil {
					t.Log(err) // a loop may be too busy
				}
				return err == nil
			})
		})
		stop()
		if now := in.running.View(); now.Config.Retry.Attempts != attempts || now.Base.Retry.Attempts != attempts {
			t.Errorf("%d attempts, want those of the last reload, %d", now.Config.Retry.Attempts, attempts)
		}
	})
}

// TestWorkersKilledInChurn: the successor of a worker that was killed has the members of the
// moment, and gets those that come later.
func TestWorkersKilledInChurn(t *testing.T) {
	testkit.Long(t)
	cfg := discovered(supervisetest.Config(config.MP))
	f := newFarm(t, 4)
	s := newFakeSource(f.backends[0])
	in := serve(t, cfg, Options{Sources: s.of})
	kills := 0
	in.churn(t, s, f, 6, func() {
		if running, _ := in.running.Workers(); running == cfg.Workers && kills < 3 {
			kills++
			supervisetest.Kill(t, supervisetest.ChildrenOf(t, os.Getpid())[0], syscall.SIGKILL)
		}
	})
	if _, restarts := in.running.Workers(); kills == 0 || restarts == 0 {
		t.Errorf("%d kills, %d restarts", kills, restarts)
	}
	testkit.Until(t, "all workers to serve", func() bool { n, _ := in.running.Workers(); return n == cfg.Workers })
	in.wantAlone(t, f)
}

// TestHungWorkerInChurn: changes for a worker that takes none do not pile up, and it has
// the last members when it goes on.
func TestHungWorkerInChurn(t *testing.T) {
	testkit.Long(t)
	cfg := discovered(supervisetest.Config(config.MP))
	f := newFarm(t, 3)
	s := newFakeSource(f.backends[0])
	in := serve(t, cfg, Options{Sources: s.of})
	pid := supervisetest.ChildrenOf(t, os.Getpid())[0]
	supervisetest.Kill(t, pid, syscall.SIGSTOP)
	before, end := in.running.View().Number, time.Now().Add(4*time.Second)
	testkit.Until(t, "changes", func() bool {
		select {
		case s.lists <- f.some():
		default:
		}
		return in.running.View().Number > before+4 && time.Now().After(end)
	})
	s.lists <- f.backends[2:]
	supervisetest.Kill(t, pid, syscall.SIGCONT)
	in.wantAlone(t, f)
}

// TestUpgradeKeepsMembers: the new process begins with the members of the old one, although
// its source does not answer.
func TestUpgradeKeepsMembers(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		dir := t.TempDir()
		cfg.PIDFile, cfg.Admin.Socket = filepath.Join(dir, "lb.pid"), filepath.Join(dir, "lb.sock")
		f := newFarm(t, 2)
		s := newFakeSource(f.backends[1])
		in := serve(t, discovered(cfg), Options{Sources: s.of})
		in.set(t, f.backends[1].String(), api.Weight, 7)
		stop := supervisetest.Asking(t, in.addr, "well")
		upgradeTo(t, next{Config: cfg})
		in.upgraded(t)
		in.wantExit(t, 0)
		for range 5 {
			supervisetest.Get(in.addr).Want(t, "well")
		}
		stop()
	})
}

// noSource is a Source of none.
func noSource(config.Pool) (discover.Source, error) { return nil, errors.New("there is no source") }
