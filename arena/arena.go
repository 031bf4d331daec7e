// Package arena hands out slabs: byte buffers of two sizes that belong to one
// loop. A slab goes out when bytes come and comes back when they are gone, so
// memory is bounded by the exchanges at work and not by the size of a body.
//
// It knows nothing of sockets or HTTP, takes no lock and is not safe for use
// by two loops.
package arena

import "lb/internal/invariant"

// poison is what Put writes over a slab in builds with the tag "invariants":
// a view kept too long shows it, and never another client's bytes.
const poison = 0xDB

// Slab is one buffer. The bytes B[R:W] are held, B[W:] is room. A slab has one
// owner at a time, who gives it back with Put exactly once.
type Slab struct {
	B    []byte
	R, W int

	next  *Slab
	owner *Arena
	large bool
	out   bool // handed out and not yet put back
}

// Bytes returns the bytes held; the view is valid until Put.
func (s *Slab) Bytes() []byte { return s.B[s.R:s.W] }

// Len returns the number of bytes held.
func (s *Slab) Len() int { return s.W - s.R }

// Room returns the free bytes behind those held.
func (s *Slab) Room() []byte { return s.B[s.W:] }

// Take drops the first n bytes held. An emptied slab starts again at the front.
func (s *Slab) Take(n int) {
	invariant.Check(n >= 0 && n <= s.Len(), "arena: Take of more than is held")
	s.R += n
	if s.R == s.W {
		s.R, s.W = 0, 0
	}
}

// Large reports whether the slab is as large as they come: of the large size, and
// not from before it grew.
func (s *Slab) Large() bool { return s.large && len(s.B) >= s.owner.large.size }

// Arena is the slabs of one loop.
type Arena struct {
	small, large stack
}

// stack is the slabs of one size. The last one put is the first one handed
// out: its bytes are still in the processor's cache.
type stack struct {
	size int // bytes of a slab
	top  *Slab
	free int // slabs in the stack
	out  int // slabs handed out
	idle int // the smallest free since the last Trim: as many were not needed
}

// New returns an arena with slabs of smallBytes and of largeBytes.
func New(smallBytes, largeBytes int) *Arena {
	return &Arena{small: stack{size: smallBytes}, large: stack{size: largeBytes}}
}

// Grow makes the large size at least largeBytes; it never shrinks. Slabs of the
// size before stay with who has them, and go to the collector afterwards.
func (a *Arena) Grow(largeBytes int) {
	if largeBytes > a.large.size {
		a.large = stack{size: largeBytes, out: a.large.out}
	}
}

// Get returns an empty slab of the small size.
func (a *Arena) Get() *Slab {
	s := a.small.get()
	if s == nil {
		s = &Slab{B: make([]byte, a.small.size), owner: a}
	}
	s.out = true
	return s
}

// GetLarge returns an empty slab of the large size.
func (a *Arena) GetLarge() *Slab {
	s := a.large.get()
	if s == nil {
		s = &Slab{B: make([]byte, a.large.size), owner: a, large: true}
	}
	s.out = true
	return s
}

// Put takes s back; nil is allowed and does nothing.
func (a *Arena) Put(s *Slab) {
	if s == nil {
		return
	}
	a.leave(s)
	if invariant.On {
		s.B[0] = poison
		for n := 1; n < len(s.B); n *= 2 {
			copy(s.B[n:], s.B[:n])
		}
	}
	s.R, s.W = 0, 0
	if k := a.sizeOf(s); len(s.B) == k.size {
		k.put(s)
	} else { // from before Grow
		k.out--
	}
}

// Forget counts s as no longer out but does not take it back: after a panic
// nobody knows who still holds a view of it, so it is left to the collector.
// nil is allowed and does nothing.
func (a *Arena) Forget(s *Slab) {
	if s == nil {
		return
	}
	a.leave(s)
	a.sizeOf(s).out--
}

// leave ends the use of s by whoever had it.
func (a *Arena) leave(s *Slab) {
	invariant.Check(s.owner == a, "arena: the slab is another arena's")
	invariant.Check(s.out, "arena: the slab is not handed out")
	s.out = false
}

func (a *Arena) sizeOf(s *Slab) *stack {
	if s.large {
		return &a.large
	}
	return &a.small
}

// Out returns how many slabs are handed out.
func (a *Arena) Out() int { return a.small.out + a.large.out }

// Free returns how many slabs wait to be handed out.
func (a *Arena) Free() int { return a.small.free + a.large.free }

// Trim lets go of the slabs that were not needed since the last Trim.
func (a *Arena) Trim() {
	a.small.trim()
	a.large.trim()
}

// get returns the slab on top, nil when there is none: the caller makes one.
func (k *stack) get() *Slab {
	k.out++
	s := k.top
	if s == nil {
		return nil
	}
	k.top, s.next = s.next, nil
	k.free--
	k.idle = min(k.idle, k.free)
	return s
}

func (k *stack) put(s *Slab) {
	k.out--
	k.free++
	s.next, k.top = k.top, s
}

func (k *stack) trim() {
	for range k.idle {
		k.top, k.top.next = k.top.next, nil
		k.free--
	}
	k.idle = k.free
}
