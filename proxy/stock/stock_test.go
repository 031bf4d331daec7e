package stock

import (
	"math/rand/v2"
	"testing"

	"lb/board"
)

// loops returns the stocks of some loops of one backend.
func loops(n, connections, idle int) (b *board.Board, list []*Stock) {
	b = board.New(n, 1)
	for slot := range n {
		s := new(Stock)
		s.Init(b, slot, 0)
		s.Use(connections, idle)
		list = append(list, s)
	}
	return b, list
}

// TestIdleMax: idle conns of all loops together are no more than idle_max.
func TestIdleMax(t *testing.T) {
	b, all := loops(3, 0, 2)
	if !all[0].Put(1) || !all[1].Put(1) || all[2].Put(1) || b.Idle(0) != 2 {
		t.Errorf("%d idle conns of 2", b.Idle(0))
	}
	all[0].Take()
	if !all[2].Put(0) || b.Idle(0) != 2 {
		t.Error("a place that is free is not to be had")
	}
	if new(Stock).Use(0, -1) || !new(Stock).Use(5, 0) {
		t.Error("idle_max = 0 keeps a conn, or without it none is kept")
	}
	_, free := loops(1, 0, 0)
	for range 1000 {
		if !free[0].Put(1) || free[0].Surplus() != 0 {
			t.Fatal("a conn is not kept without a limit")
		}
	}
}

// TestMaxConnections: attempts and idle conns together are no more than max_connections; an
// attempt of one loop has the idle conn of another go, by its bell.
func TestMaxConnections(t *testing.T) {
	b, all := loops(3, 1, 0)
	if !b.Reserve(0, 0, 1) || !all[0].Put(1) {
		t.Fatal("the conn of the only attempt is not kept")
	}
	b.Backend(0, 0).InFlight.Sub(1) // the attempt has ended
	if all[0].Surplus() != 0 || all[0].Owed() != 0 {
		t.Errorf("%d are surplus", all[0].Surplus())
	}
	if !b.Reserve(1, 0, 1) {
		t.Fatal("no attempt is to be had")
	}
	n := all[1].Surplus()
	all[1].Ask(n)
	if n != 1 || !b.AwaitBell(0, 0) || b.AwaitBell(2, 0) || all[0].Owed() != 1 || all[2].Owed() != 0 {
		t.Errorf("%d surplus, the loop with it owes %d", n, all[0].Owed())
	}
	all[0].Take()
	if all[1].Surplus() != 0 {
		t.Error("still surplus")
	}
	if all[2].Put(0) {
		t.Error("a conn is kept beside the only attempt")
	}
}

// TestNeverMore: whatever loops do, attempts that have a conn and idle conns are never more
// than max_connections, if each gives up what it owes before an attempt has its conn.
func TestNeverMore(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		most := 1 + rng.IntN(4)
		b, all := loops(3, most, rng.IntN(3))
		running, idle := make([]int, 3), make([]int, 3)
		for range 500 {
			i := rng.IntN(3)
			switch s := all[i]; {
			case rng.IntN(2) == 0 && running[i] > 0: // it ends
				if s.Put(1) {
					idle[i]++
				}
				b.Backend(i, 0).InFlight.Sub(1)
				running[i]--
			case b.Reserve(i, 0, uint64(most)):
				running[i]++
				if idle[i] > 0 {
					s.Take()
					idle[i]--
					break
				}
				s.Ask(s.Surplus())
				for j, other := range all {
					if j != i && b.AwaitBell(j, 0) {
						for n := other.Owed(); n > 0; n-- {
							other.Take()
							idle[j]--
						}
					}
				}
			}
			sum := 0
			for j := range 3 {
				sum += running[j] + idle[j]
			}
			if sum > most {
				t.Fatalf("seed %d: %d conns of %d", seed, sum, most)
			}
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for name, connections := range map[string]int{"no limit": 0, "8 loops": 100} {
		_, all := loops(8, connections, 0)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				all[3].Put(1)
				all[3].Take()
			}
		})
	}
}
