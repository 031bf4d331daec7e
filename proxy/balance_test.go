package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/looptest"
)

const (
	ask    = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

// twoLoops returns two proxies on one board, each on a kernel of its own.
func twoLoops(t *testing.T, cfg *config.Config) (a, b *rig) {
	t.Helper()
	o := rigOptions(cfg)
	o.Board = board.New(2, rigBackendsMax)
	o.Snapshot.Loops, o.Snapshot.Slots = 2, []int{0, 1}
	a = newRigOn(t, 1, o, false)
	o.Slot, o.Snapshot.Place = 1, 1
	b = newRigOn(t, 1, o, false)
	a.beside, b.beside = b, a
	return a, b
}

// TestRoomOfAnotherLoop: max_connections is for all loops together (issue 4: per backend
// over all loops). One loop finds the room that another one makes, however fast its own
// queue grows meanwhile.
func TestRoomOfAnotherLoop(t *testing.T) {
	for _, tc := range []struct {
		name  string
		more  int           // clients that join the queue of the second loop
		every time.Duration // the time between two of them
	}{
		{"alone", 1, 20 * time.Millisecond},
		{"after others", 3, 10 * time.Millisecond},
		{"while the queue grows", 30, time.Millisecond},
	} {
		cfg := rigConfig(1)
		cfg.Pools[0].Backends[0].MaxConnections = 1
		a, b := twoLoops(t, cfg)
		client := a.k.Connect(a.listener, rigClient)
		client.Send([]byte(ask))
		a.settle()
		backend := a.servers[0].Accept()
		first := b.k.Connect(b.listener, rigClient)
		first.Send([]byte(ask))
		b.pass(time.Second)
		if b.servers[0].Accept() != nil {
			t.Fatalf("%s: two attempts at work, want one", tc.name)
		}
		backend.Send([]byte(answer))
		a.settle()
		for range tc.more {
			b.k.Connect(b.listener, rigClient).Send([]byte(ask))
			b.pass(tc.every)
		}
		got := b.servers[0].Accept()
		if got == nil || b.servers[0].Accept() != nil {
			t.Fatalf("%s: want one attempt of the other loop", tc.name)
		}
		got.Send([]byte(answer))
		b.settle()
		if len(client.Received()) == 0 || len(first.Received()) == 0 {
			t.Errorf("%s: answers of %d and %d bytes", tc.name, len(client.Received()), len(first.Received()))
		}
	}
}

// TestEjectedByAnotherLoop: an ejection is for all loops, and one of them logs it.
func TestEjectedByAnotherLoop(t *testing.T) {
	cfg := rigConfig(2)
	cfg.Retry.Attempts = 0
	a, b := twoLoops(t, cfg)
	for _, r := range []*rig{a, b, a, b, a, b} { // two conns each, one to either backend
		r.servers[0].Refuse = true
		r.k.Connect(r.listener, rigClient).Send([]byte(ask))
		r.settle()
	}
	for _, r := range []*rig{a, b} {
		before := r.p.now.pools[0].targets[0].Slot.Attempts.Load()
		for range 4 {
			r.k.Connect(r.listener, rigClient).Send([]byte(ask))
		}
		r.settle()
		if n := r.p.now.pools[0].targets[0].Slot.Attempts.Load() - before; n != 0 {
			t.Errorf("%d attempts at a backend that is ejected", n)
		}
	}
	if logged := (a.log.Len() > 0) != (b.log.Len() > 0); !logged {
		t.Errorf("want one loop to tell, got %q and %q", a.log.String(), b.log.String())
	}
}

// TestSlowStart: a backend that has recovered gets a tenth of its share at once, and all of
// it when slow_start is over (issue 4: ramps a recovered backend up).
func TestSlowStart(t *testing.T) {
	for _, strategy := range []string{config.RoundRobin, config.Random, config.P2C, config.LeastTime} {
		cfg := rigConfig(2)
		cfg.Pools[0].Strategy, cfg.Pools[0].SlowStart = strategy, 30*time.Second
		r := newRig(t, 1, cfg, false)
		for _, s := range r.servers {
			s.OnConnect = answerAll
		}
		r.board.SetHealth(0, board.Down, board.ReasonConnect, 0, int64(r.l.Now()))
		if n := share(r); n != 0 {
			t.Errorf("%s: %d requests to a backend that is down", strategy, n)
		}
		r.board.SetHealth(0, board.Up, board.ReasonOK, 0, int64(r.l.Now()))
		for _, tc := range []struct {
			wait      time.Duration
			low, high int // requests of a thousand
		}{
			{time.Millisecond, 50, 150},   // 0.1 of 1.1
			{15 * time.Second, 300, 420},  // 0.55 of 1.55
			{15 * time.Second, 440, 560},  // all of its share
			{100 * time.Second, 440, 560}, // from then on
		} {
			r.pass(tc.wait)
			if n := share(r); n < tc.low || n > tc.high {
				t.Errorf("%s: %d of 1000 requests %v later, want %d to %d", strategy, n, tc.wait, tc.low, tc.high)
			}
		}
	}
}

// share returns how many of a thousand requests arrive at the first backend.
func share(r *rig) int {
	before := r.p.now.pools[0].targets[0].Slot.Attempts.Load()
	client := r.k.Connect(r.listener, rigClient)
	client.Send([]byte(strings.Repeat(ask, 1000)))
	r.settle()
	client.Close()
	r.settle()
	return int(r.p.now.pools[0].targets[0].Slot.Attempts.Load() - before)
}

// answerAll answers all bytes that arrive, and ends when the other side does.
func answerAll(p *looptest.Peer) {
	p.OnBytes = func(p *looptest.Peer) {
		p.Recv()
		p.Send([]byte(answer))
	}
	p.OnEnd = (*looptest.Peer).Close
}

// TestClientsEjectNoBackend: a thousand clients that leave, and a thousand whose requests
// are too long, eject no backend (issue 4).
func TestClientsEjectNoBackend(t *testing.T) {
	cfg := rigConfig(4)
	cfg.Limits.BodyBytes = 5
	r := newRig(t, 1, cfg, false)
	long := "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
	for i := range 1000 {
		from := netip.AddrPortFrom(rigClient.Addr(), uint16(i))
		gone, large := r.k.Connect(r.listener, from), r.k.Connect(r.listener, from)
		gone.Send([]byte(ask))
		large.Send([]byte(long))
		r.settle()
		gone.Reset()
		large.Send([]byte("3\r\ndef\r\n"))
		r.settle()
		large.Reset()
		r.settle()
	}
	if n := r.p.counters.ClientAborts.Load(); n != 1000 {
		t.Errorf("%d clients left, want 1000", n)
	}
	if n := r.p.counters.OwnReplies[4].Load(); n != 1000 {
		t.Errorf("%d replies to long requests, want 1000", n)
	}
	for _, target := range r.p.now.pools[0].targets {
		if n := target.State.Faults.Load() + target.State.EjectedUntil.Load(); n != 0 || target.Slot.Attempts.Load() == 0 {
			t.Errorf("%s: %d faults or an ejection, %d attempts", target.Name, n, target.Slot.Attempts.Load())
		}
	}
	if r.log.Len() > 0 {
		t.Errorf("logged: %s", r.log.String())
	}
}
