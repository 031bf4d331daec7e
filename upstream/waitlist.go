package upstream

import "lb/internal/invariant"

// WaitLink is an exchange's place in a wait list, embedded in the exchange. The
// zero value is in no list.
type WaitLink[X any] struct {
	earlier, later *WaitLink[X]
	list           *WaitList[X] // nil: in no list
	x              X
}

// WaitList holds one loop's exchanges that wait for room at a pool, first come,
// first served. It never allocates, because the links are in the exchanges. It
// knows nothing of other loops' lists and of time: each exchange has its own timer.
// The zero value is empty and accepts nothing; do not copy it.
type WaitList[X any] struct {
	Max int // how many exchanges may wait

	first, last *WaitLink[X]
	n           int
}

// Put adds x at the end, or returns false if the list is full. l is x's link and
// must be in no list.
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

// First returns the exchange that has waited longest, and leaves it in the list; ok
// is false if the list is empty.
func (w *WaitList[X]) First() (x X, ok bool) {
	if w.first == nil {
		return x, false
	}
	return w.first.x, true
}

// Remove takes out the exchange with link l, wherever in the list it is. It returns
// false if the exchange is not in this list.
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
	*l = WaitLink[X]{} // do not keep the exchange alive
	w.n--
	return true
}

// Len returns how many exchanges wait.
func (w *WaitList[X]) Len() int { return w.n }
