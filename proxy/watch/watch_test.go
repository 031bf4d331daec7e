package watch

import (
	"testing"
	"time"

	"lb/board"
	"lb/loop"
	"lb/loop/looptest"
)

// TestWatch: changes since Begin are noticed while the loop is busy, those of others too;
// an idle loop has no timer.
func TestWatch(t *testing.T) {
	k := looptest.New(1)
	l := loop.New(k, loop.Options{})
	b := board.New(2, 1)
	busy, again, calls := true, false, 0
	w := &Watch{Loop: l, Board: b, Busy: func() bool { return busy }, Changed: func() bool { calls++; return again }}
	want := func(n int, what string) {
		t.Helper()
		k.Pass(l, 3*Every+time.Millisecond)
		if calls != n {
			t.Fatalf("%s: called %d times, want %d", what, calls, n)
		}
	}
	b.Changed()
	w.Begin()
	w.Begin()
	want(0, "a change before it")
	b.Changed()
	want(1, "a change")
	b.Changed()
	again = true
	k.Pass(l, Every+time.Millisecond)
	if calls < 2 {
		t.Fatal("not called for a change")
	}
	before := calls
	k.Pass(l, 10*Every)
	if calls < before+5 {
		t.Errorf("called %d times more in ten steps, want nearly each", calls-before)
	}
	busy = false
	k.Pass(l, 2*Every)
	calls = 0
	b.Changed()
	want(0, "when it is not busy")
	if l.Timers() != 0 {
		t.Error("an idle loop has a timer")
	}
	busy, again = true, false
	w.Begin()
	b.Changed()
	want(1, "when it is busy again")
}
