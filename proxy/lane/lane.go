package lane

import (
	"bytes"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
	"lb/loop/tick"
)

// Sizes of slabs, in bytes.
const (
	SlabBytes = 20 << 10 // of a small one: one read holds a head and a body of 16 KiB after it
	HeadRoom  = 17 << 10 // for lb's additions to a head, two bytes a field among them, and a small part of a body
	BulkBytes = 64 << 10 // of a large one at least: how much of a long body moves at once
)

// LargeBytes returns the size of large slabs, in bytes, for heads of up to headMax bytes
// to which lb adds up to added bytes beside HeadRoom. One slab has room for the longest
// head, and long bodies move in large parts.
func LargeBytes(headMax, added int) int {
	return max(BulkBytes, headMax) + HeadRoom + added
}

// copyMax is the largest part of a body, in bytes, that is copied after the head or the
// chunk line before it, so that one buffer is written. A larger part is written from
// where it was read, with a writev.
const copyMax = 8 << 10

// Lane is one direction of bytes within an exchange: the head that lb composed, then
// the body in the framing of the other side. The zero value is an empty lane. It belongs
// to one loop.
//
// The bytes to write are out.B[o:cut], then data bytes from the front of the
// source's inbox, then out.B[cut:out.W]; without data, all of out.B[o:out.W].
type Lane struct {
	From, To httpparse.Framing
	Progress tick.Instant // when bytes last moved
	Taken    int64        // body bytes read so far
	Whole    bool         // the end of the body has been read; nothing more will be composed
	Held     bool         // out still holds everything that was written, from the first byte on
	Starved  bool         // the source's inbox holds too little to go on
	Broken   bool         // the other side takes no more bytes
	Answer   bool         // the body is an answer's: its chunks are read more tolerantly; set once
	Blocked  bool         // the other side does not keep up, so nothing more is read for it
	slow     uint8        // full writes until long parts are read again for a side that did not keep up

	out  *arena.Slab // heads, chunk lines, small parts of bodies; nil when not needed
	o    int         // next byte of out to write
	cut  int         // offset in out at which the data belongs
	data int         // bytes of the source's inbox to be written as they are
	skip int         // bytes of the inbox after data that are already used up
	own  marks       // what stands in out, from SetHead or the first room on

	// Marks has marks in the head, and keeps them in trailers: see httpparse.Message. Set
	// with Begin.
	Marks bool

	// Withheld are the trailers that are not passed on; set with Begin for chunks.
	Withheld httpparse.Withheld

	left     int64 // for Length: body bytes still to be read
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
	inTrail  bool // the trailer section has begun
}

// Begin prepares the lane for a body that comes in the framing from and is sent in the
// framing to, after the head that SetHead has put in out. length is the length of the
// body in bytes, if from is Length.
func (ln *Lane) Begin(from, to httpparse.Framing, length int64) {
	ln.From, ln.To = from, to
	ln.left, ln.Taken = length, 0
	ln.inTrail, ln.Starved, ln.Broken, ln.Blocked, ln.slow = false, false, false, false, 0
	ln.Whole = from == httpparse.None || from == httpparse.Length && length == 0
	ln.Held = true
	if from == httpparse.Chunked {
		ln.chunks.Reset(ln.Answer)
	}
}

// Flushed reports whether everything composed so far has been written.
func (ln *Lane) Flushed() bool {
	return ln.data == 0 && (ln.out == nil || ln.o == ln.out.W)
}

// Done reports whether the whole body has been written.
func (ln *Lane) Done() bool { return ln.Whole && ln.Flushed() }

// Torn reports whether the composed bytes have been written in part, but not all of them.
func (ln *Lane) Torn() bool { return ln.o > 0 && !ln.Flushed() }

// Claimed returns how many bytes at the start of the source's inbox this lane still
// needs: bytes to be written, and bytes that are used up together with them.
func (ln *Lane) Claimed() int { return ln.data + ln.skip }

// BodyBytes returns how many bytes of the body have left the inbox. If the conn was
// cut, up to a slab of them may not have been written.
func (ln *Lane) BodyBytes() int64 { return ln.Taken - int64(ln.data) }

