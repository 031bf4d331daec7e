// Package waiting has the exchanges of one loop that wait for room at a pool: in which
// order they are served, and when they look again. It does not know what makes room.
package waiting

import (
	"time"

	"lb/loop"
	"lb/loop/tick"
	"lb/upstream"
)

// Max is how many exchanges may wait in one loop and pool, newcomers and others each.
const Max = 1 << 14

// lookEvery is how often the first look for room that another loop has made.
const lookEvery = 8 * time.Millisecond

// Waiter is an exchange.
type Waiter interface {
	Since() tick.Instant // when it began to wait
	Wake()               // has it try again at the next turn
}

// Room holds the exchanges for which every backend of a pool is full, first come first
// served. Room that this loop makes goes to the first at once; for room that other loops
// make, the first tries again now and then. It belongs to one loop, and must not be copied.
type Room[X Waiter] struct {
	newcomers upstream.WaitList[X]
	// again are those that have tried a backend already. They wait for room at another
	// one, which is no reason for newcomers to wait.
	again upstream.WaitList[X]
	look  loop.Timer
	loop  *loop.Loop
	show  func(n int, since tick.Instant)
}

// Init prepares r, which is on l. show is called with how many wait and since when the first,
// or 0, when that has changed.
func (r *Room[X]) Init(l *loop.Loop, show func(n int, since tick.Instant)) {
	r.loop, r.show = l, show
	r.SetMax(Max)
}

// SetMax has each list take n exchanges.
func (r *Room[X]) SetMax(n int) { r.newcomers.Max, r.again.Max = n, n }

// Len returns how many wait.
func (r *Room[X]) Len() int { return r.newcomers.Len() + r.again.Len() }

// Newcomers returns how many wait that have tried no backend yet, and how many may.
func (r *Room[X]) Newcomers() (n, most int) { return r.newcomers.Len(), r.newcomers.Max }

// list returns the list of those that have tried a backend already, or of newcomers.
func (r *Room[X]) list(again bool) *upstream.WaitList[X] {
	if again {
		return &r.again
	}
	return &r.newcomers
}

// First returns the exchange that has waited longest of those that have tried a backend
// already, or of newcomers; ok is false if none waits.
func (r *Room[X]) First(again bool) (x X, ok bool) { return r.list(again).First() }

// Put has x wait, whose link l is in no list. It returns false if too many wait.
func (r *Room[X]) Put(l *upstream.WaitLink[X], x X, again bool) bool {
	first := r.Len() == 0
	if !r.list(again).Put(l, x) {
		return false
	}
	r.showFirst()
	if first { // otherwise it is armed, and a newcomer must not put it off
		r.arm()
	}
	return true
}

// Remove ends the wait of the exchange with link l. The next in line tries at once: there
// may be more room, or nothing to wait for.
func (r *Room[X]) Remove(l *upstream.WaitLink[X], again bool) {
	r.list(again).Remove(l)
	r.showFirst()
	r.Wake()
}

// Wake has the first of each list try again at the next turn.
func (r *Room[X]) Wake() {
	x, waits := r.newcomers.First()
	if waits {
		x.Wake()
	}
	if x, ok := r.again.First(); ok {
		x.Wake()
		waits = true
	}
	if waits {
		r.arm()
	}
}

func (r *Room[X]) arm() { r.loop.Arm(&r.look, r, r.loop.Now().Add(lookEvery)) }

// Expired is called by the loop when it is time to look for room again.
func (r *Room[X]) Expired() { r.Wake() }

func (r *Room[X]) showFirst() {
	since := tick.Instant(0)
	if x, ok := r.newcomers.First(); ok {
		since = x.Since()
	}
	if x, ok := r.again.First(); ok && (since == 0 || x.Since() < since) {
		since = x.Since()
	}
	r.show(r.Len(), since)
}

// MoveTo has all that wait wait in next instead, in order, which takes them however many
// they are. move is called with each, and returns its link and whether it has tried a
// backend of next.
func (r *Room[X]) MoveTo(next *Room[X], move func(x X) (l *upstream.WaitLink[X], again bool)) {
	next.SetMax(max(r.newcomers.Max, r.Len()))
	for _, list := range [...]*upstream.WaitList[X]{&r.newcomers, &r.again} {
		for x, ok := list.First(); ok; x, ok = list.First() {
			l, again := move(x)
			list.Remove(l)
			next.list(again).Put(l, x)
		}
	}
	r.loop.Disarm(&r.look)
	r.showFirst()
	next.showFirst()
	next.Wake()
}
