package lane

// Part is what a piece of the pending bytes is.
type Part uint8

// The parts.
const (
	PartNone     Part = iota // nothing is pending
	PartHead                 // a head, all of it
	PartBody                 // bytes of a body, without framing
	PartTrailers             // field lines, all of them, without the line that ends them
)

// span is a range of out.
type span struct{ from, to int }

// marks is where heads, bodies and trailers stand in out. What is between them is framing of
// HTTP/1.
type marks struct {
	head        int  // the end of a head, which is at the start; 0 if there is none
	body, trail span // copied bytes of a body, and trailers; empty if there are none
}

// move moves everything after a head, and its end, by n.
func (m *marks) move(n int) {
	m.head += n
	m.body = span{m.body.from + n, m.body.to + n}
	m.trail = span{m.trail.from + n, m.trail.to + n}
}

// Part returns the next piece of the pending bytes, for a sink that frames bodies in its own
// way. A head and trailers are taken as a whole or not at all; a body in any pieces, some of
// which are views of in, the source's inbox. The piece is valid until TakePart. When all has
// been taken, it is PartNone, and the lane is Flushed.
func (ln *Lane) Part(in *Inbox) (Part, []byte) {
	if ln.out == nil {
		if ln.data == 0 {
			return PartNone, nil
		}
		return PartBody, in.Slab.B[in.Slab.R : in.Slab.R+ln.data]
	}
	b, m := ln.out.B, &ln.own
	switch {
	case ln.o < m.head:
		return PartHead, b[ln.o:m.head]
	case ln.o < m.body.to:
		ln.o = max(ln.o, m.body.from)
		return PartBody, b[ln.o:m.body.to]
	case ln.data > 0:
		ln.o = max(ln.o, ln.cut)
		return PartBody, in.Slab.B[in.Slab.R : in.Slab.R+ln.data]
	case ln.o < m.trail.to:
		ln.o = m.trail.from
		return PartTrailers, b[ln.o:m.trail.to]
	}
	ln.o = ln.out.W
	return PartNone, nil
}

// TakePart notes that the first n bytes of the piece that Part returned were taken, and
// reports whether another piece is pending.
func (ln *Lane) TakePart(n int, in *Inbox) (more bool) {
	if ln.out != nil && (ln.o < max(ln.own.head, ln.own.body.to) || ln.data == 0) {
		ln.o += n
	} else {
		ln.takeData(n, in)
	}
	k, _ := ln.Part(in)
	return k != PartNone
}