// Rewind prepares for another attempt. It may be called while out still holds
// everything that was written (Held), or when nothing was written.
func (ln *Lane) Rewind() {
	ln.o = 0
	ln.Broken = false
}

// Head returns everything that was composed, from the head on, or nothing if it is no
// longer here.
func (ln *Lane) Head() []byte {
	if !ln.Held || ln.out == nil {
		return nil
	}
	return ln.out.B[:ln.out.W]
}

// Pending returns the bytes to write, in order: own bytes, a view of the source's inbox,
// own bytes. Each may be empty. They stay valid until Advance.
func (ln *Lane) Pending(in *Inbox) (before, data, after []byte) {
	switch {
	case ln.data == 0 && ln.out == nil:
		return nil, nil, nil
	case ln.data == 0:
		return ln.out.B[ln.o:ln.out.W], nil, nil
	}
	s := in.Slab
	data = s.B[s.R : s.R+ln.data]
	if ln.out == nil {
		return nil, data, nil
	}
	return ln.out.B[min(ln.o, ln.cut):ln.cut], data, ln.out.B[max(ln.o, ln.cut):ln.out.W]
}

// Flush writes the pending bytes to dst. in is the source's inbox, or nil if the lane
// has only own bytes. It returns the number of bytes that dst took.
func (ln *Lane) Flush(dst *loop.Conn, in *Inbox) (n int, err error) {
	for !ln.Flushed() {
		if !dst.Writable() {
			ln.slow = slowWrites
			return n, nil
		}
		var k int
		if ln.data == 0 {
			k, err = dst.Write(ln.out.B[ln.o:ln.out.W])
		} else if before, data, after := ln.Pending(in); len(before)+len(after) > 0 {
			k, err = dst.Writev(before, data, after)
		} else {
			k, err = dst.Write(data)
		}
		if err != nil {
			return n, err
		}
		n += k
		ln.Advance(k, in)
	}
	if ln.slow > 0 {
		ln.slow--
	}
	return n, nil
}

// Advance notes that the first k of the pending bytes were written; in is as for Flush.
func (ln *Lane) Advance(k int, in *Inbox) {
	if ln.data == 0 {
		ln.o += k
		return
	}
	if ln.out != nil && ln.o < ln.cut {
		a := min(k, ln.cut-ln.o)
		ln.o += a
		k -= a
	}
	d := min(k, ln.data)
	if ln.takeData(d, in); ln.data == 0 {
		ln.o += k - d
	}
}

// takeData notes that the first n of the inbox's bytes were taken.
func (ln *Lane) takeData(n int, in *Inbox) {
	ln.data -= n
	in.Take(n)
	if ln.data == 0 {
		in.Take(ln.skip)
		ln.skip = 0
	}
}

// slowWrites is how many full writes show that a side that did not keep up does so again.
const slowWrites = 4

// Bulk reports whether enough of the body is still to come that a large slab is worth
// its memory. It is not for a side that does not keep up.
func (ln *Lane) Bulk() bool { return ln.slow == 0 && ln.long() }

// long reports whether much of the body is still to come, as far as that is known.
func (ln *Lane) long() bool {
	return ln.From == httpparse.Length && ln.left > SlabBytes || ln.From != httpparse.Length && ln.Taken > SlabBytes
}

// asksAfter is how many bytes of a body pass before the lane asks whether the other side
// keeps up. Shorter bodies mostly fit into the buffers of the kernel, and a call of the
// system for each of their parts would cost more than it saves.
const asksAfter = 64 << 10

// Asks reports whether the body is so long, and so much of it has passed, that the other
// side is to be asked whether it keeps up before more is read for it.
func (ln *Lane) Asks() bool { return ln.Taken > asksAfter && ln.long() }

// Block notes whether the other side keeps up.
func (ln *Lane) Block(blocked bool) {
	if ln.Blocked = blocked; blocked {
		ln.slow = slowWrites
	}
}

// Rest moves the lane's own bytes to memory that fits them. Call it when they may have to
// wait for long.
func (ln *Lane) Rest(a *arena.Arena) {
	if ln.out != nil {
		ln.out = a.Fit(ln.out) // ln.out.R is 0, so the offsets stay
	}
}

