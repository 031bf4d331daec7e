package upstream

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// fail reports faults of a backend and returns the change by the last one.
func fail(p *Pool[*conn], i, faults int, now tick.Instant) (c Change, ejected bool) {
	for range faults {
		c, ejected = p.Failed(i, Fault{Why: board.ReasonReset, Detail: 0}, now)
	}
	return c, ejected
}

// ejectedAt returns the backends that are ejected at now.
func ejectedAt(shared *board.Board, now tick.Instant) (list []int) {
	for i := range shared.Backends() {
		if tick.Instant(shared.State(i).EjectedUntil.Load()) > now {
			list = append(list, i)
		}
	}
	return list
}

func TestEject(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	if c, ejected := fail(p, 1, 2, start); ejected {
		t.Fatalf("two faults eject: %+v", c)
	}
	p.Succeeded(1, time.Millisecond, start)
	if _, ejected := fail(p, 1, 2, start); ejected {
		t.Fatal("two faults behind a success eject")
	}
	got, ejected := p.Failed(1, Fault{Why: board.ReasonStatus, Detail: 503}, start)
	want := Change{ID: 1, Name: "10.0.0.1:80", Ejected: true, Reason: board.ReasonStatus, Detail: 503,
		Count: 1, For: 10 * time.Second}
	if !ejected || got != want {
		t.Fatalf("%+v, %v, want %+v", got, ejected, want)
	}
	s := shared.State(1)
	if s.EjectedSince.Load() != uint64(start) || s.EjectedReason.Load() != uint64(board.ReasonStatus) || s.EjectedDetail.Load() != 503 {
		t.Error("the board does not know since when and why")
	}
	if _, again := fail(p, 1, 10, start); again {
		t.Error("faults of what was at work then eject it again")
	}
	if list, _ := may(p, start.Add(10*time.Second-1)); !slices.Equal(list, []int{0, 2}) {
		t.Errorf("%v are picked, want 0 and 2", list)
	}
}

// TestRestore: a backend returns when its time is over, and one pick reports it.
func TestRestore(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	var told []Change
	p.Notify(func(c Change) { told = append(told, c) })
	fail(p, 1, 3, start)
	back := start.Add(10 * time.Second)
	if list, _ := may(p, back); !slices.Equal(list, []int{0, 1, 2}) {
		t.Errorf("%v are picked, want all", list)
	}
	want := []Change{{ID: 1, Name: "10.0.0.1:80", Reason: board.ReasonTime, Count: 1, For: 10 * time.Second}}
	if !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
	if s := shared.State(1); s.EjectedUntil.Load() != 0 || s.RecoveredAt.Load() != uint64(back) {
		t.Error("the board does not know")
	}
}

// TestEjectAgain: after an ejection a single fault ejects again, each time for
// longer up to the maximum. A success makes it three faults again, and quiet
// minutes make it shorter.
func TestEjectAgain(t *testing.T) {
	p, _ := buildOf(config.RoundRobin, 1, 1, 1).pool()
	now := start
	fail(p, 1, 2, now)
	for n := 1; n <= 40; n++ {
		c, ejected := fail(p, 1, 1, now)
		if want := min(time.Duration(n)*10*time.Second, 5*time.Minute); !ejected || c.For != want || c.Count != min(n, 30) {
			t.Fatalf("ejection %d: %+v, %v, want it for %v", n, c, ejected, want)
		}
		now = now.Add(c.For)
		may(p, now)
	}
	p.Succeeded(1, time.Millisecond, now)
	if _, ejected := fail(p, 1, 2, now); ejected {
		t.Error("two faults behind a success eject")
	}
	now = now.Add(10*time.Minute + 30*time.Second)
	if c, ejected := fail(p, 1, 1, now); !ejected || c.Count != 21 {
		t.Errorf("ten quiet minutes behind the 30th: %+v, %v, want the 21st", c, ejected)
	}
	now = now.Add(24 * time.Hour)
	may(p, now)
	if c, ejected := fail(p, 1, 1, now); !ejected || c.Count != 1 {
		t.Errorf("a quiet day later: %+v, %v, want the first", c, ejected)
	}
}

