package upstream

import "lb/internal/invariant"

// Link is a conn's place in an idle list, embedded in the conn. The zero value is
// in no list.
type Link[C any] struct {
	hotter, colder *Link[C]
	list           *IdleList[C] // nil: in no list
	conn           C
}

// IdleList holds one backend's conns that wait for reuse, last in, first out: the
// conn used last is the least likely to have been closed by the backend, and
// surplus conns stay cold and time out. It never allocates, because the links are
// in the conns. The zero value is empty; do not copy it.
type IdleList[C any] struct {
	hottest *Link[C]
	n       int
}

// Put adds c at the hot end. l is c's link and must be in no list.
func (i *IdleList[C]) Put(l *Link[C], c C) {
	invariant.Check(l.list == nil, "upstream: conn is idle already")
	l.list, l.conn = i, c
	l.colder = i.hottest
	if l.colder != nil {
		l.colder.hotter = l
	}
	i.hottest = l
	i.n++
}

// Get removes and returns the hottest conn; ok is false if the list is empty.
func (i *IdleList[C]) Get() (c C, ok bool) {
	l := i.hottest
	if l == nil {
		return c, false
	}
	c = l.conn
	return c, i.Remove(l)
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
