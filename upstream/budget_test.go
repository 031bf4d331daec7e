package upstream

import (
	"math/rand/v2"
	"testing"
	"time"

	"lb/loop/tick"
)

const (
	second = tick.Instant(time.Second)
	window = 10 * time.Second
)

// spend begins some exchanges and returns how many retries are then allowed.
func spend(b *Budget, begin int, now tick.Instant) (retries int) {
	for range begin {
		b.Begin(now)
	}
	for b.Retry(now) {
		retries++
	}
	return retries
}

func TestBudgetShare(t *testing.T) {
	for _, tc := range []struct {
		share       float64
		least       int
		begin, want int
	}{
		{0.2, 3, 0, 3},
		{0.2, 3, 1, 3},
		{0.2, 3, 15, 3},
		{0.2, 3, 19, 3},
		{0.2, 3, 20, 4},
		{0.2, 3, 1000, 200},
		{0.2, 0, 5, 1},
		{0.2, 0, 4, 0},
		{0.29, 0, 100, 29}, // 0.29*100 is below 29 in floating point,
		{0.07, 0, 100, 7},  // and 0.07*100 is above 7
		{0, 0, 100, 0},
		{0, 3, 100, 3},
		{1, 0, 100, 100},
	} {
		b := NewBudget(tc.share, tc.least, window)
		if got := spend(&b, tc.begin, second); got != tc.want {
			t.Errorf("share %v, least %d, %d exchanges: %d retries, want %d", tc.share, tc.least, tc.begin, got, tc.want)
		}
	}
}

// TestBudgetOverTime: a spent budget recovers within a window, in small steps of
// time or in one, and not before the exchanges that spent it are forgotten.
func TestBudgetOverTime(t *testing.T) {
	for _, step := range []time.Duration{time.Millisecond, 300 * time.Millisecond, time.Second, window} {
		b := NewBudget(0.2, 3, window)
		begin := second
		if got := spend(&b, 100, begin); got != 20 {
			t.Fatalf("%d retries, want 20", got)
		}
		now := begin
		for ; now.Sub(begin) < window-window/budgetBuckets; now = now.Add(step) {
			if b.Retry(now) {
				t.Errorf("step %v: a retry beyond the budget after %v", step, now.Sub(begin))
			}
		}
		if got := spend(&b, 0, begin.Add(window)); got != 3 {
			t.Errorf("step %v: %d retries a window later, want the least, 3", step, got)
		}
	}
}

// TestBudgetAfterIdle: after a long quiet time nothing earlier counts.
func TestBudgetAfterIdle(t *testing.T) {
	b := NewBudget(0.2, 3, window)
	spend(&b, 1000, second)
	for _, idle := range []time.Duration{window, 7 * window, 1000 * time.Hour} {
		now := second.Add(idle + 1)
		if got := spend(&b, 50, now); got != 10 {
			t.Errorf("%v later: %d retries for 50 exchanges, want 10", idle, got)
		}
	}
}

// TestBudgetBound: in any sequence, the retries of the last window (less a bucket)
// never exceed the share of the last window's exchanges, or the least.
func TestBudgetBound(t *testing.T) {
	type event struct {
		at    tick.Instant
		retry bool
	}
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 5))
		b := NewBudget(0.2, 3, window)
		now := second
		var past []event
		for range 2000 {
			now = now.Add(time.Duration(rng.Int64N(int64(40 * time.Millisecond))))
			if rng.IntN(3) > 0 {
				b.Begin(now)
				past = append(past, event{now, false})
				continue
			}
			if !b.Retry(now) {
				continue
			}
			past = append(past, event{now, true})
			begun, retries := 0, 0
			for _, e := range past {
				age := now.Sub(e.at)
				if e.retry && age < window-window/budgetBuckets {
					retries++
				}
				if !e.retry && age <= window {
					begun++
				}
			}
			if retries > max(3, begun/5) {
				t.Fatalf("seed %d: %d retries and %d exchanges in the window before %d", seed, retries, begun, now)
			}
		}
	}
}

// TestBudgetSteady: under steady load in which everything fails, that share of the
// exchanges is retried, no more and not much less.
func TestBudgetSteady(t *testing.T) {
	b := NewBudget(0.2, 3, window)
	now, retries := second, 0
	const exchanges = 100_000
	for range exchanges {
		now = now.Add(time.Millisecond)
		b.Begin(now)
		if b.Retry(now) {
			retries++
		}
	}
	if retries > exchanges/5 || retries < exchanges/5*95/100 {
		t.Errorf("%d retries in %d exchanges, want 95 to 100 %% of a fifth", retries, exchanges)
	}
}

func TestBudgetNoAlloc(t *testing.T) {
	b := NewBudget(0.2, 3, window)
	now := second
	if n := testing.AllocsPerRun(100, func() { now += second; b.Begin(now); b.Retry(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
