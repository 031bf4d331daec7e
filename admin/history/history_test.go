package history

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
	"lb/config"
)

// rig is a sampler whose clock a test moves.
type rig struct {
	*Sampler
	b    *board.Board
	view View
	now  time.Time
}

func newRig(loops, backends int) *rig {
	r := &rig{b: board.New(loops, backends), now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	r.Sampler = New(Options{Board: r.b, View: func() View { return r.view }})
	return r
}

// use puts a configuration in use: pools by name, with the IDs of their backends. The
// backend of ID n is 10.0.0.n:80, unless it has another name in as.
func (r *rig) use(pools []string, ids [][]int, as map[int]string) {
	cfg := &config.Config{}
	for i, name := range pools {
		p := config.NewPool(name)
		for _, id := range ids[i] {
			host := fmt.Sprintf("10.0.0.%d", id)
			if as[id] != "" {
				host = as[id]
			}
			p.Backends = append(p.Backends, config.Backend{Host: host, Port: 80, Weight: 1})
		}
		cfg.Pools = append(cfg.Pools, p)
	}
	r.view = View{Config: cfg, IDs: ids}
}

// step lets five seconds pass and looks.
func (r *rig) step() {
	r.now = r.now.Add(every)
	r.Look(r.now)
}

// answer counts answers of a status class by a backend, in a loop.
func (r *rig) answer(loop, id, class, n int) {
	for range n {
		r.b.Loop(loop).Requests.Add(1)
		r.b.Loop(loop).Replies[class].Add(1)
		r.b.Backend(loop, id).Attempts.Add(1)
		r.b.Backend(loop, id).Answered(class)
	}
}

func wantList(t *testing.T, what string, got []float32, want ...float32) {
	t.Helper()
	if !reflect.DeepEqual(append([]float32{}, got...), append([]float32{}, want...)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Rates are differences over all loops, by the time that has really passed.
func TestRates(t *testing.T) {
	r := newRig(2, 3)
	r.use([]string{"web", "api"}, [][]int{{0, 1}, {2}}, nil)
	r.answer(0, 0, 2, 1000) // before the first look: no point
	r.step()
	if h := r.History(); len(h.Total.Rate) != 0 || !h.At.IsZero() || len(h.Pools) != 2 || len(h.Pools[0].Backends) != 2 {
		t.Fatalf("after one look: %+v", h)
	}
	r.answer(0, 0, 2, 10)
	r.answer(1, 0, 5, 5)
	r.answer(1, 2, 2, 20)
	r.b.Backend(1, 1).CountFault(board.ReasonConnect)
	r.b.Backend(0, 1).InFlight.Add(3)
	r.b.Loop(0).Exchanges.Add(4)
	r.b.State(0).Own[1].Store(10) // 503 of lb itself, without a backend
	r.b.State(0).TTFB.Store(uint64(2500 * time.Microsecond))
	r.step()
	r.now = r.now.Add(5 * time.Second) // a late look
	r.answer(0, 0, 2, 10)
	r.step()
	h := r.History()
	wantList(t, "total rate", h.Total.Rate, 7, 1)
	wantList(t, "total errors", h.Total.Errors, 1, 0)
	wantList(t, "total in flight", h.Total.InFlight, 4, 4)
	wantList(t, "web errors", h.Pools[0].Errors, 3, 0)
	wantList(t, "web in flight", h.Pools[0].InFlight, 3, 3)
	wantList(t, "api rate", h.Pools[1].Rate, 4, 0)
	a, b := h.Pools[0].Backends[0], h.Pools[0].Backends[1]
	wantList(t, "a's rate", a.Rate, 3, 1)
	wantList(t, "a's errors", a.Errors, 1, 0)
	wantList(t, "a's first byte", a.FirstByte, 2.5, 2.5)
	wantList(t, "b's rate", b.Rate, 0, 0)
	wantList(t, "b's errors", b.Errors, 0.2, 0)
	if a.Address != "10.0.0.0:80" || h.Seconds != 5 || !h.At.Equal(r.now) || a.P50 != nil || h.Pools[0].FirstByte != nil {
		t.Errorf("%+v", h)
	}
}

// Quantiles are those of the last five seconds, over all loops; those of lb over all pools.
func TestQuantiles(t *testing.T) {
	r := newRig(2, 3)
	r.use([]string{"web", "api"}, [][]int{{0}, {1}}, nil)
	r.view.Series = []int{0, 1}
	r.b.ClaimSeries(0)
	r.b.ClaimSeries(1)
	observe := func(loop, series int, d time.Duration, n int) {
		for range n {
			r.b.Series(loop, series).Total.Observe(d)
		}
	}
	observe(0, 0, time.Minute, 1000) // before the first look
	r.step()
	observe(0, 0, 2*time.Millisecond, 60)
	observe(1, 0, 10*time.Millisecond, 40)
	observe(1, 1, time.Second, 300)
	r.step()
	r.step() // nothing happens
	h := r.History()
	about := func(what string, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > 0.1*want {
			t.Errorf("%s is %v ms, want about %v", what, got, want)
		}
	}
	wantList(t, "web's rate", h.Pools[0].Rate, 20, 0)
	about("web's p50", h.Pools[0].P50[0], 2)
	about("web's p99", h.Pools[0].P99[0], 10)
	about("api's p50", h.Pools[1].P50[0], 1000)
	about("p50 of all", h.Total.P50[0], 1000)
	about("p99 of all", h.Total.P99[0], 1000)
	wantList(t, "without requests", []float32{h.Pools[0].P50[1], h.Pools[0].P99[1], h.Total.P50[1]}, 0, 0, 0)
	// Another series, which has counted before, makes no difference of the two.
	r.b.ClaimSeries(2)
	observe(0, 2, time.Hour, 5000)
	r.view.Series = []int{2, 1}
	r.step()
	observe(0, 2, time.Millisecond, 5)
	r.step()
	h = r.History()
	wantList(t, "web's rate", h.Pools[0].Rate, 20, 0, 0, 1)
	if p := h.Pools[0].P99; p[2] != 0 {
		t.Errorf("p99 over two series: %v", p)
	}
}

// With a series of its own a backend has an average of the last five seconds.
func TestFirstByte(t *testing.T) {
	r := newRig(2, 3)
	r.use([]string{"web"}, [][]int{{0, 1}}, nil)
	r.view.Series, r.view.BackendSeries = []int{0}, [][]int{{1, -1}}
	r.b.ClaimSeries(1)
	r.b.Series(0, 1).FirstByte.Observe(time.Hour)
	r.b.State(1).TTFB.Store(uint64(3 * time.Millisecond))
	r.step()
	r.b.Series(0, 1).FirstByte.Observe(10 * time.Millisecond)
	r.b.Series(1, 1).FirstByte.Observe(20 * time.Millisecond)
	r.step()
	r.step()
	wantList(t, "by its series", r.History().Pools[0].Backends[0].FirstByte, 15, 0)
	wantList(t, "by the strategy", r.History().Pools[0].Backends[1].FirstByte, 3, 3)
	r.view.BackendSeries = nil
	r.step()
	wantList(t, "no longer", r.History().Pools[0].Backends[0].FirstByte, 15, 0, 0)
}

// An answer whose status is a fault is an error once: whether it was passed on, which counts
// it as a reply too, or asked for again.
func TestStatusFaults(t *testing.T) {
	r := newRig(1, 1)
	r.use([]string{"web"}, [][]int{{0}}, nil)
	r.step()
	r.b.State(0).StatusFaults.Add(10) // all were retried
	r.step()
	r.answer(0, 0, 5, 10)
	r.b.State(0).StatusFaults.Add(10) // none was
	r.step()
	wantList(t, "errors", r.History().Pools[0].Backends[0].Errors, 2, 2)
}

// Ten minutes are kept, the oldest first.
func TestKept(t *testing.T) {
	r := newRig(1, 1)
	r.use([]string{"web"}, [][]int{{0}}, nil)
	r.step()
	for i := range 300 {
		r.answer(0, 0, 2, 5*(i+1))
		r.step()
	}
	h := r.History()
	for _, c := range []api.Course{h.Total, h.Pools[0].Course, h.Pools[0].Backends[0].Course} {
		if len(c.Rate) != 120 || len(c.Errors) != 120 || len(c.InFlight) != 120 || c.Rate[0] != 181 || c.Rate[119] != 300 {
			t.Errorf("%d, %v", len(c.Rate), c.Rate)
		}
	}
	l := h.Last(2)
	wantList(t, "the last two", l.Pools[0].Backends[0].Rate, 299, 300)
	if len(h.Pools[0].Backends[0].Rate) != 120 {
		t.Error("Last has changed what it is of")
	}
}

// Over reloads a pool and a backend keep what is theirs by name, wherever they are in the
// file; what is gone is forgotten; another backend with the same ID begins with nothing.
func TestReloads(t *testing.T) {
	r := newRig(1, 4)
	r.use([]string{"web", "api"}, [][]int{{0, 1}, {2}}, nil)
	r.step()
	r.answer(0, 0, 2, 50)
	r.answer(0, 1, 2, 500)
	r.step()
	// ID 1 goes to another backend, whose counters begin with zero; the pools change places.
	*r.b.Backend(0, 1) = board.Backend{}
	r.use([]string{"api", "web", "new"}, [][]int{{2}, {1, 0}, {3}}, map[int]string{1: "other"})
	r.answer(0, 0, 2, 100)
	r.answer(0, 1, 2, 5000)
	r.step()
	h := r.History()
	if h.Pools[0].Name != "api" || h.Pools[1].Name != "web" || h.Pools[2].Name != "new" || len(h.Pools) != 3 {
		t.Fatalf("%+v", h.Pools)
	}
	web := h.Pools[1]
	wantList(t, "web", web.Rate, 110, 20) // nothing is known yet of the other
	wantList(t, "other", web.Backends[0].Rate)
	wantList(t, "the one that stayed", web.Backends[1].Rate, 10, 20)
	wantList(t, "new", h.Pools[2].Rate)
	r.answer(0, 1, 2, 5)
	r.step()
	wantList(t, "other", r.History().Pools[1].Backends[0].Rate, 1)
	wantList(t, "new", r.History().Pools[2].Rate, 0)
	// It goes and comes back with another ID: its old points stay while it is known, but no
	// difference is made of the counters of two.
	r.use([]string{"web"}, [][]int{{3}}, map[int]string{3: "other"})
	r.answer(0, 3, 2, 700)
	r.step()
	h = r.History()
	wantList(t, "other with another ID", h.Pools[0].Backends[0].Rate, 1)
	if len(h.Pools) != 1 || len(r.pools) != 1 || len(r.pools["web"].backends) != 1 {
		t.Errorf("what is gone is kept: %+v", h.Pools)
	}
}

// A counter that has begun again, and a clock that has not moved, make no nonsense.
func TestBegunAgain(t *testing.T) {
	r := newRig(1, 1)
	r.use([]string{"web"}, [][]int{{0}}, nil)
	r.answer(0, 0, 2, 50)
	r.step()
	*r.b.Backend(0, 0) = board.Backend{}
	*r.b.Loop(0) = board.Loop{}
	r.step()
	r.Look(r.now)
	h := r.History()
	wantList(t, "total", h.Total.Rate, 0)
	wantList(t, "backend", h.Pools[0].Backends[0].Rate, 0)
}

// Numbers are short, and right to three digits.
func TestRound(t *testing.T) {
	for in, want := range map[float64]float32{0: 0, 0.0123456: 0.0123, 1.2345: 1.23, 12.345: 12.3, 999.6: 1000, 1234.5: 1230, 123456: 123000, 3: 3, 0.2: 0.2} {
		if got := round(in); got != want {
			t.Errorf("%v: %v, want %v", in, got, want)
		}
	}
	for e := -6.0; e < 9; e += 0.01 {
		if v := math.Pow(10, e); math.Abs(float64(round(v))-v) > 0.0051*v {
			t.Errorf("%v: %v", v, round(v))
		}
	}
}

// Of an empty configuration, and before the first look, there is an empty history.
func TestEmpty(t *testing.T) {
	var none *Sampler
	none.Close()
	if h := none.History(); h.Pools == nil || h.Seconds != 5 {
		t.Errorf("of nil: %+v", h)
	}
	r := newRig(1, 1)
	if h := r.History(); h.Pools == nil {
		t.Errorf("before the first look: %+v", h)
	}
	r.use(nil, nil, nil)
	r.step()
	r.step()
	if h := r.History(); h.Pools == nil || len(h.Total.Rate) != 1 {
		t.Errorf("without pools: %+v", h)
	}
}

// A thousand busy backends need 2 MB, as the package says.
func TestMemory(t *testing.T) {
	const n = 1000
	r := newRig(2, n)
	var ids []int
	for id := range n {
		ids = append(ids, id)
		r.b.State(id).TTFB.Store(1e6)
		r.b.Backend(0, id).InFlight.Add(1)
	}
	r.use([]string{"web"}, [][]int{ids}, nil)
	before := heap()
	for range 130 {
		for id := range n {
			r.b.Backend(0, id).Answered(2)
			r.b.Backend(1, id).Answered(5)
		}
		r.step()
	}
	got := heap() - before
	runtime.KeepAlive(r)
	t.Logf("%d bytes", got)
	if got > 2_600_000 {
		t.Errorf("%d bytes for %d backends, want about 2 MB", got, n)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLook reads 1,000 backends of eight loops.
func BenchmarkLook(b *testing.B) {
	r := newRig(8, 1000)
	var ids []int
	for id := range 1000 {
		ids = append(ids, id)
	}
	r.use([]string{"web"}, [][]int{ids}, nil)
	b.ReportAllocs()
	for b.Loop() {
		r.step()
	}
}
