// Package spares keeps what one loop does not need at the moment and will need again, so that
// nothing is allocated for it. What is not needed for a while goes to the collector.
package spares

// List has the spares of one kind. The zero value is empty.
type List[X any] struct {
	list []*X
	idle int // the fewest since the last Trim
}

// Get takes one out, or returns nil if there is none.
func (l *List[X]) Get() *X {
	n := len(l.list) - 1
	if n < 0 {
		return nil
	}
	x := l.list[n]
	l.list[n] = nil
	l.list = l.list[:n]
	l.idle = min(l.idle, n)
	return x
}

// Put puts x in.
func (l *List[X]) Put(x *X) { l.list = append(l.list, x) }

// Len returns how many there are.
func (l *List[X]) Len() int { return len(l.list) }

// Trim leaves those that were not needed since the last Trim to the collector, and returns
// how many.
func (l *List[X]) Trim() (freed int) {
	freed = l.idle
	keep := len(l.list) - freed
	clear(l.list[keep:])
	l.list = l.list[:keep]
	l.idle = keep
	return freed
}
