package proxy

import (
	"strconv"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
	"lb/loop"
	"lb/loop/tick"
)

// copyMax is the largest part of a body, in bytes, that is copied behind the
// head or the chunk line before it: one write of one buffer. A larger part is
// written from where it was read, with a writev.
const copyMax = 8 << 10

// lane is one direction of bytes inside an exchange: the head that lb composed,
// then the body as it comes, in the framing of the other side.
//
// What is to be written is out.B[o:cut], then data bytes from the front of the
// source's in, then out.B[cut:out.W]; without data, all of out.B[o:out.W].
type lane struct {
	out  *arena.Slab // heads, chunk lines, small parts of bodies; nil when not needed
	o    int         // next byte of out to write
	cut  int         // where in out the data belongs
	data int         // bytes of the source's in to be written as they are
	skip int         // bytes of in behind data that are used up already

	from, to httpparse.Framing
	progress tick.Instant // when bytes last moved
	left     int64        // for Length: body bytes still to be read
	taken    int64        // body bytes read
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
	inTrail  bool // the trailer section has begun
	whole    bool // the end of the body has been read; nothing more will be composed
	held     bool // out still holds all that was written, from its first byte
	starved  bool // what is in the source's buffer is not enough to go on
	broken   bool // the other side takes no more
}

// begin sets the lane to a body framed by from, to be framed by to, behind the
// head that stands in out.
func (ln *lane) begin(from, to httpparse.Framing, length int64) {
	ln.from, ln.to = from, to
	ln.left, ln.taken = length, 0
	ln.inTrail, ln.starved, ln.broken = false, false, false
	ln.whole = from == httpparse.None || from == httpparse.Length && length == 0
	ln.held = true
	if from == httpparse.Chunked {
		ln.chunks.Reset()
	}
}

// flushed reports whether all that was composed has been written.
func (ln *lane) flushed() bool {
	return ln.data == 0 && (ln.out == nil || ln.o == ln.out.W)
}

// done reports whether the whole body has been written.
func (ln *lane) done() bool { return ln.whole && ln.flushed() }

// rewind makes ready for another attempt. What was written is still in out, or
// nothing was written.
func (ln *lane) rewind() {
	ln.o = 0
	ln.broken = false
}

// flush writes what is pending to dst; in is the source's buffer. It returns
// how many bytes dst took.
func (ln *lane) flush(dst *loop.Conn, in *arena.Slab) (n int, err error) {
	for !ln.flushed() && dst.Writable() {
		var k int
		switch {
		case ln.data == 0:
			k, err = dst.Write(ln.out.B[ln.o:ln.out.W])
		case ln.out == nil || ln.o == ln.out.W:
			k, err = dst.Write(in.B[in.R : in.R+ln.data])
		default:
			k, err = dst.Writev(ln.out.B[ln.o:ln.cut], in.B[in.R:in.R+ln.data], ln.out.B[max(ln.o, ln.cut):ln.out.W])
		}
		if err != nil {
			return n, err
		}
		if k == 0 {
			break
		}
		n += k
		ln.advance(k, in)
	}
	return n, nil
}

// advance notes that k bytes were written.
func (ln *lane) advance(k int, in *arena.Slab) {
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
	ln.data -= d
	in.Take(d)
	if k -= d; ln.data == 0 {
		in.Take(ln.skip)
		ln.skip = 0
		ln.o += k
	}
}

// take composes output from the bytes in in, at least some of which it uses up
// unless it asks for more. It is called when nothing is pending but, at most,
// the head in out. bad: the source broke the framing.
func (ln *lane) take(a *arena.Arena, in *arena.Slab, limits *httpparse.Limits) (r httpparse.Reason, bad bool) {
	invariant.Check(ln.data == 0 && !ln.whole, "proxy: take with data pending")
	switch {
	case ln.flushed():
		ln.reuse(a)
	case ln.from == httpparse.Chunked && ln.out.W+in.Len()+limits.Fields+chunkRoom > headRoom+limits.HeadBytes:
		// The head may leave no room for a trailer section behind it: it goes first.
		ln.starved = false
		return httpparse.NoReason, false
	}
	switch ln.from {
	case httpparse.Length:
		ln.data = int(min(int64(in.Len()), ln.left))
		ln.left -= int64(ln.data)
		ln.whole = ln.left == 0
	case httpparse.Close:
		ln.data = in.Len()
	case httpparse.Chunked:
		if r, bad = ln.decode(in, limits); bad {
			return r, true
		}
	}
	ln.taken += int64(ln.data)
	ln.encode(a, in)
	ln.starved = ln.flushed() && !ln.whole
	return httpparse.NoReason, false
}

// bulk reports whether much is still to come, so that a large slab is worth it.
func (ln *lane) bulk() bool {
	return ln.from == httpparse.Length && ln.left > slabBytes || ln.from != httpparse.Length && ln.taken > slabBytes
}

// reuse empties out, which has been written.
func (ln *lane) reuse(a *arena.Arena) {
	if ln.out == nil {
		return
	}
	ln.held = false
	ln.o, ln.cut = 0, 0
	if ln.to != httpparse.Chunked {
		a.Put(ln.out)
		ln.out = nil
		return
	}
	ln.out.R, ln.out.W = 0, 0
}

