package upstream

import (
	"lb/internal/invariant"
	"lb/loop/tick"
)

// WaitLink is an exchange's place in a wait list, embedded in the exchange. The
// zero value is in no list.
type WaitLink[X any] struct {
	earlier, later *WaitLink[X]
	list           *WaitList[X] // nil: in no list
	deadline       tick.Instant
	x              X
}

// WaitList holds the exchanges that wait for room at a pool, first come first
// served, without allocation: the links are in the exchanges. One loop's waits
// know nothing of another's: between loops there is no order. The zero value is
// empty and takes none; it is not copied.
type WaitList[X any] struct {
	Max int // how many may wait

	first, last *WaitLink[X]
	n           int
}

// Put adds x, whose link is l, at the end; false: the list is full. l is in no list.
func (w *WaitList[X]) Put(l *WaitLink[X], x X, deadline tick.Instant) bool {
	invariant.Check(l.list == nil, "upstream: exchange waits already")
	if w.n >= w.Max {
		return false
	}
	l.list, l.x, l.deadline, l.earlier = w, x, deadline, w.last
	if w.last != nil {
		w.last.later = l
	} else {
		w.first = l
	}
	w.last = l
	w.n++
	return true
}

// First returns who has waited longest, and its deadline; ok is false when the
// list is empty. It stays in the list.
func (w *WaitList[X]) First() (x X, deadline tick.Instant, ok bool) {
	if w.first == nil {
		return x, 0, false
	}
	return w.first.x, w.first.deadline, true
}

// Get takes out who has waited longest; ok is false when the list is empty.
func (w *WaitList[X]) Get() (x X, ok bool) {
	l := w.first
	if l == nil {
		return x, false
	}
	x = l.x
	return x, w.Remove(l)
}

// Expired takes out who has waited longest if its deadline is not after now.
// With the same length of time for all, deadlines are in the order of the list;
// where they are not, one waits for those before it.
func (w *WaitList[X]) Expired(now tick.Instant) (x X, ok bool) {
	if w.first == nil || w.first.deadline > now {
		return x, false
	}
	return w.Get()
}

// Remove takes the exchange with link l out, wherever it is; false if it is not
// in the list.
func (w *WaitList[X]) Remove(l *WaitLink[X]) bool {
	if l.list != w {
		return false
	}
	if l.earlier != nil {
		l.earlier.later = l.later
	} else {
		w.first = l.later
	}
	if l.later != nil {
		l.later.earlier = l.earlier
	} else {
		w.last = l.earlier
	}
	*l = WaitLink[X]{} // keeps no exchange alive
	w.n--
	return true
}

// Len returns how many wait.
func (w *WaitList[X]) Len() int { return w.n }
