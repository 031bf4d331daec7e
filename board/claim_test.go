package board

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"lb/internal/testkit"
)

// TestClaim: the range in use only grows, to one past the highest claim. A place that
// was not claimed cannot be reached, though there is room for it.
func TestClaim(t *testing.T) {
	b, f, err := Create(Size{Loops: 8, Backends: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer b.Close()
	for i, tc := range []struct{ slot, id, loops, backends int }{
		{0, 0, 1, 1}, {0, 0, 1, 1}, {3, 2, 4, 3}, {1, 1, 4, 3}, {7, 8, 8, 9},
	} {
		b.ClaimLoop(tc.slot)
		b.ClaimBackend(tc.id)
		if b.Loops() != tc.loops || b.Backends() != tc.backends {
			t.Errorf("step %d: %d loops and %d backends, want %d and %d", i, b.Loops(), b.Backends(), tc.loops, tc.backends)
		}
		for name, f := range map[string]func(){
			"loop":            func() { b.Loop(b.Loops()) },
			"state":           func() { b.State(b.Backends()) },
			"backend":         func() { b.Backend(0, b.Backends()) },
			"loop of backend": func() { b.Backend(b.Loops(), 0) },
		} {
			if !testkit.Panics(f) {
				t.Errorf("step %d: a %s beyond what is claimed was given out", i, name)
			}
		}
	}
	if !testkit.Panics(func() { b.ClaimLoop(8) }) || !testkit.Panics(func() { b.ClaimBackend(9) }) {
		t.Error("claimed what there is no room for")
	}
}

// TestClaimAtOnce: during an upgrade both supervisors claim while loops read. No
// claim is lost.
func TestClaimAtOnce(t *testing.T) {
	const most = 500
	b, f, err := Create(Size{Loops: 1, Backends: most})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer b.Close()
	b.ClaimLoop(0)
	var wait sync.WaitGroup
	for half := range 2 {
		wait.Go(func() {
			for id := half; id < most; id += 2 {
				b.ClaimBackend(id)
				b.State(id).Faults.Add(1)
			}
		})
	}
	wait.Go(func() {
		for last := 0; last < most; {
			n := b.Backends()
			if n < last {
				t.Errorf("%d backends after %d", n, last)
			}
			if last = n; n > 0 {
				_ = b.InFlight(n-1) + b.BackendTotals(n-1).Attempts
			}
			runtime.Gosched()
		}
	})
	wait.Wait()
	for id := range most {
		if b.State(id).Faults.Load() != 1 {
			t.Errorf("backend %d was lost", id)
		}
	}
}

// TestClear: all words of one backend become zero, and no word of any other.
func TestClear(t *testing.T) {
	for _, tc := range []struct {
		name     string
		clear    func(*Board, int)
		counters bool // become zero too
	}{
		{"Clear", (*Board).Clear, true},
		{"ClearState", (*Board).ClearState, false},
	} {
		b := New(3, 3)
		for id := range 3 {
			for i := range b.State(id).words() {
				b.State(id).words()[i].Store(7)
			}
			for loop := range 3 {
				fill(b.Backend(loop, id).counters(), 10)
			}
		}
		fill(b.Loop(1).counters(), 20)
		version, loops, want := b.Version(), b.Totals(), b.BackendTotals(0)
		tc.clear(b, 1)
		if b.Version() == version {
			t.Errorf("%s: the loops do not hear of the state's change", tc.name)
		}
		for id := range 3 {
			for i := range b.State(id).words() {
				if got := b.State(id).words()[i].Load(); (got == 0) != (id == 1) {
					t.Errorf("%s(1): word %d of state %d is %d", tc.name, i, id, got)
				}
			}
			got := b.BackendTotals(id)
			if id == 1 && tc.counters && got != (BackendTotals{}) || (id != 1 || !tc.counters) && got != want {
				t.Errorf("%s(1): backend %d has %+v", tc.name, id, got)
			}
		}
		if got := b.Totals(); got != loops {
			t.Errorf("%s(1): the loops have %+v, want %+v", tc.name, got, loops)
		}
	}
}

// TestClearBesideReaders: a reader during a Clear sees old words or zeros, and
// -race finds nothing.
func TestClearBesideReaders(t *testing.T) {
	const rounds = 2000
	b := New(2, 2)
	var done atomic.Bool
	var wait sync.WaitGroup
	wait.Go(func() {
		defer done.Store(true)
		for range rounds {
			b.Backend(1, 0).Attempts.Add(3)
			b.State(0).Faults.Store(3)
			b.Clear(0)
		}
	})
	wait.Go(func() {
		for !done.Load() {
			if got := b.BackendTotals(0).Attempts; got != 0 && got != 3 {
				t.Errorf("%d attempts, want 0 or 3", got)
			}
			if got := b.State(0).Faults.Load(); got != 0 && got != 3 {
				t.Errorf("%d faults, want 0 or 3", got)
			}
			runtime.Gosched()
		}
	})
	wait.Wait()
}

func TestOldestConfig(t *testing.T) {
	b, f, err := Create(Size{Loops: 6, Backends: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer b.Close()
	if got := b.OldestConfig(); got != 0 {
		t.Errorf("%d without a loop, want 0", got)
	}
	b.ClaimLoop(3)
	for i, tc := range []struct {
		slot      int
		set, want uint64
	}{
		{2, 5, 5}, // the other slots have no running loop
		{0, 7, 5},
		{3, 4, 4},
		{2, 8, 4},
		{3, 9, 7},
		{0, 0, 8}, // ended
		{2, 0, 9},
		{3, 0, 0},
	} {
		b.Loop(tc.slot).OldestConfig.Set(tc.set)
		if got := b.OldestConfig(); got != tc.want {
			t.Errorf("step %d: %d, want %d", i, got, tc.want)
		}
	}
	b.Loop(1).OldestConfig.Set(3)
	b.Loop(2).OldestConfig.Set(6)
	b.TakeOver(1) // the worker was killed
	if got := b.OldestConfig(); got != 6 {
		t.Errorf("%d, want 6: who was killed holds no snapshot", got)
	}
}

// TestReserveBeyondTheFirst: places are counted over loops that were claimed at different
// times, as at a reload or an upgrade.
func TestReserveBeyondTheFirst(t *testing.T) {
	b, f := create(t, 1, 2)
	if !b.Reserve(0, 1, 2) {
		t.Fatal("no place at an idle backend")
	}
	other, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b.ClaimLoop(3)
	if !other.Reserve(3, 1, 2) || other.Reserve(2, 1, 2) || b.Reserve(0, 1, 2) {
		t.Errorf("%d in flight, want the two places given to loops 0 and 3", b.InFlight(1))
	}
	if got := []uint64{b.InFlight(0), b.InFlight(1)}; fmt.Sprint(got) != "[0 2]" {
		t.Errorf("%v in flight, want [0 2]", got)
	}
}
