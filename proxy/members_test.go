package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/loop/looptest"
	routing "lb/proxy/route"
	"lb/upstream"
)

// members returns r.snapshot.Config with the backends at these places in its first pool.
func (r *rig) members(places ...int) *config.Config {
	cfg := *r.snapshot.Config
	cfg.Pools = slices.Clone(cfg.Pools)
	cfg.Pools[0].Backends = withBackends(places...).Pools[0].Backends
	return &cfg
}

// TestChange: members that come get requests, those that stay keep their conns, and those
// that go end what they have. What has begun holds no configuration back.
func TestChange(t *testing.T) {
	r := newRig(t, 1, withBackends(0, 1), false)
	first, second := r.k.Connect(r.listener, rigClient), r.k.Connect(r.listener, rigClient)
	first.Send([]byte(ask))
	r.settle()
	second.Send([]byte(ask))
	r.settle()
	stays, goes := r.servers[0].Accept(), r.servers[1].Accept()
	begun := r.k.Connect(r.listener, rigClient)
	begun.Send([]byte("GET / HT"))
	r.settle()
	stays.Send([]byte(answer))
	r.settle()
	r.change(r.members(2, 0))
	r.settle()
	if r.oldest() != 2 || len(r.p.past) != 0 {
		t.Errorf("oldest %d, %d old ones, want 2 and none", r.oldest(), len(r.p.past))
	}
	goes.Send([]byte(answer))
	r.settle()
	if !bytes.Contains(second.Received(), []byte("200 OK")) {
		t.Errorf("what ran at the one that goes: %q", second.Received())
	}
	if !goes.Ended() {
		t.Error("the conn to the one that goes stays open")
	}
	begun.Send([]byte("TP/1.1\r\nHost: a.example\r\n\r\n"))
	first.Send([]byte(ask))
	r.settle()
	came := r.servers[2].Accept()
	if came == nil || r.servers[0].Accept() != nil || r.servers[1].Accept() != nil {
		t.Fatal("want one conn to the new one, and the idle one to the one that stays")
	}
	came.Send([]byte(answer))
	stays.Send([]byte(answer))
	r.settle()
	if !bytes.Contains(begun.Received(), []byte("200 OK")) || bytes.Count(first.Received(), []byte("200 OK")) != 2 {
		t.Errorf("%q and %q, want all answered", begun.Received(), first.Received())
	}
}

// TestChangeToNone: a pool whose last member goes says 503, the default pool too, and goes
// on with the next.
func TestChangeToNone(t *testing.T) {
	for _, awaits := range []bool{true, false} {
		o := rigOptions(withBackends(0))
		o.Snapshot.Awaits = awaits
		r := newRigOn(t, 1, o, false)
		r.p.now.router = routing.NewRouter(nil, r.p.now.cfg.Paths)
		client := r.k.Connect(r.listener, rigClient)
		r.change(r.members())
		r.settle()
		client.Send([]byte(ask))
		r.settle()
		if want := map[bool]string{true: "503 ", false: "404 "}[awaits]; !bytes.Contains(client.Received(), []byte(want)) {
			t.Errorf("%v: %q, want %s", awaits, client.Received(), want)
		}
		r.onEveryConnect(func(_ int, p *looptest.Peer) { answerAll(p) })
		r.change(r.members(1))
		r.settle()
		again := r.k.Connect(r.listener, rigClient)
		again.Send([]byte(ask))
		r.settle()
		if !bytes.Contains(again.Received(), []byte("200 OK")) {
			t.Errorf("%v: %q, want an answer of the new one", awaits, again.Received())
		}
	}
}

