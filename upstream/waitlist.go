package upstream

import "lb/internal/invariant"

// WaitLink is an exchange's place in a wait list, embedded in the exchange. The
// zero value is in no list.
type WaitLink[X any] struct {
	earlier, later *WaitLink[X]
	list           *WaitList[X] // nil: in no list
	x              X
}

// WaitList holds the exchanges that wait for room at a pool, first come first
// served, without allocation: the links are in the exchanges. One loop's waits
// know nothing of another's, and how long one waits is the business of its own
// timer. The zero value is empty and takes none; it is not copied.
type WaitList[X any] struct {
	Max int // how many may wait

	first, last *WaitLink[X]
	n           int
}

// Put adds x, whose link is l, at the end; false: the list is full. l is in no list.
func (w *WaitList[X]) Put(l *WaitLink[X], x X) bool {
	invariant.Check(l.list == nil, "upstream: exchange waits already")
	if w.n >= w.Max {
		return false
	}
	l.list, l.x, l.earlier = w, x, w.last
	if w.last != nil {
		w.last.later = l
	} else {
		w.first = l
	}
	w.last = l
	w.n++
	return true
}

// First returns who has waited longest; ok is false when the list is empty. It
// stays in the list.
func (w *WaitList[X]) First() (x X, ok bool) {
	if w.first == nil {
		return x, false
	}
	return w.first.x, true
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
