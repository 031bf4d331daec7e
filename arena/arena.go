// Package arena hands out slabs: byte buffers of two sizes that belong to one
// loop. A slab goes out when bytes come and comes back when they are gone, so
// memory is bounded by the exchanges at work and not by the size of a body.
//
// It knows nothing of sockets or HTTP, takes no lock and is not safe for use
// by two loops.
package arena

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
	s.R += n
	if s.R == s.W {
		s.R, s.W = 0, 0
	}
}

// Large tells whether the slab is of the large size.
func (s *Slab) Large() bool { return s.large }

// Arena is the slabs of one loop.
type Arena struct {
	smallBytes, largeBytes int
	small, large           *Slab
	smallOut, largeOut     int
}

// New returns an arena with slabs of smallBytes and of largeBytes.
func New(smallBytes, largeBytes int) *Arena {
	return &Arena{smallBytes: smallBytes, largeBytes: largeBytes}
}
