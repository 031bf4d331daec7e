package supervise

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// checkedConfig probes its backends every interval, whatever their health.
func checkedConfig(cfg *config.Config, interval time.Duration) *config.Config {
	h := config.NewHealth()
	h.Path, h.Interval, h.IntervalDown, h.Timeout = "/up", interval, interval, testkit.Patience
	cfg.Pools[0].Health = h
	return cfg
}

// probed is a backend that answers probes with a status the test sets, and counts
// them.
type probed struct {
	*httptest.Server
	status, probes atomic.Int64
}

func newProbed(t *testing.T) *probed {
	t.Helper()
	p := &probed{}
	p.status.Store(http.StatusOK)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/up" {
			return
		}
		w.WriteHeader(int(p.status.Load()))
		p.probes.Add(1)
	}))
	t.Cleanup(p.Close)
	return p
}

func (in *inside) wantHealth(t *testing.T, id int, want board.Health) {
	t.Helper()
	testkit.Until(t, want.String(), func() bool { return board.Health(in.running.Board.State(id).Health.Load()) == want })
}

// A backend that answers 503 goes down on the board that all loops read, and comes back.
// Another backend stays up.
func TestChecks(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		sick, well := newProbed(t), newProbed(t)
		supervisetest.AddBackend(t, cfg, sick.URL)
		supervisetest.AddBackend(t, cfg, well.URL)
		in := serve(t, checkedConfig(cfg, 20*time.Millisecond), Options{})
		for range 2 {
			in.wantHealth(t, 0, board.Up)
			in.wantHealth(t, 1, board.Up)
			sick.status.Store(http.StatusServiceUnavailable)
			in.wantHealth(t, 0, board.Down)
			sick.status.Store(http.StatusOK)
		}
		in.wantHealth(t, 0, board.Up)
		if h := board.Health(in.running.Board.State(1).Health.Load()); h != board.Up {
			t.Errorf("the one beside it is %v", h)
		}
	})
}

// Two loops, or two workers, probe together: a backend sees one probe for each interval,
// not two.
func TestOneProbePerInterval(t *testing.T) {
	testkit.Long(t)
	const interval, probes = 100 * time.Millisecond, 31
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		b := newProbed(t)
		supervisetest.AddBackend(t, cfg, b.URL)
		begun := time.Now()
		serve(t, checkedConfig(cfg, interval), Options{})
		testkit.Until(t, "probes", func() bool { return b.probes.Load() >= probes })
		// Intervals are up to a tenth shorter. A busy machine makes them longer, and
		// probes that come late come no earlier for that. Two loops that both ask
		// would need half of this time.
		if took, least := time.Since(begun), (probes-1)*interval*9/10; took < least {
			t.Errorf("%d probes within %v, want at least %v", probes, took, least)
		}
	})
}

// Probes go on while running exchanges are answered, and end with the last one.
func TestChecksInDrain(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow, b := supervisetest.AddSlowBackend(t, cfg), newProbed(t)
		in := serve(t, withPool(t, cfg, b.URL), Options{})
		a := slow.GetLater(t, in.addr)
		in.signals <- syscall.SIGTERM
		testkit.Wait(t, in.admin.red, "the drain")
		in.wantHealth(t, 1, board.Up) // after the one backend of the pool "default"
		before := b.probes.Load()
		testkit.Until(t, "more probes", func() bool { return b.probes.Load() > before+2 })
		close(slow.Release)
		(<-a).Want(t, "late")
		in.wantExit(t, 0)
	})
}

// withPool adds a pool with checks, and a backend at url.
func withPool(t *testing.T, cfg *config.Config, url string) *config.Config {
	t.Helper()
	other := supervisetest.Config(cfg.Mode)
	supervisetest.AddBackend(t, other, url)
	p := checkedConfig(other, 20*time.Millisecond).Pools[0]
	p.Name = "checked"
	cfg.Pools = append(cfg.Pools, p)
	return cfg
}

// A backend given by a name is probed at each address that the name has.
func TestChecksByName(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		b := newProbed(t)
		supervisetest.AddBackend(t, cfg, b.URL)
		cfg.Pools[0].Backends[0].Host = "app.test"
		names := &supervisetest.FakeResolver{Name: "app.test"}
		in := serve(t, checkedConfig(cfg, 20*time.Millisecond), Options{Resolver: names, ResolveEvery: 10 * time.Millisecond})
		names.Set("127.0.0.1")
		testkit.Until(t, "an address", func() bool { return in.running.Board.Backends() > 0 })
		in.wantHealth(t, 0, board.Up)
	})
}
