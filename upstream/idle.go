package upstream

import (
	"lb/internal/invariant"
	"lb/loop/tick"
)

// Link is a conn's place in an idle list, embedded in the conn. The zero value is
// in no list.
type Link[C any] struct {
	hotter, colder *Link[C]
	list           *IdleList[C] // nil: in no list
	conn           C
	since          tick.Instant // when it was put there
}

// IdleList holds one backend's conns that wait for reuse, last in, first out: the
// conn used last is the least likely to have been closed by the backend, and
// surplus conns stay cold and time out. It never allocates, because the links are
// in the conns. The zero value is empty; do not copy it.
type IdleList[C any] struct {
	hottest, coldest *Link[C]
	rested           *Link[C] // the hottest that the last GetRested had found rested; colder ones are, too
	n                int
}

// Put adds c at the hot end, at now, which is no earlier than the times before. l is c's
// link and must be in no list.
func (i *IdleList[C]) Put(l *Link[C], c C, now tick.Instant) {
	invariant.Check(l.list == nil, "upstream: conn is idle already")
	l.list, l.conn, l.since = i, c, now
	l.colder = i.hottest
	if l.colder != nil {
		l.colder.hotter = l
	} else {
		i.coldest = l
	}
	i.hottest = l
	i.n++
}

// Hottest returns the hottest conn, which stays in the list; ok is false if the list is
// empty.
func (i *IdleList[C]) Hottest() (c C, ok bool) {
	if i.hottest == nil {
		return c, false
	}
	return i.hottest.conn, true
}

// Coldest returns the coldest conn, which stays in the list; ok is false if the list is empty.
func (i *IdleList[C]) Coldest() (c C, ok bool) {
	if i.coldest == nil {
		return c, false
	}
	return i.coldest.conn, true
}

// GetRested removes and returns the hottest of the conns that were put at by or before;
// ok is false if there is none. by must not be earlier than at the call before. On
// average it looks at each conn once, however many there are.
func (i *IdleList[C]) GetRested(by tick.Instant) (c C, ok bool) {
	next := i.coldest
	if i.rested != nil {
		next = i.rested.hotter
	}
	for next != nil && next.since <= by {
		i.rested, next = next, next.hotter
	}
	if i.rested == nil {
		return c, false
	}
	c = i.rested.conn
	return c, i.Remove(i.rested)
}

// Remove takes out the conn with link l, wherever in the list it is. It returns
// false if the conn is not in this list.
func (i *IdleList[C]) Remove(l *Link[C]) bool {
	if l.list != i {
		return false
	}
	if l.hotter != nil {
		l.hotter.colder = l.colder
	} else {
		i.hottest = l.colder
	}
	if l.colder != nil {
		l.colder.hotter = l.hotter
	} else {
		i.coldest = l.hotter
	}
	if i.rested == l {
		i.rested = l.colder
	}
	*l = Link[C]{} // do not keep the conn alive
	i.n--
	return true
}

// Len returns how many conns are in the list.
func (i *IdleList[C]) Len() int { return i.n }

// Each calls f for every conn, hottest first; f may Remove the conn it is given.
func (i *IdleList[C]) Each(f func(C)) {
	for l := i.hottest; l != nil; {
		colder := l.colder
		f(l.conn)
		l = colder
	}
}
