package mux

// The lists of a conn that a stream may be in.
const (
	touched = iota // to be run at the end of the events, in the order in which they came
	waiting        // for room in the output, see Conn.queues
	lists
)

// link is the place of a stream in one list.
type link struct {
	prev, next *Stream
	in         *list // or nil
}

// list is a list of streams. They know their places, so it needs no memory.
type list struct{ first, last *Stream }

// push puts s, which is in no list of that kind, at the end of l.
func (l *list) push(s *Stream, kind int) {
	s.links[kind] = link{prev: l.last, in: l}
	if l.last == nil {
		l.first = s
	} else {
		l.last.links[kind].next = s
	}
	l.last = s
}

// drop takes s out of its list of that kind, if it is in one.
func (s *Stream) drop(kind int) {
	k := &s.links[kind]
	if k.in == nil {
		return
	}
	if k.prev == nil {
		k.in.first = k.next
	} else {
		k.prev.links[kind].next = k.next
	}
	if k.next == nil {
		k.in.last = k.prev
	} else {
		k.next.links[kind].prev = k.prev
	}
	*k = link{}
}