// room makes sure that out has room for n more bytes.
func (ln *Lane) room(a *arena.Arena, n int) {
	if ln.out == nil || len(ln.out.Room()) < n {
		ln.makeRoom(a, n)
	}
}

// makeRoom is room when there is none yet. A large slab always has it: its size follows from
// the limits of the configuration (see LargeBytes).
func (ln *Lane) makeRoom(a *arena.Arena, n int) {
	if ln.out == nil {
		ln.out, ln.o, ln.cut, ln.own = a.Get(), 0, 0, marks{}
	}
	if len(ln.out.Room()) < n && !ln.out.Large() {
		wide := a.Get()
		if len(wide.B) < ln.out.W+n {
			a.Put(wide)
			wide = a.GetLarge()
		}
		wide.W = copy(wide.B, ln.out.B[:ln.out.W])
		a.Put(ln.out)
		ln.out = wide
	}
	invariant.Check(len(ln.out.Room()) >= n, "lane: no room in a large slab")
}

// Restart empties out, all of which has been written, and makes room for a head of n
// bytes. The caller appends the head to the empty slice returned, for SetHead.
func (ln *Lane) Restart(a *arena.Arena, n int) []byte {
	invariant.Check(ln.Flushed(), "lane: Restart with bytes pending")
	if ln.out != nil {
		ln.out.R, ln.out.W, ln.o, ln.cut = 0, 0, 0, 0
	}
	ln.room(a, n)
	return ln.out.B[:0]
}

// SetHead makes text, which was appended to Restart's slice, the bytes to write: a head, of
// which the first n bytes are, and a body after it.
func (ln *Lane) SetHead(text []byte, n int) {
	ln.out.W = len(text)
	ln.cut = ln.out.W
	ln.own = marks{head: n, body: span{n, len(text)}}
}

// Splice replaces the n bytes at an offset of the head by text. Nothing may have been
// written.
func (ln *Lane) Splice(a *arena.Arena, at, n int, text string) {
	invariant.Check(ln.o == 0 && at+n <= ln.cut, "lane: Splice after a part of the head")
	ln.room(a, len(text))
	out := ln.out
	more := copy(out.B[at+len(text):], out.B[at+n:out.W])
	copy(out.B[at:], text)
	ln.cut += len(text) - n
	ln.own.move(len(text) - n)
	out.W = at + len(text) + more
}

// Patch puts text in the place of as many bytes at an offset of the head. Nothing may have
// been written.
func (ln *Lane) Patch(at int, text []byte) {
	invariant.Check(ln.o == 0 && at+len(text) <= ln.cut, "lane: Patch after a part of the head")
	copy(ln.out.B[at:], text)
}

// Unmark takes the marks out of what was composed, a request, and keeps none from now on: it
// goes to HTTP/1. Nothing may have been written since the last Rewind.
func (ln *Lane) Unmark() {
	if ln.Marks = false; ln.out == nil {
		return
	}
	b, m := ln.out.B, &ln.own
	line := b[:bytes.IndexByte(b[:m.head], '\n')+1]
	if i := bytes.IndexByte(line, '\t'); i >= 0 { // of the path
		line[i] = ' '
	}
	httpparse.Unmark(b[len(line):m.head])
	httpparse.Unmark(b[m.trail.from:m.trail.to])
}

// Release puts the lane's memory back and drops the pending bytes.
func (ln *Lane) Release(a *arena.Arena) {
	if ln.out != nil {
		ln.put(a)
	}
	ln.data, ln.skip = 0, 0
}

// put gives out back to a.
func (ln *Lane) put(a *arena.Arena) {
	a.Put(ln.out)
	ln.out, ln.o, ln.cut = nil, 0, 0
}

// Forget leaves the lane's memory to the garbage collector after a panic: its state is
// unknown.
func (ln *Lane) Forget(a *arena.Arena) {
	a.Forget(ln.out)
	ln.out = nil
	ln.o, ln.cut, ln.data, ln.skip = 0, 0, 0, 0
}
