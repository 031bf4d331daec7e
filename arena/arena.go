// Package arena hands out slabs: byte buffers that belong to one loop. A conn gets a
// small or a large one when bytes come and puts it back when they are gone, so memory
// is bounded by the number of active exchanges and not by the size of a body. Bytes
// that have to wait move to a slab that fits them: see Fit.
//
// It knows nothing of sockets or HTTP. It takes no lock, except in GiveBack: each loop
// has its own arena.
package arena

import (
	"runtime/debug"
	"sync"

	"lb/internal/invariant"
)

// poison is what Put writes over a slab in builds with the tag "invariants", so
// that a view kept too long shows it and not another client's bytes.
const poison = 0xDB

// Slab is one buffer: B[R:W] holds bytes, B[W:] is free. A slab has one owner at a
// time, who calls Put exactly once.
type Slab struct {
	B    []byte
	R, W int

	next   *Slab
	owner  *Arena
	home   *stack // the owner's, for slabs like this one
	fitted bool
	out    bool // handed out and not yet put back
}

// steps are the sizes of the slabs for bytes that wait, in bytes.
var steps = [...]int{512, 2 << 10, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10}

// Bytes returns the bytes held; the view is valid until Put.
func (s *Slab) Bytes() []byte { return s.B[s.R:s.W] }

// Len returns the number of bytes held.
func (s *Slab) Len() int { return s.W - s.R }

// Room returns the free bytes after those held.
func (s *Slab) Room() []byte { return s.B[s.W:] }

// Take drops the first n bytes held, which must not be more than Len. When none are
// left the slab starts again at the front.
func (s *Slab) Take(n int) {
	invariant.Check(n >= 0 && n <= s.Len(), "arena: Take of more than is held")
	s.R += n
	if s.R == s.W {
		s.R, s.W = 0, 0
	}
}

// Large reports whether the slab has the present large size. A large slab from
// before Grow does not.
func (s *Slab) Large() bool { return s.home == &s.owner.large && len(s.B) >= s.home.size }

// Fitted reports whether the slab comes from Fit.
func (s *Slab) Fitted() bool { return s.fitted }

// Arena is the slabs of one loop.
type Arena struct {
	small, large stack
	steps        [len(steps)]stack
	out          int // slabs handed out
}

// stack holds the free slabs of one size. The last one put is the first one handed
// out, because its bytes are still in the processor's cache.
type stack struct {
	size int // bytes of a slab
	top  *Slab
	free int // slabs in the stack
	idle int // the smallest free since the last Trim: this many were not needed
}

// New returns an arena with slabs of smallBytes and of largeBytes.
func New(smallBytes, largeBytes int) *Arena {
	a := &Arena{small: stack{size: smallBytes}, large: stack{size: largeBytes}}
	for i, size := range steps {
		a.steps[i].size = size
	}
	return a
}

// Grow raises the large size to largeBytes; it never shrinks. Slabs of the old size
// stay valid, and Put leaves them to the collector.
func (a *Arena) Grow(largeBytes int) {
	if largeBytes > a.large.size {
		a.large = stack{size: largeBytes}
	}
}

// LargeBytes returns the present large size.
func (a *Arena) LargeBytes() int { return a.large.size }

// Get returns an empty slab of the small size.
func (a *Arena) Get() *Slab {
	s := a.small.get()
	if s == nil {
		s = &Slab{B: make([]byte, a.small.size), owner: a, home: &a.small}
	}
	s.out = true
	a.out++
	return s
}

// GetLarge returns an empty slab of the large size.
func (a *Arena) GetLarge() *Slab {
	s := a.large.get()
	if s == nil {
		s = &Slab{B: make([]byte, a.large.size), owner: a, home: &a.large}
	}
	s.out = true
	a.out++
	return s
}

// Fit returns a slab with the bytes of s that is shorter by a quarter at least, and puts s
// back; or s if there is no such slab. Call it when the bytes may have to wait for long.
func (a *Arena) Fit(s *Slab) *Slab {
	for i := range a.steps {
		k := &a.steps[i]
		if k.size > len(s.B)/4*3 {
			break
		}
		if s.Len() > k.size {
			continue
		}
		fit := a.fitted(k, s.Bytes())
		a.Put(s)
		return fit
	}
	return s
}

// Keep returns a slab with a copy of b that fits it, for bytes that may have to wait for
// long.
func (a *Arena) Keep(b []byte) *Slab {
	for i := range a.steps {
		if k := &a.steps[i]; len(b) <= k.size {
			return a.fitted(k, b)
		}
	}
	s := a.GetLarge()
	if len(s.B) < len(b) {
		a.Put(s)
		s = &Slab{B: make([]byte, len(b)), owner: a, home: &a.large, out: true}
		a.out++
	}
	s.W = copy(s.B, b)
	return s
}

// fitted returns a slab of k with a copy of b.
func (a *Arena) fitted(k *stack, b []byte) *Slab {
	s := k.get()
	if s == nil {
		s = &Slab{B: make([]byte, k.size), owner: a, home: k, fitted: true}
	}
	s.out = true
	a.out++
	s.W = copy(s.B, b)
	return s
}

// Put takes s back. It does nothing if s is nil.
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
	if k := s.home; len(s.B) == k.size { // else it is from before Grow
		k.put(s)
	}
}

// Forget ends the use of s without taking it back, for use after a panic: some view
// of s may still exist, so it is left to the collector. It does nothing if s is
// nil.
func (a *Arena) Forget(s *Slab) {
	if s == nil {
		return
	}
	a.leave(s)
}

// leave marks s as no longer handed out.
func (a *Arena) leave(s *Slab) {
	invariant.Check(s.owner == a, "arena: the slab is another arena's")
	invariant.Check(s.out, "arena: the slab is not handed out")
	s.out = false
	a.out--
}

// all returns every stack.
func (a *Arena) all() [2 + len(steps)]*stack {
	all := [2 + len(steps)]*stack{&a.small, &a.large}
	for i := range a.steps {
		all[2+i] = &a.steps[i]
	}
	return all
}

// Out returns how many slabs are handed out.
func (a *Arena) Out() int { return a.out }

// Free returns how many slabs are ready to be handed out.
func (a *Arena) Free() (n int) {
	for _, k := range a.all() {
		n += k.free
	}
	return n
}

// Trim leaves the slabs that were not needed since the last Trim to the collector, and
// returns their bytes.
func (a *Arena) Trim() (freed int) {
	for _, k := range a.all() {
		freed += k.idle * k.size
		k.trim()
	}
	return freed
}

var givingBack sync.Mutex

// GiveBack begins to return to the system what Trim has freed, in this process: without
// it, a quiet process keeps the memory of its busiest moment. It collects garbage, so
// call it seldom.
func GiveBack() {
	go func() {
		if givingBack.TryLock() {
			defer givingBack.Unlock()
			debug.FreeOSMemory()
		}
	}()
}

// get returns the slab on top, or nil if there is none and the caller must make
// one.
func (k *stack) get() *Slab {
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
