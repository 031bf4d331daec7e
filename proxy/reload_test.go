package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/loop/looptest"
	"lb/proxy/watch"
)

// withBackends returns the default configuration with the backends at some places.
func withBackends(places ...int) *config.Config {
	cfg := rigConfig(rigBackendsMax)
	all := cfg.Pools[0].Backends
	cfg.Pools[0].Backends = nil
	for _, i := range places {
		cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, all[i])
	}
	return cfg
}

// reloaded reloads and lets everything happen that follows at once.
func (r *rig) reloaded(cfg *config.Config) {
	r.reload(cfg)
	r.settle()
}

// oldest returns the oldest configuration in use, as the board has it.
func (r *rig) oldest() uint64 { return r.board.OldestConfig() }

const openTunnel = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// TestOldestConfig: an exchange holds back the configuration that it began with as long as
// it may pick a backend, but not while its response is on its way, and not after a 101.
func TestOldestConfig(t *testing.T) {
	for _, tc := range []struct {
		name  string
		begin string // sent by the client
		more  string // sent after the reload; until then the exchange holds on
		reply string // of the backend; until then the exchange holds on
	}{
		{"a head that is not whole", "GET / HTTP/1.1\r\n", "Host: a.example\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"},
		{"no answer yet", ask, "", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"},
		{"a stream", ask, "", "HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"},
		{"a tunnel", openTunnel, "", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{"a bad request", "GET / HTTP/1.1\r\n", "nonsense\r\n\r\n", ""},
	} {
		r := newRig(t, 1, withBackends(0), false)
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte(tc.begin))
		r.settle()
		if got := r.oldest(); got != 1 {
			t.Errorf("%s: oldest %d before any reload", tc.name, got)
		}
		r.reloaded(withBackends(0, 1))
		r.reloaded(withBackends(0, 2))
		if got := r.oldest(); got != 1 {
			t.Errorf("%s: oldest %d while it may still pick, want 1", tc.name, got)
		}
		client.Send([]byte(tc.more))
		r.settle()
		if tc.reply != "" {
			r.servers[0].Accept().Send([]byte(tc.reply))
			r.settle()
		}
		if got := r.oldest(); got != 3 || len(r.p.past) != 0 {
			t.Errorf("%s: oldest %d, %d old ones; want 3 and none", tc.name, got, len(r.p.past))
		}
		if len(client.Received()) == 0 {
			t.Errorf("%s: nothing came", tc.name)
		}
	}
}

// TestOldestInOrder: configurations are held back one by one, in whatever order their
// exchanges end, and the parts that picking needs are released at once.
func TestOldestInOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		r := newRig(t, 1, withBackends(0), false)
		var clients []*looptest.Peer
		var snaps []*snapshot
		for range 3 {
			c := r.k.Connect(r.listener, rigClient)
			c.Send([]byte("GET / HT"))
			r.settle()
			clients, snaps = append(clients, c), append(snaps, r.p.now)
			r.reloaded(withBackends(0))
		}
		left := []uint64{1, 2, 3, 4}
		for _, i := range order {
			clients[i].Reset()
			r.settle()
			left = slices.DeleteFunc(left, func(n uint64) bool { return n == uint64(i+1) })
			if got := r.oldest(); got != left[0] {
				t.Errorf("%v, behind %d: oldest %d, want %d", order, i, got, left[0])
			}
			if snaps[i].pools != nil || snaps[i].router != nil {
				t.Errorf("%v: the pools of configuration %d are kept", order, i+1)
			}
		}
	}
}

