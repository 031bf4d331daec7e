package waiting

import (
	"slices"
	"testing"

	"lb/loop"
	"lb/loop/looptest"
	"lb/loop/tick"
	"lb/upstream"
)

// waiter stands for an exchange.
type waiter struct {
	link  upstream.WaitLink[*waiter]
	since tick.Instant
	woken int
}

func (w *waiter) Since() tick.Instant { return w.since }
func (w *waiter) Wake()               { w.woken++ }

// Newcomers and those that have tried a backend wait in their own order; the first of each
// is woken when one leaves, and a successor gets them all, more than it would take.
func TestRoom(t *testing.T) {
	l := loop.New(looptest.New(1), loop.Options{})
	shown, since := -1, tick.Instant(-1)
	var r, next Room[*waiter]
	r.Init(l, func(n int, s tick.Instant) { shown, since = n, s })
	next.Init(l, func(n int, s tick.Instant) {})
	r.SetMax(2)
	all := []*waiter{{since: 5}, {since: 7}, {since: 6}, {since: 3}, {since: 9}}
	for i, x := range all[:4] {
		if !r.Put(&x.link, x, i >= 2) {
			t.Fatalf("%d is refused", i)
		}
	}
	if r.Put(&all[4].link, all[4], false) {
		t.Error("more newcomers wait than may")
	}
	if n, most := r.Newcomers(); n != 2 || most != 2 || r.Len() != 4 || shown != 4 || since != 5 {
		t.Errorf("%d newcomers of %d, %d in all, shown %d since %d", n, most, r.Len(), shown, since)
	}
	if x, _ := r.First(true); x != all[2] {
		t.Error("the first of those that come again is not the one that came first")
	}
	r.Remove(&all[2].link, true)
	if all[0].woken != 1 || all[1].woken != 0 || all[3].woken != 1 || since != 3 {
		t.Errorf("woken: %d, %d, %d; shown since %d; want the first of each, since 3", all[0].woken, all[1].woken, all[3].woken, since)
	}
	var order []*waiter
	next.SetMax(1)
	r.MoveTo(&next, func(x *waiter) (*upstream.WaitLink[*waiter], bool) {
		order = append(order, x)
		return &x.link, false
	})
	if n, _ := next.Newcomers(); n != 3 || r.Len() != 0 || shown != 0 || since != 0 || !slices.Equal(order, []*waiter{all[0], all[1], all[3]}) {
		t.Errorf("%d moved, %d left, shown %d since %d", n, r.Len(), shown, since)
	}
	if x, _ := next.First(false); x != all[0] || x.woken != 2 {
		t.Error("the first is another one now, or was not woken")
	}
}
