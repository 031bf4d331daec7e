package upkeep

import (
	"testing"

	"lb/board"
	"lb/loop"
	"lb/loop/looptest"
)

// TestUpkeep: memory goes back to the system when it is worth it, and seldom; the board
// has the turns.
func TestUpkeep(t *testing.T) {
	k := looptest.New(1)
	l := loop.New(k, loop.Options{})
	b := board.New(2, 1)
	trims, given, frees := 0, 0, 0
	u := &Upkeep{Loop: l, Counters: b.Loop(0), Trim: func() int { trims++; return frees }, GiveBack: func() { given++ }}
	u.Begin()
	next := func(free int) {
		frees = free
		for before := trims; trims == before; {
			k.Pass(l, every/8)
		}
	}
	for range 2 * giveBackEvery / every {
		next(0)
	}
	if given != 0 {
		t.Error("given back although nothing was freed")
	}
	if n, turns := b.Loop(0).Turns.Load(), l.Counters().Turns; n == 0 || n > turns {
		t.Errorf("%d turns on the board, the loop has made %d", n, turns)
	}
	if next(giveBackMin / 2); given != 0 {
		t.Error("given back although it is little")
	}
	if next(giveBackMin / 2); given != 1 {
		t.Errorf("given back %d times, want once", given)
	}
	for range giveBackEvery/every + 1 {
		next(0)
	}
	if given != 1 {
		t.Error("given back twice")
	}
	if next(giveBackMin); given != 2 {
		t.Error("not given back again")
	}
	if next(giveBackMin); given != 2 {
		t.Error("given back again too soon")
	}
}
