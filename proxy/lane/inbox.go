package lane

import (
	"errors"

	"lb/arena"
	"lb/loop"
)

// Inbox holds the bytes that were read from one side and not yet used up. It owns a
// slab only while it holds bytes. The zero value is empty. It belongs to one loop.
type Inbox struct{ Slab *arena.Slab }

// errFull means that a large slab is full and nothing in it can be used. The limits of
// the parsers are lower, so it is a bug in lb.
var errFull = errors.New("lane: inbox full")

// Len returns the number of bytes held.
func (in *Inbox) Len() int {
	if in.Slab == nil {
		return 0
	}
	return in.Slab.Len()
}

// Bytes returns the bytes held. They stay in place until Fill or Take.
func (in *Inbox) Bytes() []byte {
	if in.Slab == nil {
		return nil
	}
	return in.Slab.Bytes()
}

// Take uses up the first n bytes.
func (in *Inbox) Take(n int) {
	if in.Slab != nil {
		in.Slab.Take(n)
	}
}

// Fill reads from c, into a large slab if bulk asks for one and no slab is held. n is
// the number of bytes read: 0 with a nil error means that c is not ready now. The
// errors are those of loop.Conn.Read.
func (in *Inbox) Fill(a *arena.Arena, c *loop.Conn, bulk bool) (n int, err error) {
	if !c.Readable() {
		in.Drop(a)
		return 0, nil
	}
	if in.Slab == nil && !bulk {
		in.Slab = a.Get()
	} else if in.Room(a, bulk) == nil {
		return 0, errFull
	}
	n, err = c.Read(in.Slab.Room())
	in.Slab.W += n
	in.Drop(a)
	return n, err
}

// Room returns memory to read into, or nil if a large slab is full. Put then makes the
// memory part of the inbox. bulk is as for Fill.
func (in *Inbox) Room(a *arena.Arena, bulk bool) []byte {
	if in.Slab != nil && in.Slab.Fitted() {
		in.widen(a, bulk)
	}
	switch s := in.Slab; {
	case s == nil && bulk:
		in.Slab = a.GetLarge()
	case s == nil:
		in.Slab = a.Get()
	case len(s.Room()) > 0:
	case s.R > 0:
		s.W = copy(s.B, s.Bytes())
		s.R = 0
	case s.Large():
		return nil
	default:
		large := a.GetLarge()
		large.W = copy(large.B, s.Bytes())
		a.Put(s)
		in.Slab = large
	}
	return in.Slab.Room()
}

// Rest moves the bytes to a slab that fits them. Call it when they may wait for long:
// views of them end.
func (in *Inbox) Rest(a *arena.Arena) {
	if in.Slab != nil {
		in.Slab = a.Fit(in.Slab)
	}
}

// widen takes the bytes back from a slab that fits them to one with room.
func (in *Inbox) widen(a *arena.Arena, bulk bool) {
	fitted, wide := in.Slab, a.Get()
	if bulk || fitted.Len() > len(wide.B)/2 {
		a.Put(wide)
		wide = a.GetLarge()
	}
	wide.W = copy(wide.B, fitted.Bytes())
	a.Put(fitted)
	in.Slab = wide
}

// Put notes that the first n bytes of Room's memory have been filled.
func (in *Inbox) Put(n int) { in.Slab.W += n }

// Drop puts the slab back if it is empty.
func (in *Inbox) Drop(a *arena.Arena) {
	if in.Slab != nil && in.Slab.R == in.Slab.W {
		in.Release(a)
	}
}

// Release puts the slab back, with its bytes. It is not inlined so that Drop can be,
// which mostly has nothing to do.
//
//go:noinline
func (in *Inbox) Release(a *arena.Arena) {
	a.Put(in.Slab)
	in.Slab = nil
}

// Forget leaves the slab to the garbage collector after a panic: its state is unknown.
func (in *Inbox) Forget(a *arena.Arena) {
	a.Forget(in.Slab)
	in.Slab = nil
}
