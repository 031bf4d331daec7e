package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lb/loop/tick"
)

// waiter stands for an exchange.
type waiter struct {
	link     WaitLink[*waiter]
	deadline tick.Instant
}

// TestWaitModel compares a list with a slice under random operations.
func TestWaitModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 6))
		list := WaitList[*waiter]{Max: rng.IntN(8)}
		var model []*waiter
		waiters := make([]waiter, 10)
		now := start
		for step := range 800 {
			now += tick.Instant(rng.IntN(5))
			w := &waiters[rng.IntN(len(waiters))]
			at := slices.Index(model, w)
			switch rng.IntN(4) {
			case 0:
				if at >= 0 {
					continue
				}
				w.deadline = now + 20
				if got, want := list.Put(&w.link, w, w.deadline), len(model) < list.Max; got != want {
					t.Fatalf("seed %d, step %d: Put is %v with %d of %d", seed, step, got, len(model), list.Max)
				} else if got {
					model = append(model, w)
				}
			case 1:
				got, ok := list.Get()
				if ok != (len(model) > 0) || ok && got != model[0] {
					t.Fatalf("seed %d, step %d: Get is not the first", seed, step)
				}
				model = model[min(1, len(model)):]
			case 2:
				if got := list.Remove(&w.link); got != (at >= 0) {
					t.Fatalf("seed %d, step %d: Remove is %v", seed, step, got)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			case 3:
				for {
					got, ok := list.Expired(now)
					if ok != (len(model) > 0 && model[0].deadline <= now) || ok && got != model[0] {
						t.Fatalf("seed %d, step %d: Expired is %v at %d", seed, step, ok, now)
					}
					if !ok {
						break
					}
					model = model[1:]
				}
			}
			first, deadline, ok := list.First()
			if list.Len() != len(model) || ok != (len(model) > 0) || ok && (first != model[0] || deadline != model[0].deadline) {
				t.Fatalf("seed %d, step %d: %d wait, First %v, want %d", seed, step, list.Len(), ok, len(model))
			}
		}
		for range model {
			list.Get()
		}
		for i := range waiters {
			if waiters[i].link != (WaitLink[*waiter]{}) {
				t.Fatalf("seed %d: one that no longer waits is still linked", seed)
			}
		}
	}
}

func TestWaitNoAlloc(t *testing.T) {
	list := WaitList[*waiter]{Max: 3}
	waiters := make([]waiter, 4)
	allocs := testing.AllocsPerRun(100, func() {
		for i := range waiters {
			list.Put(&waiters[i].link, &waiters[i], start)
		}
		list.Remove(&waiters[1].link)
		list.Get()
		list.Expired(start)
	})
	if allocs != 0 || list.Len() != 0 {
		t.Errorf("%v allocations, %d left", allocs, list.Len())
	}
}