// TestReusedID: the ID of a backend that is gone is given to another as soon as possible
// (issue 3, design: OldestConfig past the removal, and nothing in flight). From then on
// the old backend writes nothing there, and its conns are not used.
func TestReusedID(t *testing.T) {
	r := newRig(t, 1, withBackends(0), false)
	stays, idle := r.k.Connect(r.listener, rigClient), r.k.Connect(r.listener, rigClient)
	idle.Send([]byte(ask))
	r.settle()
	idleConn := r.servers[0].Accept()
	idleConn.Send([]byte(answer))
	r.settle()
	stays.Send([]byte(openTunnel))
	r.settle()
	idleConn.Send([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	r.settle()
	r.reloaded(withBackends(1))
	if r.oldest() != 2 || r.board.InFlight(0) != 1 {
		t.Fatalf("oldest %d, %d in flight; want 2 and the tunnel", r.oldest(), r.board.InFlight(0))
	}
	stays.Shut()
	idleConn.Shut()
	r.settle()
	if r.board.InFlight(0) != 0 {
		t.Fatal("the tunnel is still in flight")
	}
	r.board.Clear(0)
	third := withBackends(1, 2)
	r.ids[[2]string{config.DefaultPool, third.Pools[0].Backends[1].String()}] = 0
	r.reloaded(third)
	for range 4 {
		idle.Send([]byte(ask))
		r.settle()
		for _, s := range r.servers {
			if b := s.Accept(); b != nil {
				answerAll(b)
				b.OnBytes(b)
			}
		}
		r.settle()
	}
	slot := r.board.Backend(0, 0)
	if slot.Attempts.Load() != 2 || slot.Conns.Load() != 1 || slot.Replies[0].Load() != 2 {
		t.Errorf("%d attempts, %d conns, %d replies at the new one, want 2, 1 and 2",
			slot.Attempts.Load(), slot.Conns.Load(), slot.Replies[0].Load())
	}
	if got := bytes.Count(idle.Received(), []byte("200 OK")); got != 5 {
		t.Errorf("%d answers, want 5", got)
	}
}

// TestGonePoolLeavesIDsAlone: an attempt of a pool that is gone ends in a fault, when
// another pool's backend already has the ID. That backend's state stays as it is.
func TestGonePoolLeavesIDsAlone(t *testing.T) {
	cfg := withBackends(0)
	api := config.NewPool("api")
	api.Backends = withBackends(1, 2).Pools[0].Backends
	cfg.Pools = append(cfg.Pools, api)
	cfg.Routes = []config.Route{{Path: "/", Pool: 1}}
	r := newRig(t, 1, cfg, false)
	r.k.Connect(r.listener, rigClient).Send([]byte(ask))
	r.settle()
	b, other := r.servers[1].Accept(), r.ids[[2]string{"api", api.Backends[1].String()}]
	b.Send([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhe"))
	r.settle()
	r.reloaded(withBackends(0))
	if r.oldest() != 2 || r.board.InFlight(other) != 0 {
		t.Fatalf("oldest %d, %d in flight; want 2 and none", r.oldest(), r.board.InFlight(other))
	}
	r.board.Clear(other)
	state := r.board.State(other)
	until := uint64(r.l.Now().Add(time.Second))
	state.EjectedUntil.Store(until)
	r.board.Changed()
	r.pass(2 * time.Second)
	b.Reset()
	r.settle()
	if state.EjectedUntil.Load() != until || state.RecoveredAt.Load() != 0 || r.log.Len() > 0 {
		t.Errorf("ejected until %d, recovered at %d; log %q", state.EjectedUntil.Load(), state.RecoveredAt.Load(), r.log.String())
	}
}

// TestWaitersMove: exchanges that wait for room go on in the same order in the pool's
// present form, even if all backends that they wait for are gone. An exchange that has
// tried a backend recognises it at its new index.
func TestWaitersMove(t *testing.T) {
	limited := func(limit int, places ...int) *config.Config {
		cfg := withBackends(places...)
		for i := range cfg.Pools[0].Backends {
			cfg.Pools[0].Backends[i].MaxConnections = limit
		}
		return cfg
	}
	r := newRig(t, 1, limited(1, 0), false)
	var order []string
	r.onEveryConnect(func(place int, p *looptest.Peer) {
		p.OnBytes = func(p *looptest.Peer) {
			line, _, _ := strings.Cut(string(p.Recv()), " HTTP")
			order = append(order, line)
			if place > 0 {
				p.Send([]byte(answer))
			}
		}
		p.OnEnd = (*looptest.Peer).Close
	})
	for i := range 4 {
		r.k.Connect(r.listener, rigClient).Send([]byte(strings.Replace(ask, " /", fmt.Sprintf(" /%d", i), 1)))
		r.settle()
	}
	r.reloaded(limited(1, 1, 2))
	if want := []string{"GET /0", "GET /1", "GET /2", "GET /3"}; !slices.Equal(order, want) {
		t.Errorf("%q, want all of them, in order", order)
	}
	if n := r.board.Backend(0, 0).WaitsSince.Load(); n != 0 {
		t.Error("the board says that some wait for the one that is gone")
	}
}

// TestWaitersOfAnEmptyPool: when all backends of a pool go, as in a file with [[pools]]
// alone, waiting exchanges are answered at once.
func TestWaitersOfAnEmptyPool(t *testing.T) {
	cfg := withBackends(0)
	cfg.Pools[0].Backends[0].MaxConnections = 1
	r := newRig(t, 1, cfg, false)
	first, second := r.askTwice()
	r.reloaded(withBackends())
	r.servers[0].Accept().Send([]byte(answer))
	r.settle()
	if !bytes.Contains(first.Received(), []byte("200 OK")) || !bytes.Contains(second.Received(), []byte("503 ")) {
		t.Errorf("%q and %q, want 200 and 503", first.Received(), second.Received())
	}
	r.reloaded(withBackends())
	r.reloaded(cfg)
	first.Send([]byte(ask))
	r.settle()
	if r.servers[0].Accept() == nil {
		t.Error("nothing came to the backend that is back")
	}
}

// TestWaitsOverLoops: a loop whose waiting exchange was moved shows its wait at the pool's
// new first backend, and no longer at the old one.
func TestWaitsOverLoops(t *testing.T) {
	limited := func(places ...int) *config.Config {
		cfg := withBackends(places...)
		for i := range cfg.Pools[0].Backends {
			cfg.Pools[0].Backends[i].MaxConnections = 1
		}
		return cfg
	}
	a, b := twoLoops(t, limited(0, 1))
	for range 2 {
		a.k.Connect(a.listener, rigClient).Send([]byte(ask))
		a.settle()
	}
	b.k.Connect(b.listener, rigClient).Send([]byte(ask))
	b.settle()
	if b.board.Backend(1, 0).WaitsSince.Load() == 0 {
		t.Fatal("does not wait")
	}
	for _, r := range []*rig{a, b} {
		r.reloaded(limited(1))
	}
	if b.board.Backend(1, 0).WaitsSince.Load() != 0 || b.board.Backend(1, 1).WaitsSince.Load() == 0 {
		t.Error("the wait is not shown where it is now")
	}
	for _, s := range a.servers {
		if p := s.Accept(); p != nil {
			p.Send([]byte(answer))
		}
	}
	a.settle()
	b.pass(20 * time.Millisecond)
	if b.servers[1].Accept() == nil || b.board.Backend(1, 1).WaitsSince.Load() != 0 {
		t.Error("still waits, though there is room")
	}
	for _, s := range b.servers[:2] {
		if s.Accept() != nil {
			t.Error("more attempts than room")
		}
	}
}

// TestAddedBackendStartsSlowly: slow start also applies to backends that a reload adds.
func TestAddedBackendStartsSlowly(t *testing.T) {
	slow := func(places ...int) *config.Config {
		cfg := withBackends(places...)
		cfg.Pools[0].SlowStart = 30 * time.Second
		return cfg
	}
	r := newRig(t, 1, slow(1), false)
	r.onEveryConnect(func(_ int, p *looptest.Peer) { answerAll(p) })
	if n := share(r); n != 1000 {
		t.Fatalf("%d of 1000 at the only one", n)
	}
	cfg := slow(0, 1)
	r.ids.snapshot(cfg)
	r.board.Added(1, int64(r.l.Now())) // the ID of place 0
	r.reloaded(cfg)
	r.pass(time.Millisecond)
	for _, tc := range []struct {
		wait      time.Duration
		low, high int
	}{{time.Millisecond, 50, 150}, {15 * time.Second, 300, 420}, {16 * time.Second, 440, 560}} {
		r.pass(tc.wait)
		if n := share(r); n < tc.low || n > tc.high {
			t.Errorf("%d of 1000 requests %v later, want %d to %d", n, tc.wait, tc.low, tc.high)
		}
	}
}

// TestReloadKeepsTheBudget: retries that were spent stay spent, unless the budget itself
// changes.
func TestReloadKeepsTheBudget(t *testing.T) {
	for _, tc := range []struct {
		set  func(r *config.Retry)
		want bool // a retry is allowed
	}{
		{func(*config.Retry) {}, false},
		{func(r *config.Retry) { r.Attempts++ }, false},
		{func(r *config.Retry) { r.BudgetMin++ }, true},
		{func(r *config.Retry) { r.Budget /= 2 }, true},
	} {
		r := newRig(t, 1, withBackends(0), false)
		for r.p.budget.Retry(r.l.Now()) {
		}
		cfg := withBackends(0, 1)
		tc.set(&cfg.Retry)
		r.reloaded(cfg)
		if got := r.p.budget.Retry(r.l.Now()); got != tc.want {
			t.Errorf("retry %+v: allowed %v", cfg.Retry, got)
		}
	}
}

// TestUnchangedPoolsGoOn: an unchanged pool stays the same object after a reload, whatever
// happens to its place, its routes and all other settings. Any change of the pool itself
// makes a new one.
func TestUnchangedPoolsGoOn(t *testing.T) {
	base := func() *config.Config {
		cfg := withBackends(0, 1)
		pool := config.NewPool("api")
		pool.Backends = withBackends(2, 3).Pools[0].Backends
		cfg.Pools = append(cfg.Pools, pool)
		cfg.Routes = []config.Route{{Path: "/api", Pool: 1}}
		return cfg
	}
	for _, tc := range []struct {
		name string
		set  func(c *config.Config)
		same bool
	}{
		{"nothing", func(*config.Config) {}, true},
		{"other settings", func(c *config.Config) { c.Timeouts.Queue, c.Limits.BodyBytes, c.Via = 1, 1, "x" }, true},
		{"the other pool", func(c *config.Config) { c.Pools[0].Backends = c.Pools[0].Backends[:1] }, true},
		{"a route", func(c *config.Config) { c.Routes[0].Path = "/v2" }, true},
		{"a pool between", func(c *config.Config) {
			more := config.NewPool("more")
			more.Backends = withBackends(5).Pools[0].Backends
			c.Pools = []config.Pool{c.Pools[0], more, c.Pools[1]}
			c.Routes[0].Pool = 2
		}, true},
		{"its strategy", func(c *config.Config) { c.Pools[1].Strategy = config.P2C }, false},
		{"its order", func(c *config.Config) { slices.Reverse(c.Pools[1].Backends) }, false},
		{"a weight", func(c *config.Config) { c.Pools[1].Backends[0].Weight = 7 }, false},
		{"its eject rule", func(c *config.Config) { c.Pools[1].Eject.OnStatus = []int{503} }, false},
		{"its hash", func(c *config.Config) { c.Pools[1].Hash.Name = "x" }, false},
		{"a backend more", func(c *config.Config) {
			c.Pools[1].Backends = append(c.Pools[1].Backends, withBackends(4).Pools[0].Backends...)
		}, false},
		{"the key of cookies", func(c *config.Config) { c.StickyKey = "sixteen or more bytes" }, false},
	} {
		r := newRig(t, 1, base(), false)
		before := r.p.now.pools[1]
		cfg := base()
		tc.set(cfg)
		r.reloaded(cfg)
		after := r.p.now.pools[len(cfg.Pools)-1]
		if (before == after) != tc.same || (before.successor == nil) != tc.same || after.cfg != &cfg.Pools[len(cfg.Pools)-1] {
			t.Errorf("%s changed: the pool is the same: %v, want %v", tc.name, before == after, tc.same)
		}
		for i, target := range after.targets {
			if target.pool != after || target.index != i || target.Gone {
				t.Errorf("%s changed: %s does not know its place", tc.name, target.Name)
			}
		}
	}
}

// TestTrustIsThatOfTheFirstByte: whether a client is trusted is decided by the
// configuration that its request goes by, and again for the next request.
func TestTrustIsThatOfTheFirstByte(t *testing.T) {
	config := func(trusted bool) *config.Config {
		cfg := withBackends(0)
		if trusted {
			cfg.TrustedProxies = []netip.Prefix{netip.PrefixFrom(rigClient.Addr(), 24)}
		}
		return cfg
	}
	forwarded := map[bool]string{false: "X-Forwarded-For: 192.0.2.1\r\n", true: "X-Forwarded-For: 198.51.100.7, 192.0.2.1\r\n"}
	const more = "Host: a.example\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
	for _, trusted := range []bool{false, true} {
		r := newRig(t, 1, config(trusted), false)
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte("GET / HTTP/1.1\r\n"))
		r.settle()
		r.reloaded(config(!trusted))
		client.Send([]byte(more))
		r.settle()
		backend := r.servers[0].Accept()
		if got := string(backend.Recv()); !strings.Contains(got, forwarded[trusted]) {
			t.Errorf("trusted before the reload: %t; the request that began before it: %q", trusted, got)
		}
		backend.Send([]byte(answer))
		client.Send([]byte("GET / HTTP/1.1\r\n" + more))
		r.settle()
		if got := string(backend.Recv()); !strings.Contains(got, forwarded[!trusted]) {
			t.Errorf("trusted before the reload: %t; the request after it: %q", trusted, got)
		}
	}
}

// TestPanicOnAnOldConfiguration: it costs its exchange, and holds nothing back.
func TestPanicOnAnOldConfiguration(t *testing.T) {
	for _, begin := range []string{"GET / HTTP/1.1\r\n", ask} {
		r := newRig(t, 1, withBackends(0), false)
		client := r.k.Connect(r.listener, rigClient)
		client.Send([]byte(begin))
		r.settle()
		r.reloaded(withBackends(1))
		r.panics, r.calls.panics = 1, true
		if begin == ask {
			r.servers[0].Accept().Send([]byte(answer))
		} else {
			client.Send([]byte("Host: a.example\r\n"))
		}
		r.settle()
		r.p.counters.Panics.Sub(1)
		r.pass(2 * watch.Every)
		if left := r.leftovers(); len(left) > 0 || !(client.Ended() || client.WasReset()) {
			t.Errorf("left over: %q", left)
		}
	}
}

// TestReloadAllocations: an exchange allocates nothing after reloads either.
func TestReloadAllocations(t *testing.T) {
	cfg := func(backends int) *config.Config {
		cfg := rigConfig(backends)
		cfg.Routes = []config.Route{{Host: "*.example.com", Path: "/", SetRequestHeaders: []config.Field{{Name: "X", Value: "y"}}}}
		return cfg
	}
	for _, tc := range exchanges {
		s := newSteady(t, cfg(1), tc.request, tc.response)
		ids := make(rigIDs)
		for n := uint64(2); n < 5; n++ {
			snap := ids.snapshot(cfg(1))
			snap.Number = n
			s.p.Reload(snap)
			s.p.placeLetters()
		}
		for range 50 {
			s.exchange()
		}
		if n := testing.AllocsPerRun(100, func() { s.exchange(); s.check(t) }); n != 0 {
			t.Errorf("%s: %v allocations for an exchange", tc.name, n)
		}
	}
}

// TestManyReloads: nothing grows with the number of reloads, while tunnels from all of them
// stay open.
func TestManyReloads(t *testing.T) {
	r := newRig(t, 1, withBackends(0, 1), false)
	r.onEveryConnect(func(_ int, p *looptest.Peer) {
		p.OnBytes = func(p *looptest.Peer) {
			if strings.HasPrefix(string(p.Recv()), "GET /ws") {
				p.Send([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
			}
		}
		p.OnEnd = (*looptest.Peer).Close
	})
	var clients []*looptest.Peer
	for i := range 200 {
		c := r.k.Connect(r.listener, rigClient)
		c.Send([]byte(openTunnel))
		clients = append(clients, c)
		r.settle()
		r.reloaded(withBackends(i%3, 3+i%2))
	}
	if len(r.p.past) != 0 || len(r.p.targets) != 2 {
		t.Errorf("%d old configurations and %d backends are kept", len(r.p.past), len(r.p.targets))
	}
	for _, c := range clients {
		if c.Ended() || c.WasReset() || !bytes.Contains(c.Received(), []byte(" 101 ")) {
			t.Fatalf("a tunnel ended: %q", c.Received())
		}
		c.Reset()
	}
	r.settle()
	r.pass(r.p.now.cfg.Timeouts.BackendIdle + time.Second)
	if left := r.leftovers(); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// BenchmarkReload measures how long a reload stops a loop when all of a pool changes.
func BenchmarkReload(b *testing.B) {
	for _, strategy := range []string{config.RoundRobin, config.HashOnKey} {
		for _, n := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/backends=%d", strategy, n), func(b *testing.B) {
				var snaps [2]Snapshot
				for i := range snaps {
					cfg := rigConfig(0)
					cfg.Pools[0].Strategy = strategy
					for j := range n {
						cfg.Pools[0].Backends = append(cfg.Pools[0].Backends,
							config.Backend{Host: fmt.Sprintf("10.0.%d.%d", j/250, j%250), Port: 80, Weight: 1 + (i+j)%3})
					}
					snaps[i] = make(rigIDs).snapshot(cfg)
				}
				p := New(loop.New(&bareKernel{now: 1}, loop.Options{}), Options{Board: board.New(1, n), Snapshot: snaps[0]})
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p.Reload(snaps[(i+1)%2])
				}
			})
		}
	}
}
