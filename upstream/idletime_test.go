package upstream

import (
	"math"
	"testing"
	"time"

	"lb/board"
)

func TestIdleTold(t *testing.T) {
	const limit = time.Minute
	for _, tc := range []struct {
		seconds int
		want    time.Duration
	}{
		{5, 4 * time.Second},
		{2, time.Second},
		{1, 500 * time.Millisecond},
		{0, 0},
		{-1, 0},
		{60, 59 * time.Second},
		{61, limit},
		{75, limit},
		{math.MaxInt, limit},
	} {
		s := board.New(1, 1).State(0)
		if got := IdleTimeout(s, limit, start); got != limit {
			t.Errorf("%v before anything is known", got)
		}
		IdleTold(s, tc.seconds)
		if got := IdleTimeout(s, limit, start); got > tc.want+1 || got < tc.want {
			t.Errorf("timeout=%d: used for %v, want %v", tc.seconds, got, tc.want)
		}
		IdleTold(s, 5)
		if got := IdleTimeout(s, limit, start.Add(time.Hour)); got != 4*time.Second {
			t.Errorf("timeout=5 behind that: %v", got)
		}
	}
}

// TestIdleClosed: the shortest observed time holds, is trusted less with age, and
// is trusted again when it is observed again.
func TestIdleClosed(t *testing.T) {
	const limit = time.Minute
	s := board.New(1, 1).State(0)
	at := func(after time.Duration, want time.Duration) {
		t.Helper()
		if got := IdleTimeout(s, limit, start.Add(after)); got != want {
			t.Errorf("after %v: used for %v, want %v", after, got, want)
		}
	}
	IdleClosed(s, 20*time.Second, start)
	at(0, 19*time.Second)
	IdleClosed(s, 30*time.Second, start) // longer: nothing new
	at(0, 19*time.Second)
	IdleClosed(s, 5*time.Second, start)
	at(0, 4*time.Second)
	at(idleDoubts-1, 4*time.Second)
	at(idleDoubts, 9*time.Second)
	at(2*idleDoubts, 19*time.Second)
	at(4*idleDoubts, limit)
	at(10_000*time.Hour, limit)
	IdleClosed(s, 6*time.Second, start.Add(idleDoubts)) // below the doubled time: news
	at(idleDoubts, 5*time.Second)
	IdleClosed(s, idleLeast-1, start.Add(idleDoubts)) // too soon: a restart, not a timeout
	at(idleDoubts, 5*time.Second)
}

// TestIdleBounded: whatever a backend does, a conn is never used longer than the
// limit, and never as long as the backend last kept one.
func TestIdleBounded(t *testing.T) {
	for _, age := range []time.Duration{idleLeast, time.Second, 3 * time.Second} {
		s := board.New(1, 1).State(0)
		IdleClosed(s, age, start)
		if got := IdleTimeout(s, time.Minute, start); got > age || age > 1 && got >= age || got < age/2 {
			t.Errorf("closed after %v: used for %v", age, got)
		}
		IdleTold(s, 1)
		if got := IdleTimeout(s, 10*time.Millisecond, start); got > 10*time.Millisecond {
			t.Errorf("closed after %v: used for %v, want at most 10ms", age, got)
		}
	}
}

// TestIdleForgetsRestart: a restart closes conns of all ages; within minutes conns
// are used for their whole time again.
func TestIdleForgetsRestart(t *testing.T) {
	s := board.New(1, 1).State(0)
	for age := time.Second; age > time.Millisecond; age /= 2 {
		IdleClosed(s, age, start)
	}
	if got := IdleTimeout(s, time.Minute, start.Add(3*time.Minute)); got != time.Minute {
		t.Errorf("three minutes later: %v", got)
	}
}

func TestIdleTimeNoAlloc(t *testing.T) {
	s := board.New(1, 1).State(0)
	now := start
	allocs := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		IdleTold(s, 5)
		IdleClosed(s, 3*time.Second, now)
		IdleTimeout(s, time.Minute, now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
