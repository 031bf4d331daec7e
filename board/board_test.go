package board

import (
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"lb/internal/testkit"
)

// fill puts base+1, base+2, ... into the counters.
func fill(counters []Counter, base uint64) {
	for i := range counters {
		counters[i].Add(base + uint64(i) + 1)
	}
}

func TestTotals(t *testing.T) {
	const loops, backends = 3, 2
	b := New(loops, backends)
	if b.Loops() != loops || b.Backends() != backends || b.LoopsRoom() != loops || b.BackendsRoom() != backends {
		t.Errorf("%d loops of %d and %d backends of %d, want %d and %d and no more room",
			b.Loops(), b.LoopsRoom(), b.Backends(), b.BackendsRoom(), loops, backends)
	}
	for i := range loops {
		fill(b.Loop(i).counters(), uint64(1000*(i+1)))
		for j := range backends {
			fill(b.Backend(i, j).counters(), uint64(100_000*(i+1)+10_000*j))
		}
	}
	totals := b.Totals()
	for i, got := range totals.words() {
		if want := uint64(6000 + loops*(i+1)); got != want {
			t.Errorf("word %d of the loops: %d, want %d", i, got, want)
		}
	}
	for j := range backends {
		totals := b.BackendTotals(j)
		for i, got := range totals.words() {
			if want := uint64(600_000 + loops*(10_000*j+i+1)); got != want {
				t.Errorf("word %d of backend %d: %d, want %d", i, j, got, want)
			}
		}
	}
}

// TestTakeOver: a loop that begins finds its gauges at zero. Its counters, and all words
// of other loops, stay.
func TestTakeOver(t *testing.T) {
	b := New(2, 2)
	for i := range 2 {
		fill(b.Loop(i).counters(), 10)
		for j := range 2 {
			fill(b.Backend(i, j).counters(), 20)
		}
	}
	wantLoop, wantBackend := b.Totals(), b.BackendTotals(1)
	b.TakeOver(0)

	kept := b.Loop(1)
	wantLoop.ClientConns, wantLoop.BackendConns = kept.ClientConns.Load(), kept.BackendConns.Load()
	wantLoop.BackendIdle, wantLoop.Exchanges, wantLoop.Tunnels =
		kept.BackendIdle.Load(), kept.Exchanges.Load(), kept.Tunnels.Load()
	wantLoop.HTTP2Conns, wantLoop.HTTP2BackendConns = kept.HTTP2Conns.Load(), kept.HTTP2BackendConns.Load()
	wantLoop.OldestConfig, wantLoop.RoutesWait = kept.OldestConfig.Load(), kept.RoutesWait.Load()
	wantLoop.Knocking, wantLoop.IdleSince = kept.Knocking.Load(), kept.IdleSince.Load()
	if got := b.Totals(); got != wantLoop {
		t.Errorf("after TakeOver: %+v\nwant %+v", got, wantLoop)
	}
	wantBackend.InFlight = b.Backend(1, 1).InFlight.Load()
	wantBackend.WaitsSince = b.Backend(1, 1).WaitsSince.Load()
	wantBackend.Queued = b.Backend(1, 1).Queued.Load()
	wantBackend.Idle = b.Backend(1, 1).Idle.Load()
	if got := b.BackendTotals(1); got != wantBackend {
		t.Errorf("after TakeOver: %+v\nwant %+v", got, wantBackend)
	}
}

// TestNewIsZero: all counts of a new board are zero.
func TestNewIsZero(t *testing.T) {
	b := New(4, 3)
	if got := b.Totals(); got != (LoopTotals{}) {
		t.Errorf("new loops: %+v", got)
	}
	for i := range b.Backends() {
		if got := b.BackendTotals(i); got != (BackendTotals{}) {
			t.Errorf("new backend %d: %+v", i, got)
		}
	}
}

// TestReadersBesideWriters: each loop writes its own slot while others read them all. No
// reader sees a counter decrease, and -race accepts the plain load of the one writer.
func TestReadersBesideWriters(t *testing.T) {
	const loops, rounds = 4, 20_000
	b := New(loops, 1)
	var writing atomic.Int32
	writing.Store(loops)
	var wait sync.WaitGroup
	for i := range loops {
		wait.Go(func() {
			defer writing.Add(-1)
			l, s := b.Loop(i), b.Backend(i, 0)
			for range rounds {
				l.Exchanges.Add(1)
				l.Requests.Add(1)
				s.Attempts.Add(1)
				l.Exchanges.Sub(1)
			}
		})
	}
	for range 2 {
		wait.Go(func() {
			var last uint64
			for writing.Load() > 0 {
				got := b.Totals().Requests
				if got < last || got > loops*rounds {
					t.Errorf("Requests went from %d to %d", last, got)
				}
				last = got
				runtime.Gosched()
			}
		})
	}
	wait.Wait()
	if got := b.Totals(); got.Requests != loops*rounds || got.Exchanges != 0 {
		t.Errorf("%d requests and %d exchanges, want %d and 0", got.Requests, got.Exchanges, loops*rounds)
	}
	if got := b.BackendTotals(0).Attempts; got != loops*rounds {
		t.Errorf("%d attempts, want %d", got, loops*rounds)
	}
}

func TestNoSuchSlot(t *testing.T) {
	b := New(2, 3)
	for name, f := range map[string]func(){
		"loop 2":                func() { b.Loop(2) },
		"loop -1":               func() { b.Loop(-1) },
		"backend 3":             func() { b.Backend(0, 3) },
		"backend 0 in loop 2":   func() { b.Backend(2, 0) },
		"state 3":               func() { b.State(3) },
		"state -1":              func() { b.State(-1) },
		"a loop beyond room":    func() { b.ClaimLoop(2) },
		"loop -1 claimed":       func() { b.ClaimLoop(-1) },
		"backend beyond room":   func() { b.ClaimBackend(3) },
		"backend -1 claimed":    func() { b.ClaimBackend(-1) },
		"loop 2 taken over":     func() { b.TakeOver(2) },
		"backend 3 cleared":     func() { b.Clear(3) },
		"state 3 cleared":       func() { b.ClearState(3) },
		"weight -1":             func() { b.SetWeight(0, -1) },
		"weight too large":      func() { b.SetWeight(0, weightMax+1) },
		"slot 2 held":           func() { b.Slots(nil).Hold(2) },
		"a board of no loops":   func() { New(0, 1) },
		"a board of -1 backend": func() { New(1, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			if !testkit.Panics(f) {
				t.Error("no panic; a slot of someone else would be given out")
			}
		})
	}
}

// TestCountNoAlloc: counting, which every request does many times, does not
// allocate.
func TestCountNoAlloc(t *testing.T) {
	b := New(1, 1)
	l := b.Loop(0)
	if n := testing.AllocsPerRun(100, func() { l.Requests.Add(1); l.Exchanges.Sub(1) }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = b.Totals() }); n != 0 {
		t.Errorf("Totals allocates %v times", n)
	}
}

func TestHeapClose(t *testing.T) {
	b := New(1, 1)
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := b.Totals(); !reflect.ValueOf(got).IsZero() {
		t.Errorf("a board on the heap is gone after Close: %+v", got)
	}
}