// decode finds the body bytes in in and moves them together at its front: data
// bytes, behind which skip bytes are used up.
func (ln *lane) decode(in *arena.Slab, limits *httpparse.Limits) (httpparse.Reason, bool) {
	at, end := in.R, in.R // the body bytes so far are in.B[at:end]
	pos := in.R           // how far the input is used up
	for !ln.inTrail && pos < in.W {
		d, n, st := ln.chunks.Next(in.B[pos:in.W])
		if st == httpparse.Bad {
			return ln.chunks.Reason, true
		}
		if d.Len > 0 {
			if src := pos + int(d.Off); end == at {
				at, end = src, src+int(d.Len)
			} else {
				end += copy(in.B[end:], in.B[src:src+int(d.Len)])
			}
		}
		pos += n
		if st == httpparse.Done {
			ln.inTrail = true
			ln.trailers.Reset(limits)
		}
		if n == 0 {
			break
		}
	}
	if end > at {
		in.R = at
	} else {
		in.Take(pos - in.R)
		at, end, pos = in.R, in.R, in.R
	}
	ln.data, ln.skip = end-at, pos-end
	if !ln.inTrail {
		return 0, false
	}
	switch ln.trailers.Feed(in.B[pos:in.W]) {
	case httpparse.Bad:
		return ln.trailers.Reason, true
	case httpparse.Done:
		ln.whole = true
	}
	return 0, false
}

// encode frames the data for the other side: chunk line, data, line end, and the
// last chunk with the trailers where the body is whole.
func (ln *lane) encode(a *arena.Arena, in *arena.Slab) {
	n, trail := ln.data, 0
	if ln.whole && ln.from == httpparse.Chunked {
		trail = int(ln.trailers.HeadLen)
	}
	section := in.B[in.R+n+ln.skip : in.W] // the trailers, if they are here
	ln.skip += trail
	chunked := ln.to == httpparse.Chunked
	copied := n > 0 && n <= copyMax && (chunked || ln.out != nil)
	if chunked && (n > 0 || ln.whole) || copied {
		need := chunkRoom + trail + len(ln.trailers.Fields)
		if copied {
			need += n
		}
		ln.room(a, need)
	}
	if chunked && n > 0 {
		ln.out.W = len(appendChunkLine(ln.out.B[:ln.out.W], n))
	}
	if copied {
		ln.put(in.B[in.R : in.R+n])
		in.R += n
		ln.data = 0
	}
	if ln.out != nil {
		ln.cut = ln.out.W
	}
	ln.held = ln.held && ln.data == 0
	if chunked && n > 0 {
		ln.put(crlf)
	}
	if chunked && ln.whole {
		ln.put(lastChunk)
		if trail > len(crlf) {
			ln.out.W = len(httpparse.AppendTrailers(ln.out.B[:ln.out.W], section, &ln.trailers))
		}
		ln.put(crlf)
	}
	if ln.data == 0 {
		in.Take(ln.skip)
		ln.skip = 0
	}
}

// end notes that the source has ended a body framed by its conn.
func (ln *lane) end(a *arena.Arena) {
	ln.whole = true
	if ln.to != httpparse.Chunked {
		return
	}
	if ln.flushed() {
		ln.reuse(a)
	}
	ln.room(a, chunkRoom)
	ln.put(lastChunk)
	ln.put(crlf)
}

// chunkRoom is more than a chunk's line, the line end behind its data, and the
// last chunk take together, in bytes.
const chunkRoom = 64

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n")
)

// put appends b to out, where room has been made.
func (ln *lane) put(b []byte) { ln.out.W += copy(ln.out.B[ln.out.W:], b) }

// room makes out a slab with room for n more bytes. The limits of config and the
// sizes of slabs are such that a large one always has it.
func (ln *lane) room(a *arena.Arena, n int) {
	if ln.out == nil {
		ln.out, ln.o, ln.cut = a.Get(), 0, 0
	}
	if len(ln.out.Room()) < n && !ln.out.Large() {
		large := a.GetLarge()
		large.W = copy(large.B, ln.out.B[:ln.out.W])
		a.Put(ln.out)
		ln.out = large
	}
	invariant.Check(len(ln.out.Room()) >= n, "proxy: no room in a large slab")
}

// restart empties out, all of which has been written, and makes room for n bytes.
func (ln *lane) restart(a *arena.Arena, n int) {
	invariant.Check(ln.flushed(), "proxy: restart with bytes pending")
	if ln.out != nil {
		ln.out.R, ln.out.W, ln.o, ln.cut = 0, 0, 0, 0
	}
	ln.room(a, n)
}

// release gives out back.
func (ln *lane) release(a *arena.Arena) {
	a.Put(ln.out)
	ln.out = nil
	ln.o, ln.cut, ln.data, ln.skip = 0, 0, 0, 0
}

// appendChunkLine appends the line before n bytes of chunk data (RFC 9112 7.1).
func appendChunkLine(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}
