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

// TestLook: an idle loop notices changes when it looks, each once.
func TestLook(t *testing.T) {
	b := board.New(1, 1)
	calls := 0
	w := &Watch{Loop: loop.New(looptest.New(1), loop.Options{}), Board: b, Busy: func() bool { return true }, Changed: func() bool { calls++; return true }}
	for n := range 3 {
		b.Changed()
		w.Look()
		if w.Look(); calls != n+1 {
			t.Fatalf("called %d times, want %d", calls, n+1)
		}
	}
	w.Begin() // from now on, the timer looks
	b.Changed()
	if w.Look(); calls != 3 {
		t.Errorf("called %d times, want 3", calls)
	}
}
