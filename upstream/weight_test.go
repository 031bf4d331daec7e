package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lb/board"
	"lb/config"
)

// TestWeightOfRunTime: an operator's weight counts from the next pick on for each
// strategy, and 0 restores the configured weight.
func TestWeightOfRunTime(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		p, shared := buildOf(strategy, 1, 2, 1).pool()
		for _, tc := range []struct {
			id, weight int
			want       []float64
		}{
			{0, 0, []float64{1, 2, 1}},
			{0, 5, []float64{5, 2, 1}},
			{2, 65535, []float64{5, 2, 65535}},
			{2, 3, []float64{5, 2, 3}},
			{0, 0, []float64{1, 2, 3}},
			{2, 0, []float64{1, 2, 1}},
		} {
			shared.SetWeight(tc.id, tc.weight)
			counts := count(t, p, 40_000, start)
			for i, w := range tc.want {
				want := 40_000 * w / (tc.want[0] + tc.want[1] + tc.want[2])
				if got := float64(counts[i]); got < 0.93*want-30 || got > 1.07*want+30 {
					t.Errorf("weights %v: picks %v", tc.want, counts)
					break
				}
			}
		}
	})
}

// TestWeightOfOneThatIsOut: the weight counts when the backend returns.
func TestWeightOfOneThatIsOut(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		p, shared := buildOf(strategy, 1, 1).state("dd")
		shared.SetWeight(0, 3)
		if _, why := p.Pick(Ask{}, start); why != Down {
			t.Fatal(why)
		}
		for i := range 2 {
			shared.SetHealth(i, board.Up, board.ReasonOK, 200, 1)
		}
		counts := count(t, p, 20_000, start)
		if share := float64(counts[0]) / 20_000; share < 0.73 || share > 0.77 {
			t.Errorf("%v, want 3:1", counts)
		}
	})
}

// TestHashMovesByWeight: after a change of weight the keys are where they would be
// had it been configured, and few keys of the others move.
func TestHashMovesByWeight(t *testing.T) {
	p, shared := buildOf(config.HashOnKey, equal(10, 10)...).pool()
	before := picks(t, p, 20_000)
	shared.SetWeight(4, 5)
	after := picks(t, p, 20_000)
	weights := equal(10, 10)
	weights[4] = 5
	q, _ := buildOf(config.HashOnKey, weights...).pool()
	if got := moved(after, picks(t, q, 20_000)); got != 0 {
		t.Errorf("%.4f of the keys are elsewhere than with the same weight in the configuration", got)
	}
	if got := moved(before, after); got < 0.04 || got > 0.09 {
		t.Errorf("%.4f of the keys moved, want the 5 %% that the backend gives away, and little more", got)
	}
}

// TestRoundRobinKeepsItsPlace: frequent changes of weight starve no backend.
func TestRoundRobinKeepsItsPlace(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, equal(4, 100)...).pool()
	counts, rng := make([]int, 4), rand.New(rand.NewPCG(1, 14))
	for range 2000 {
		shared.SetWeight(0, 99+rng.IntN(3))
		for range 2 {
			i, _ := p.Pick(Ask{}, start)
			counts[i]++
			p.Release(i)
		}
	}
	for _, n := range counts {
		if n < 800 || n > 1200 {
			t.Fatalf("%v, want about 1000 each", counts)
		}
	}
}

// TestAnyIDs: a pool's IDs may be in any order, and what happens to the IDs between
// them does not matter.
func TestAnyIDs(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		set := buildOf(strategy, 1, 1, 1)
		set.Hash.BalanceFactor = 1.5
		shared := board.New(2, 10)
		var backends []*Backend[*conn]
		ids := []int{7, 2, 9}
		for i, id := range ids {
			set.Backends[i].MaxConnections = 2
			backends = append(backends, NewBackend[*conn](shared, 1, id, set.Backends[i].String()))
		}
		p := NewPool(set.Pool, shared, backends, Seat{Slot: 1, Loops: 1})
		for _, other := range []int{0, 1, 3, 8} {
			shared.SetHealth(other, board.Down, board.ReasonConnect, 0, 1)
			shared.Backend(0, other).InFlight.Add(100)
		}
		shared.Backend(0, 2).InFlight.Add(1) // another loop has an attempt at the second backend
		shared.SetHealth(9, board.Down, board.ReasonConnect, 0, 1)
		var got []int
		for key := uint64(1); ; key++ {
			i, why := p.Pick(Ask{Key: key}, start)
			if why != Picked {
				break
			}
			got = append(got, i)
		}
		slices.Sort(got)
		if !slices.Equal(got, []int{0, 0, 1}) {
			t.Errorf("picked %v, want two of the first and, as another loop has one, one of the second", got)
		}
		if shared.InFlight(7) != 2 || shared.InFlight(2) != 2 || shared.InFlight(9) != 0 || shared.Backend(1, 7).InFlight.Load() != 2 {
			t.Error("attempts are counted elsewhere")
		}
		if c, ejected := fail(p, 0, 3, start); !ejected || c.ID != 7 || shared.State(7).EjectedUntil.Load() == 0 {
			t.Errorf("%+v, %v, want 7 ejected", c, ejected)
		}
	})
}

// TestSharedBackend: pools of two configurations count at the same backend, and see
// each other's faults.
func TestSharedBackend(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		set := buildOf(strategy, 1, 1, 1)
		set.Backends[0].MaxConnections = 1
		p, shared := set.pool()
		next := *set
		next.Backends = []config.Backend{set.Backends[2], set.Backends[0]}
		next.Backends[0].Drain = true
		q := NewPool(next.Pool, shared, []*Backend[*conn]{p.Backends[2], p.Backends[0]}, Seat{Loops: 1})
		for {
			i, why := p.Pick(Ask{}, start)
			if why != Picked {
				t.Fatal(why)
			}
			if i == 0 {
				break
			}
		}
		if i, why := q.Pick(Ask{}, start); why != Full {
			t.Errorf("%d, %d: want it full by the other pool's attempt", i, why)
		}
		q.Release(1)
		if i, why := q.Pick(Ask{}, start); why != Picked || i != 1 {
			t.Errorf("%d, %d: want the place that was given back", i, why)
		}
		fail(p, 0, 2, start)
		p.Succeeded(0, 0, start)
		fail(p, 0, 2, start)
		if c, ejected := p.Failed(0, Fault{Why: board.ReasonReset, Detail: 0}, start); !ejected || c.ID != 0 {
			t.Fatal("not ejected")
		}
		if !slices.Equal(ejectedAt(shared, start), []int{0}) || !q.roster.isEjected(1, start) {
			t.Error("the other pool does not know")
		}
	})
}

// TestContinueFrom: pools that replace each other before a round is complete starve
// no backend.
func TestContinueFrom(t *testing.T) {
	counts := make([]int, 5)
	p, shared := buildOf(config.RoundRobin, equal(5, 1)...).pool()
	for i := range 1000 {
		set := buildOf(config.RoundRobin, equal(5, 1+i%7)...)
		q := set.on(shared, 0)
		q.ContinueFrom(p)
		p = q
		for range 2 {
			i, _ := p.Pick(Ask{}, start)
			counts[i]++
			p.Release(i)
		}
	}
	if want := equal(5, 400); !slices.Equal(counts, want) {
		t.Errorf("%v, want %v", counts, want)
	}
	none, _ := buildOf(config.RoundRobin).pool()
	none.ContinueFrom(p)
	p.ContinueFrom(none)
	other, _ := buildOf(config.P2C, 1).pool()
	other.ContinueFrom(p)
	p.ContinueFrom(other)
}
