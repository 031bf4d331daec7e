package upstream

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// waiter stands for an exchange.
type waiter struct {
	link WaitLink[*waiter]
}

// TestWaitModel compares a list with a slice under random operations.
func TestWaitModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 6))
		list := WaitList[*waiter]{Max: rng.IntN(8)}
		var model []*waiter
		waiters := make([]waiter, 10)
		for step := range 800 {
			w := &waiters[rng.IntN(len(waiters))]
			at := slices.Index(model, w)
			switch rng.IntN(3) {
			case 0:
				if at >= 0 {
					continue
				}
				if got, want := list.Put(&w.link, w), len(model) < list.Max; got != want {
					t.Fatalf("seed %d, step %d: Put is %v with %d of %d", seed, step, got, len(model), list.Max)
				} else if got {
					model = append(model, w)
				}
			case 1:
				if got, ok := list.First(); ok && !list.Remove(&got.link) {
					t.Fatalf("seed %d, step %d: the first is not in the list", seed, step)
				}
				model = model[min(1, len(model)):]
			case 2:
				if got := list.Remove(&w.link); got != (at >= 0) {
					t.Fatalf("seed %d, step %d: Remove is %v", seed, step, got)
				}
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
			}
			first, ok := list.First()
			if list.Len() != len(model) || ok != (len(model) > 0) || ok && first != model[0] {
				t.Fatalf("seed %d, step %d: %d wait, First %v, want %d", seed, step, list.Len(), ok, len(model))
			}
		}
		for _, w := range model {
			list.Remove(&w.link)
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
			list.Put(&waiters[i].link, &waiters[i])
		}
		for _, i := range []int{1, 0, 2} {
			list.Remove(&waiters[i].link)
		}
	})
	if allocs != 0 || list.Len() != 0 {
		t.Errorf("%v allocations, %d left", allocs, list.Len())
	}
}
