package looptest

import (
	"container/heap"
	"time"

	"lb/loop/tick"
)

// startOfTime is where the clock begins. It is not round, so that a duration
// mistaken for an instant shows.
const startOfTime tick.Instant = 1_000_000_007

// task is something to do at a time.
type task struct {
	at  tick.Instant
	seq uint64 // among tasks for the same time, the earlier made comes first
	do  func()
}

// agenda is a heap of tasks, the next one first.
type agenda []task

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a *agenda) Push(x any) { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = task{}
	*a = (*a)[:last]
	return x
}

// Now returns the fake time.
func (k *Kernel) Now() tick.Instant { return k.now }

// After schedules f to run within Wait or Advance, once d has passed.
func (k *Kernel) After(d time.Duration, f func()) { k.at(k.now.Add(d), f) }

// at schedules f for t; if t is now, for the next Wait or Advance.
func (k *Kernel) at(t tick.Instant, f func()) {
	k.seq++
	heap.Push(&k.agenda, task{at: t, seq: k.seq, do: f})
}

// Advance moves the clock by d and runs what is due on the way, in order. It does
// not turn the loop.
func (k *Kernel) Advance(d time.Duration) {
	k.advanceTo(k.now.Add(d))
}

func (k *Kernel) advanceTo(end tick.Instant) {
	for len(k.agenda) > 0 && k.agenda[0].at <= end {
		h := heap.Pop(&k.agenda).(task)
		k.now = max(k.now, h.at)
		h.do()
	}
	k.now = max(k.now, end)
}

// skip moves the clock to the next task, or to the deadline if that is earlier; 0
// means no deadline. It returns false if there is neither.
func (k *Kernel) skip(deadline tick.Instant) bool {
	next := deadline
	if len(k.agenda) > 0 && (next == 0 || k.agenda[0].at < next) {
		next = k.agenda[0].at
	}
	if next == 0 {
		return false
	}
	k.now = max(k.now, next)
	return true
}
