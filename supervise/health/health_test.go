package health

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
	"lb/loop/tick"
)

// rig is a prober over backends of one pool, which are probed every 20 ms.
type rig struct {
	*Prober
	o     Options // of the last Update
	board *board.Board
	log   testkit.Log
}

func start(t *testing.T, set func(*config.Health), addrs ...location) *rig {
	t.Helper()
	h := config.NewHealth()
	h.Interval, h.IntervalDown, h.Timeout = 20*time.Millisecond, 20*time.Millisecond, testkit.Patience
	if set != nil {
		set(&h)
	}
	pools := []config.Pool{
		{Name: "unchecked", Backends: []config.Backend{{Host: "127.0.0.1", Port: 1}}},
		{Name: "api", Health: h},
	}
	for i := range addrs {
		pools[1].Backends = append(pools[1].Backends, backendAt(addrs[i]))
	}
	r := &rig{board: board.New(1, 2+len(addrs))} // with room for one more
	begun := time.Now()
	r.o = Options{
		Config: &config.Config{Pools: pools},
		Board:  r.board,
		IDs:    [][]int{{0}, ids(1, len(addrs))},
		Log:    slog.New(slog.NewTextHandler(&r.log, nil)),
		Now:    func() tick.Instant { return tick.Instant(1 + time.Since(begun)) },
	}
	r.Prober = Start(r.o)
	t.Cleanup(r.Close)
	return r
}

// backendAt returns the backend at a location.
func backendAt(at location) config.Backend {
	if at.network == "unix" {
		return config.Backend{Socket: at.address}
	}
	host, port, _ := net.SplitHostPort(at.address)
	n, _ := strconv.Atoi(port)
	return config.Backend{Host: host, Port: n}
}

// ids returns n numbers from first on.
func ids(first, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = first + i
	}
	return out
}

func (r *rig) health(id int) board.Health { return board.Health(r.board.State(id).Health.Load()) }

// turning is a backend whose status the test sets.
func turning(t *testing.T) (status, probes *atomic.Int64, addrs location) {
	t.Helper()
	status, probes = new(atomic.Int64), new(atomic.Int64)
	status.Store(200)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		probes.Add(1)
	}))
	t.Cleanup(s.Close)
	return status, probes, location{"tcp", s.Listener.Addr().String()}
}

func TestBackendGoesDownAndUp(t *testing.T) {
	status, probes, addrs := turning(t)
	r := start(t, func(h *config.Health) { h.Rise, h.Fall = 2, 3 }, addrs)
	state := r.board.State(1)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	if why, detail := board.Reason(state.HealthReason.Load()), state.HealthDetail.Load(); why != board.ReasonOK || detail != 200 {
		t.Errorf("up for %v %d, want ok 200", why, detail)
	}

	status.Store(503)
	testkit.Until(t, "down", func() bool { return r.health(1) == board.Down })
	if why, detail := board.Reason(state.HealthReason.Load()), state.HealthDetail.Load(); why != board.ReasonStatus || detail != 503 {
		t.Errorf("down for %v %d, want status 503", why, detail)
	}
	down := state.HealthSince.Load()

	status.Store(200)
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	if since, recovered := state.HealthSince.Load(), state.RecoveredAt.Load(); since <= down || recovered != since {
		t.Errorf("down since %d, up since %d, recovered at %d", down, since, recovered)
	}
	before := probes.Load()
	testkit.Until(t, "ten more probes", func() bool { return probes.Load() > before+10 })
	r.Close()
	want := []string{
		`INFO msg="backend is up" pool=api backend=` + addrs.address + ` cause="status 200" since=`,
		`WARN msg="backend is down" pool=api backend=` + addrs.address + ` cause="status 503, want 200-399" since=`,
		`INFO msg="backend is up" pool=api backend=` + addrs.address + ` cause="status 200" since=`,
	}
	got := regexp.MustCompile(`(?m)^time=\S+ level=(.* since=)\S+( mend=".*")?$`).FindAllStringSubmatch(r.log.String(), -1)
	if len(got) != len(want) || strings.Count(r.log.String(), "\n") != len(want) {
		t.Fatalf("log:\n%swant %d lines", r.log.String(), len(want))
	}
	for i := range want {
		if got[i][1] != want[i] {
			t.Errorf("line %d of the log: %s, want %s", i, got[i][1], want[i])
		}
	}
	if h := r.health(0); h != board.Unknown {
		t.Errorf("a backend of a pool without checks is %v", h)
	}
}

// It takes fall bad probes, no fewer, and then the other interval counts.
func TestDownAfterFall(t *testing.T) {
	var bad atomic.Int64
	up := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-up:
			bad.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	}))
	t.Cleanup(s.Close)
	r := start(t, func(h *config.Health) { h.Fall, h.IntervalDown = 4, time.Hour }, location{"tcp", s.Listener.Addr().String()})
	testkit.Until(t, "up", func() bool { return r.health(1) == board.Up })
	close(up)
	testkit.Until(t, "down", func() bool { return r.health(1) == board.Down })
	if n := bad.Load(); n != 4 {
		t.Errorf("down after %d bad probes, want 4", n)
	}
}