// TestChangeOfHash: after a change of members the table of a hash pool may come later, and the
// pool before has just been picked from, so it is asked for at once. After a reload it is there.
func TestChangeOfHash(t *testing.T) {
	hashed := func(cfg *config.Config) *config.Config {
		cfg.Pools[0].Strategy, cfg.Pools[0].Hash = config.HashOnKey, config.Hash{Key: config.KeyPath}
		return cfg
	}
	r := newRig(t, 1, hashed(withBackends(0, 1, 2)), false)
	r.onEveryConnect(func(_ int, p *looptest.Peer) { answerAll(p) })
	asked := 0
	r.p.table = func(string, []upstream.Share, func(upstream.Table)) { asked++ }
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte(ask))
	r.settle()
	r.change(hashed(r.members(0, 1)))
	r.settle()
	if asked != 1 {
		t.Errorf("the table is asked for %d times after a change, want once", asked)
	}
	r.reloaded(hashed(withBackends(0, 1, 2)))
	client.Send([]byte(ask))
	r.settle()
	if asked != 1 {
		t.Error("the table comes later after a reload")
	}
	if got := bytes.Count(client.Received(), []byte("200 OK")); got != 2 {
		t.Errorf("%d answers, want 2", got)
	}
}

// TestChangeMovesWaiters: exchanges that wait for room go on in order at the new members,
// and a pool of many changes has a short way to the newest.
func TestChangeMovesWaiters(t *testing.T) {
	cfg := withBackends(0)
	cfg.Pools[0].Backends[0].MaxConnections = 1
	r := newRig(t, 1, cfg, false)
	var order []string
	r.onEveryConnect(func(place int, p *looptest.Peer) {
		p.OnBytes = func(p *looptest.Peer) {
			line, _, _ := strings.Cut(string(p.Recv()), " HTTP")
			if order = append(order, line); place > 0 {
				p.Send([]byte(answer))
			}
		}
	})
	for i := range 3 {
		r.k.Connect(r.listener, rigClient).Send([]byte(strings.Replace(ask, " /", fmt.Sprintf(" /%d", i), 1)))
		r.settle()
	}
	old := r.p.now.pools[0]
	for i := range 50 {
		next := r.members(0)
		next.Pools[0].Backends[0].MaxConnections, next.Pools[0].Backends[0].Weight = 1, 2+i
		r.change(next)
		r.settle()
	}
	r.change(r.members(1, 2))
	r.settle()
	if want := []string{"GET /0", "GET /1", "GET /2"}; !slices.Equal(order, want) {
		t.Errorf("%q, want all of them, in order", order)
	}
	if newest := old.newest(); newest != r.p.now.pools[0] || old.successor != newest {
		t.Error("the way from an old pool to the newest is long")
	}
}

// BenchmarkChange measures how long a change of one member in each of some of 100 pools of
// 100 stops a loop.
func BenchmarkChange(b *testing.B) {
	for _, strategy := range []string{config.RoundRobin, config.HashOnKey} {
		for _, pools := range []int{1, 20} {
			b.Run(fmt.Sprintf("%s/pools=%d", strategy, pools), func(b *testing.B) {
				snaps := changing(strategy, pools)
				p := New(loop.New(&bareKernel{now: 1}, loop.Options{}), Options{Board: board.New(1, 10_100), Snapshot: snaps[0]})
				list := make([]int, pools)
				for i := range list {
					list[i] = i
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					p.Change(snaps[(i+1)%2], list)
				}
			})
		}
	}
}

// changing returns two snapshots of 100 pools of 100 backends, of which the first pools differ
// in one.
func changing(strategy string, pools int) (snaps [2]Snapshot) {
	ids := make(rigIDs)
	for i := range snaps {
		cfg := rigConfig(0)
		cfg.Pools = nil
		for p := range 100 {
			pool := config.NewPool(fmt.Sprint("p", p))
			pool.Strategy = strategy
			pool.Hash.Key = config.KeyPath
			for j := range 100 {
				pool.Backends = append(pool.Backends, config.Backend{Host: fmt.Sprintf("10.%d.0.%d", p, j), Port: 80, Weight: 1})
			}
			if p < pools {
				pool.Backends[7].Host = fmt.Sprintf("10.%d.1.%d", p, i)
			}
			cfg.Pools = append(cfg.Pools, pool)
		}
		snaps[i] = ids.snapshot(cfg)
	}
	return snaps
}
