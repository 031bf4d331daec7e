package board

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSetHealth: a change of state is reported once, with its reason, and only a backend
// that was down recovers.
func TestSetHealth(t *testing.T) {
	b := New(1, 2)
	s := b.State(1)
	for i, tc := range []struct {
		to        Health
		changed   bool
		recovered uint64 // RecoveredAt afterwards
	}{
		{Unknown, false, 0},
		{Up, true, 0},
		{Up, false, 0},
		{Down, true, 0},
		{Down, false, 0},
		{Up, true, 105},
		{Down, true, 105},
		{Unknown, true, 107},
	} {
		now, version, since := int64(100+i), b.Version(), s.HealthSince.Load()
		if tc.changed {
			since = uint64(now)
		}
		if got := b.SetHealth(1, tc.to, ReasonStatus, uint64(500+i), now); got != tc.changed {
			t.Errorf("step %d to %v: changed is %v", i, tc.to, got)
		}
		if (b.Version() != version) != tc.changed {
			t.Errorf("step %d: the version went from %d to %d", i, version, b.Version())
		}
		if Health(s.Health.Load()) != tc.to || s.HealthSince.Load() != since || s.RecoveredAt.Load() != tc.recovered {
			t.Errorf("step %d: %v since %d, recovered at %d, want %v, %d, %d", i, Health(s.Health.Load()),
				s.HealthSince.Load(), s.RecoveredAt.Load(), tc.to, since, tc.recovered)
		}
		if tc.changed && (Reason(s.HealthReason.Load()) != ReasonStatus || s.HealthDetail.Load() != uint64(500+i)) {
			t.Errorf("step %d: reason %v %d", i, Reason(s.HealthReason.Load()), s.HealthDetail.Load())
		}
	}
	if other := b.State(0); other.Health.Load() != 0 || other.HealthSince.Load() != 0 {
		t.Error("another backend changed")
	}
}

func TestSetAdmin(t *testing.T) {
	b := New(1, 1)
	s := b.State(0)
	for i, tc := range []struct {
		to        Admin
		changed   bool
		recovered uint64
	}{
		{Enabled, false, 0},
		{Draining, true, 0},
		{Draining, false, 0},
		{Disabled, true, 0},
		{Enabled, true, 104},
		{Enabled, false, 104},
	} {
		version := b.Version()
		if got := b.SetAdmin(0, tc.to, int64(100+i)); got != tc.changed || (b.Version() != version) != tc.changed {
			t.Errorf("step %d to %v: changed is %v, version %d to %d", i, tc.to, got, version, b.Version())
		}
		if Admin(s.Admin.Load()) != tc.to || s.RecoveredAt.Load() != tc.recovered {
			t.Errorf("step %d: %v, recovered at %d", i, Admin(s.Admin.Load()), s.RecoveredAt.Load())
		}
	}
	version := b.Version()
	b.Added(0, 200)
	if s.RecoveredAt.Load() != 200 || b.Version() == version {
		t.Error("a backend that was added does not start slowly")
	}
}

func TestSetWeight(t *testing.T) {
	b := New(1, 2)
	for i, tc := range []struct {
		to      int
		changed bool
	}{{0, false}, {3, true}, {3, false}, {weightMax, true}, {0, true}, {0, false}} {
		version := b.Version()
		if got := b.SetWeight(1, tc.to); got != tc.changed || (b.Version() != version) != tc.changed {
			t.Errorf("step %d to %d: changed is %v, version %d to %d", i, tc.to, got, version, b.Version())
		}
		if got := b.State(1).WeightOverride.Load(); got != uint64(tc.to) {
			t.Errorf("step %d: weight %d, want %d", i, got, tc.to)
		}
	}
	if b.State(0).WeightOverride.Load() != 0 {
		t.Error("another backend changed")
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Health(1).String(): "up", Health(9).String(): "code_9", Admin(2).String(): "disabled",
		ReasonBadAnswer.String(): "bad_answer", ReasonTime.String(): "time", ReasonTLS.String(): "tls", ReasonGRPC.String(): "grpc", (ReasonDrainField + 1).String(): "code_20",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestInFlight: the words of one backend are added up over all loops, and no others.
func TestInFlight(t *testing.T) {
	for _, s := range []shape{{loops: 1, backends: 1}, {loops: 3, backends: 2}, {loops: 5, backends: 40}} {
		b := New(s.loops, s.backends)
		for i := range s.loops {
			fill(b.Loop(i).counters(), 1_000_000)
			for j := range s.backends {
				fill(b.Backend(i, j).counters(), uint64(1000*i+j))
			}
		}
		for j := range s.backends {
			b.State(j).Health.Store(1 << 40)
			if got, want := b.InFlight(j), b.BackendTotals(j).InFlight; got != want {
				t.Errorf("%+v, backend %d: %d, want %d", s, j, got, want)
			}
		}
	}
}

// TestReserveNeverTooMany: concurrent loops never hold more places than the limit. A loop
// without competitors can get the last place.
func TestReserveNeverTooMany(t *testing.T) {
	const loops, limit, rounds = 4, 3, 20_000
	b := New(loops, 2)
	var held, most atomic.Int64
	var wait sync.WaitGroup
	for i := range loops {
		wait.Go(func() {
			slot := b.Backend(i, 1)
			for range rounds {
				if !b.Reserve(i, 1, limit) {
					runtime.Gosched()
					continue
				}
				n := held.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				runtime.Gosched()
				held.Add(-1)
				slot.InFlight.Sub(1)
			}
		})
	}
	wait.Wait()
	if most.Load() > limit {
		t.Errorf("%d places held at once, want at most %d", most.Load(), limit)
	}
	if got := b.InFlight(1); got != 0 {
		t.Errorf("%d places are left behind", got)
	}
	for i := range limit {
		if !b.Reserve(i, 1, limit) {
			t.Errorf("place %d of %d was refused", i+1, limit)
		}
	}
	if b.Reserve(loops-1, 1, limit) || b.InFlight(1) != limit || b.InFlight(0) != 0 {
		t.Errorf("%d in flight, want a refusal at %d", b.InFlight(1), limit)
	}
	b.TakeOver(0) // its worker was killed
	if !b.Reserve(2, 1, limit) {
		t.Error("the place of a loop that was killed and taken over is still held")
	}
}

// TestOneReporter: of many loops that make the same change of a word, only one learns
// that it made it.
func TestOneReporter(t *testing.T) {
	b := New(1, 1)
	s := b.State(0)
	var made atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range uint64(1000) {
				if s.EjectedUntil.CompareAndSwap(i, i+1) {
					made.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if got := s.EjectedUntil.Load(); got != uint64(made.Load()) {
		t.Errorf("%d changes were told of, %d happened", made.Load(), got)
	}
}

func TestWall(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := Wall(uint64(7*time.Second), int64(10*time.Second), now); !got.Equal(now.Add(-3 * time.Second)) {
		t.Errorf("%v, want 3 s before %v", got, now)
	}
}