// TestEjectAtMost: never more than half of a pool, and never the last usable backend.
func TestEjectAtMost(t *testing.T) {
	for _, tc := range []struct {
		states  string
		percent int
		want    []int
	}{
		{".", 50, nil},
		{".", 100, nil},
		{"..", 50, []int{0}},
		{"...", 50, []int{0}},
		{"....", 50, []int{0, 1}},
		{".....", 50, []int{0, 1}},
		{"....", 100, []int{0, 1, 2}},
		{"....", 0, nil},
		{"..d", 100, []int{0}}, // backend 1 is the last
		{".dd", 100, nil},
		{".xx", 100, nil},
		{".xc", 100, []int{2}}, // so that sticky clients go elsewhere
		{".B", 50, []int{0}},   // the backup takes over
		{"..wB", 50, []int{0, 1}},
	} {
		set := buildOf(config.RoundRobin, equal(len(tc.states), 1)...)
		set.Eject.MaxPercent = tc.percent
		p, shared := set.state(tc.states)
		for range 10 {
			for i := range p.Backends {
				fail(p, i, 1, start)
			}
		}
		if got := ejectedAt(shared, start); !slices.Equal(got, tc.want) {
			t.Errorf("%s, %d %%: %v ejected, want %v", tc.states, tc.percent, got, tc.want)
		}
	}
}

func TestEjectOff(t *testing.T) {
	set := buildOf(config.RoundRobin, 1, 1)
	set.Eject.Enabled = false
	p, _ := set.pool()
	if c, ejected := fail(p, 0, 100, start); ejected {
		t.Errorf("%+v, though it is off", c)
	}
}

// TestEjectTogether: many loops see the same faults at once. Each ejection and each
// return is reported once, and never is more than half of the pool out.
func TestEjectTogether(t *testing.T) {
	const loops, backends, rounds = 4, 6, 200
	set := buildOf(config.P2C, equal(backends, 1)...)
	set.loops = loops
	shared := board.New(loops, backends)
	var ejections, returns atomic.Int64
	now := start
	for round := range rounds {
		var wait sync.WaitGroup
		for loop := range loops {
			wait.Go(func() {
				p := set.on(shared, loop)
				p.Notify(func(Change) { returns.Add(1) })
				rng := rand.New(rand.NewPCG(uint64(round), uint64(loop)))
				for range 30 {
					b, _ := p.Pick(Ask{}, now)
					if _, ejected := p.Failed(rng.IntN(backends), Fault{Why: board.ReasonConnect, Detail: 0}, now); ejected {
						ejections.Add(1)
					}
					p.Release(b)
				}
			})
		}
		wait.Wait()
		if got := ejectedAt(shared, now); len(got) > backends/2 {
			t.Fatalf("round %d: %v ejected, more than half", round, got)
		}
		now = now.Add(6 * time.Minute)
	}
	p := set.on(shared, 0)
	p.Notify(func(Change) { returns.Add(1) })
	may(p, now)
	if ejections.Load() != returns.Load() || ejections.Load() < rounds {
		t.Errorf("%d ejections and %d returns were told, want as many, and one a round at least", ejections.Load(), returns.Load())
	}
}

// TestEjectModel: for any sequence of faults, answers and picks, three faults in a
// row eject exactly when the rules allow it.
func TestEjectModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 11))
		n := 2 + rng.IntN(5)
		p, shared := buildOf(config.RoundRobin, equal(n, 1)...).pool()
		run, until := make([]int, n), make([]tick.Instant, n)
		now := start
		for range 2000 {
			now = now.Add(time.Duration(rng.IntN(400)) * time.Millisecond)
			if b, why := p.Pick(Ask{}, now); why == Picked {
				p.Release(b)
			}
			out := 0
			for i := range until {
				if until[i] <= now {
					until[i] = 0
				} else {
					out++
				}
			}
			i := rng.IntN(n)
			if rng.IntN(3) == 0 {
				p.Succeeded(i, time.Millisecond, now)
				run[i] = 0
				continue
			}
			c, ejected := fail(p, i, 1, now)
			if until[i] == 0 {
				run[i]++
			}
			if want := until[i] == 0 && run[i] >= 3 && (out+1)*2 <= n; ejected != want {
				t.Fatalf("seed %d: backend %d of %d with a run of %d, %d out: ejected is %v", seed, i, n, run[i], out, ejected)
			}
			if ejected {
				until[i] = now.Add(c.For)
			}
			if got := len(ejectedAt(shared, now)); got*2 > n {
				t.Fatalf("seed %d: %d of %d ejected", seed, got, n)
			}
		}
	}
}