// Backends that are silent or refuse do not delay the checks of others.
func TestHangingBackendBlocksNobody(t *testing.T) {
	_, probes, well := turning(t)
	r := start(t, func(h *config.Health) { h.Fall = 1 }, silentAddr(t), well, refusing(t))
	testkit.Until(t, "one up, one down", func() bool { return r.health(2) == board.Up && r.health(3) == board.Down })
	testkit.Until(t, "ten probes", func() bool { return probes.Load() >= 10 })
	if h := r.health(1); h != board.Unknown {
		t.Errorf("the one that hangs is %v before its timeout", h)
	}
}

// TestChange: members that come are checked, those that go no longer, and those that stay
// keep their pace.
func TestChange(t *testing.T) {
	_, probes, first := turning(t)
	_, _, second := turning(t)
	r := start(t, func(h *config.Health) { h.Fall, h.Interval = 1, time.Hour }, first, refusing(t))
	testkit.Until(t, "one up, one down", func() bool { return r.health(1) == board.Up && r.health(2) == board.Down })
	pools := append([]config.Pool(nil), r.o.Config.Pools...)
	pools[1].Backends = []config.Backend{backendAt(second), backendAt(first)}
	r.o.Config, r.o.IDs = &config.Config{Pools: pools}, [][]int{{0}, {3, 1}}
	r.Change(r.o, []int{1}, []int{2})
	testkit.Until(t, "the new one to be up", func() bool { return r.health(3) == board.Up })
	if n := probes.Load(); n != 1 || len(r.checkers) != 2 {
		t.Errorf("%d probes of the one that stays, %d checkers; want 1 and 2", n, len(r.checkers))
	}
}

// A prober begins with the health that an older one has found.
func TestHealthOnBoardIsTakenUp(t *testing.T) {
	b := board.New(1, 1)
	b.SetHealth(0, board.Down, board.ReasonStatus, 503, 7)
	h := config.NewHealth()
	cfg := &config.Config{Pools: []config.Pool{{Health: h, Backends: []config.Backend{{Host: "b", Port: 1}}}}}
	c := newChecker(&Options{Config: cfg, Board: b, IDs: [][]int{{0}}, Log: slog.New(slog.DiscardHandler)}, 0, 0)
	c.note(result{good: true, why: board.ReasonOK}, 8)
	if got := board.Health(b.State(0).Health.Load()); got != board.Down {
		t.Errorf("%v after one good probe, want down until the second", got)
	}
	c.note(result{good: true, why: board.ReasonOK}, 9)
	if got := board.Health(b.State(0).Health.Load()); got != board.Up {
		t.Errorf("%v after two good probes", got)
	}
}

// A probe that fails because this machine lacks something changes no state, and is logged
// once.
func TestOursChangesNothing(t *testing.T) {
	b := board.New(1, 1)
	var log testkit.Log
	cfg := &config.Config{Pools: []config.Pool{{Health: config.Health{Rise: 1, Fall: 1}, Backends: []config.Backend{{Host: "b", Port: 1}}}}}
	c := newChecker(&Options{Config: cfg, Board: b, IDs: [][]int{{0}}, Log: slog.New(slog.NewTextHandler(&log, nil))}, 0, 0)
	for range 5 {
		c.note(result{ours: true, cause: "connect: too many open files"}, 1)
	}
	if got := board.Health(b.State(0).Health.Load()); got != board.Unknown {
		t.Errorf("%v, want unknown", got)
	}
	if n := strings.Count(log.String(), "backend cannot be checked"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, log.String())
	}
}

// Close leaves no goroutine, whatever the probes are waiting for.
func TestCloseLeavesNothing(t *testing.T) {
	_, probes, well := turning(t)
	r := start(t, nil, well) // once to begin with: the backend has goroutines of its own
	testkit.Until(t, "a probe", func() bool { return probes.Load() > 0 })
	r.Close()
	silent := rawBackend(t, "", true)
	before := runtime.NumGoroutine()
	r = start(t, func(h *config.Health) { h.Timeout = time.Hour }, well, silentAddr(t), silent, refusing(t))
	testkit.Until(t, "probes", func() bool { return probes.Load() > 3 })
	closed := make(chan struct{})
	go func() { defer close(closed); r.Close() }()
	select {
	case <-closed:
	case <-time.After(testkit.Patience):
		t.Fatal("Close waits for a probe")
	}
	testkit.Until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+1 }) // one waits in silent
}

// A thousand backends are all probed within moments.
func TestManyBackends(t *testing.T) {
	testkit.Long(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler()}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	addrs := make([]location, 1000)
	for i := range addrs {
		addrs[i] = location{"tcp", l.Addr().String()}
	}
	r := start(t, func(h *config.Health) {
		h.Expect = []config.Statuses{{Low: 404, High: 404}}
		h.Interval = time.Hour
	}, addrs...)
	for i := range addrs {
		testkit.Until(t, fmt.Sprintf("backend %d to be up", i), func() bool { return r.health(1+i) == board.Up })
	}
}
