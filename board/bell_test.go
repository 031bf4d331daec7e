package board

import (
	"sync"
	"testing"
	"time"

	"lb/board/tally"
)

// TestBell: a bell is heard once, whether it was rung before it was waited for or meanwhile,
// and by the loop alone for which it is.
func TestBell(t *testing.T) {
	b := New(2, 0)
	if b.AwaitBell(0, 0) {
		t.Error("heard before it was rung")
	}
	b.Ring(0)
	b.Ring(0)
	if b.AwaitBell(1, 0) || !b.AwaitBell(0, time.Hour) || b.AwaitBell(0, 0) {
		t.Error("not heard once, by the loop that it was for")
	}
	var waits sync.WaitGroup
	heard := false
	waits.Go(func() {
		for !heard {
			heard = b.AwaitBell(0, time.Hour)
		}
	})
	b.Ring(0)
	waits.Wait()
}

// TestEnter: client conns over all loops are no more than the limit, and a loop that has
// ended leaves none.
func TestEnter(t *testing.T) {
	b := New(3, 0)
	for i := range 5 {
		if !b.Enter(i%3, 5) {
			t.Fatalf("conn %d is not let in", i)
		}
	}
	if b.Enter(0, 5) || b.Clients() != 5 {
		t.Errorf("%d conns of 5, or one more", b.Clients())
	}
	b.TakeOver(1)
	if b.Clients() != 3 || !b.Enter(0, 5) || !b.Enter(0, 5) || b.Enter(2, 5) {
		t.Errorf("%d conns", b.Clients())
	}
}

// TestTallyOfBoard: a board counts by key, over all loops; one that has ended leaves nothing.
func TestTallyOfBoard(t *testing.T) {
	b := New(2, 1)
	keys := tally.NewKeys(b.Secret())
	key := keys.Text("route")
	one, two := tally.New(b, 0), tally.New(b, 1)
	one.Enter(key, 3)
	two.Enter(key, 3)
	two.Enter(key, 3)
	if one.Enter(key, 3) != tally.Over || tally.Sum(b, key) != 3 {
		t.Errorf("%d of 3", tally.Sum(b, key))
	}
	b.TakeOver(1)
	if tally.Sum(b, key) != 1 {
		t.Errorf("%d are left of 1", tally.Sum(b, key))
	}
}

// TestIdle: idle conns to a backend are summed over all loops.
func TestIdle(t *testing.T) {
	b := New(3, 2)
	b.Backend(0, 1).Idle.Raise(2)
	b.Backend(2, 1).Idle.Add(1)
	if b.Idle(1) != 3 || b.Idle(0) != 0 {
		t.Errorf("%d and %d", b.Idle(1), b.Idle(0))
	}
	b.TakeOver(0)
	if b.Idle(1) != 1 {
		t.Errorf("%d after the end of a loop", b.Idle(1))
	}
}

func BenchmarkEnter(b *testing.B) {
	board := New(8, 0)
	for b.Loop() {
		board.Enter(3, 100)
		board.Loop(3).ClientConns.Sub(1)
	}
}
