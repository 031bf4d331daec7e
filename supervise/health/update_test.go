package health

import (
	"runtime"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

// update changes the pool of r that has checks, by a copy.
func (r *rig) update(set func(p *config.Pool)) {
	pools := append([]config.Pool(nil), r.o.Config.Pools...)
	set(&pools[1])
	r.o.Config = &config.Config{Pools: pools}
	r.Update(r.o)
}

// A backend whose checks stay keeps its streak, whatever else changes and however often.
func TestUpdateKeepsStreaks(t *testing.T) {
	testkit.Long(t)
	status, probes, addrs := turning(t)
	status.Store(503)
	r := start(t, func(h *config.Health) { h.Fall, h.IntervalDown = 4, time.Second }, addrs)
	testkit.Until(t, "down", func() bool {
		r.update(func(*config.Pool) {})
		return r.health(1) == board.Down
	})
	if n := probes.Load(); n != 4 {
		t.Errorf("down after %d bad probes, want 4", n)
	}
}

// An Update makes no additional probe.
func TestUpdateKeepsPace(t *testing.T) {
	_, probes, addrs := turning(t)
	_, others, other := turning(t)
	r := start(t, func(h *config.Health) { h.Interval = time.Hour }, addrs)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	for range 20 {
		r.update(func(*config.Pool) {})
	}
	// A new backend is probed after all the updates.
	r.o.IDs = [][]int{{0}, {2, 1}}
	r.update(func(p *config.Pool) {
		p.Backends = []config.Backend{backendAt(other), p.Backends[0]}
	})
	testkit.Until(t, "the new one to be up", func() bool { return r.health(2) == board.Up })
	if n := probes.Load(); n != 1 {
		t.Errorf("%d probes, want the first only", n)
	}
	if n := others.Load(); n != 1 {
		t.Errorf("%d probes of the new one, want 1", n)
	}
}

// A backend that is no longer checked is neither probed nor down.
func TestUpdateWithoutChecks(t *testing.T) {
	status, probes, addrs := turning(t)
	status.Store(503)
	r := start(t, func(h *config.Health) { h.Fall, h.IntervalDown = 1, time.Hour }, addrs)
	testkit.Until(t, "down", func() bool { return r.health(1) == board.Down })
	version := r.board.Version()
	r.update(func(p *config.Pool) { p.Health.Type = "" })
	if h := r.health(1); h != board.Unknown {
		t.Errorf("without checks it is %v, want unknown", h)
	}
	if r.board.Version() == version {
		t.Error("the loops are not told")
	}
	before := probes.Load()
	if len(r.checkers) != 0 {
		t.Errorf("%d checkers", len(r.checkers))
	}
	r.update(func(p *config.Pool) { p.Health.Type = config.CheckHTTP })
	testkit.Until(t, "down again", func() bool { return r.health(1) == board.Down })
	if n := probes.Load(); n != before+1 {
		t.Errorf("%d probes after those of the first checks, want 1", n-before)
	}
}

// Other settings count from the present health.
func TestUpdateSettings(t *testing.T) {
	status, _, addrs := turning(t)
	r := start(t, func(h *config.Health) { h.Interval = time.Hour }, addrs)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	status.Store(404)
	r.update(func(p *config.Pool) { p.Health.Interval, p.Health.Fall = 20*time.Millisecond, 2 })
	if h := r.health(1); h != board.Up {
		t.Errorf("%v before any probe", h)
	}
	testkit.Until(t, "down", func() bool { return r.health(1) == board.Down })
}

// A thousand updates that add and remove leave no goroutine.
func TestUpdateLeavesNothing(t *testing.T) {
	_, _, addrs := turning(t)
	r := start(t, nil, addrs)
	before := runtime.NumGoroutine()
	r.o.IDs = [][]int{{0}, {1, 2}}
	silent := backendAt(silentAddr(t))
	for i := range 1000 {
		r.update(func(p *config.Pool) {
			p.Backends = p.Backends[:1:1]
			if i%2 == 0 {
				p.Backends = append(p.Backends, silent)
			}
		})
	}
	testkit.Until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+4 }) // those of one probe
}

// A check that fails says so of the name of the backend: the address may be another's.
func TestFailedName(t *testing.T) {
	status, _, addrs := turning(t)
	status.Store(503)
	r := start(t, func(h *config.Health) { h.Interval = time.Hour }, addrs)
	failed := make(chan string, 100)
	r.o.Failed = func(name string) { failed <- name }
	r.update(func(p *config.Pool) { p.Backends[0].Name, p.Health.Timeout = "app.test", p.Health.Timeout/2 })
	if name := testkit.Wait(t, failed, "a failed check"); name != "app.test" {
		t.Errorf("failed: %q", name)
	}
}
