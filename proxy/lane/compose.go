package lane

import (
	"strconv"

	"lb/arena"
	"lb/httpparse"
	"lb/internal/invariant"
)

// Compose turns bytes of in into output. It uses up at least some of them, or sets
// Starved because it needs more. It may be called when nothing is pending except the
// head in out. bad reports that the source broke the framing; r is the reason.
func (ln *Lane) Compose(a *arena.Arena, in *Inbox, limits *httpparse.Limits) (r httpparse.Reason, bad bool) {
	invariant.Check(ln.data == 0 && !ln.Whole, "lane: Compose with data pending")
	switch {
	case ln.Flushed():
		ln.reuse(a)
	case ln.From == httpparse.Chunked && ln.out.W+in.Len()+2*limits.Fields+chunkRoom > HeadRoom+limits.HeadBytes:
		// The head may leave no room for a trailer section after it, so it is written first.
		ln.Starved = false
		return httpparse.NoReason, false
	}
	switch ln.From {
	case httpparse.Length:
		ln.data = int(min(int64(in.Len()), ln.left))
		ln.left -= int64(ln.data)
		ln.Whole = ln.left == 0
	case httpparse.Close, httpparse.Stream:
		ln.data = in.Len()
	case httpparse.Chunked:
		if r, bad = ln.decode(in.Slab, limits); bad {
			return r, true
		}
	}
	ln.Taken += int64(ln.data)
	ln.encode(a, in.Slab)
	ln.Starved = ln.Flushed() && !ln.Whole
	return httpparse.NoReason, false
}

// reuse empties out, all of which has been written.
func (ln *Lane) reuse(a *arena.Arena) {
	if ln.out == nil {
		return
	}
	ln.Held = false
	if ln.To != httpparse.Chunked {
		ln.put(a)
		return
	}
	ln.out.R, ln.out.W, ln.o, ln.cut = 0, 0, 0, 0
	ln.own = marks{}
}

// decode finds the body bytes in in and moves them together at its start: data bytes,
// and after them skip bytes that are used up.
func (ln *Lane) decode(in *arena.Slab, limits *httpparse.Limits) (httpparse.Reason, bool) {
	at, end := in.R, in.R // the body bytes so far are in.B[at:end]
	pos := in.R           // the input before pos is used up
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
			ln.trailers.Reset(limits, ln.Answer)
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
		ln.data, ln.skip = 0, 0 // they do not count in Taken
		return ln.trailers.Reason, true
	case httpparse.Done:
		ln.Whole = true
	}
	return 0, false
}

// encode frames the data for the other side: chunk line, data and line end, and, at
// the end of the body, the last chunk with the trailers.
func (ln *Lane) encode(a *arena.Arena, in *arena.Slab) {
	n, trail := ln.data, 0
	if ln.Whole && ln.From == httpparse.Chunked {
		trail = int(ln.trailers.HeadLen)
	}
	section := in.B[in.R+n+ln.skip : in.W] // the trailers, if they have come
	ln.skip += trail
	chunked := ln.To == httpparse.Chunked
	copied := n > 0 && n <= copyMax && (chunked || ln.out != nil)
	if chunked && (n > 0 || ln.Whole) || copied {
		need := chunkRoom + trail + 2*len(ln.trailers.Fields)
		if copied {
			need += n
		}
		ln.room(a, need)
	}
	if chunked && n > 0 {
		ln.out.W = len(appendChunkLine(ln.out.B[:ln.out.W], n))
	}
	if copied {
		ln.own.body = span{ln.out.W, ln.out.W + n}
		ln.append(in.B[in.R : in.R+n])
		in.R += n
		ln.data = 0
	}
	if ln.out != nil {
		ln.cut = ln.out.W
	}
	ln.Held = ln.Held && ln.data == 0
	if chunked && n > 0 {
		ln.append(crlf)
	}
	if chunked && ln.Whole {
		ln.append(lastChunk)
		ln.trail(section)
	}
	if ln.data == 0 {
		in.Take(ln.skip)
		ln.skip = 0
	}
}

// trail appends the trailers that were read from section, and the end of the message.
func (ln *Lane) trail(section []byte) {
	if len(ln.trailers.Fields) > 0 {
		from := ln.out.W
		ln.Withheld.Hide(section, &ln.trailers)
		ln.trailers.Marks = ln.Marks
		ln.out.W = len(httpparse.AppendTrailers(ln.out.B[:from], section, &ln.trailers))
		ln.own.trail = span{from, ln.out.W}
	}
	ln.append(crlf)
}

// Ends reports whether there is room for End with this section now. There is when all has been
// written.
func (ln *Lane) Ends(section []byte) bool {
	return ln.Flushed() || ln.out == nil || ln.out.W+2*len(section)+chunkRoom <= SlabBytes
}

// End notes that the source has ended, and with it a body that its conn or its stream frames.
// section is the trailer section of a stream, with the empty line that ends it, or empty. bad
// reports that it is refused; r is the reason.
func (ln *Lane) End(a *arena.Arena, section []byte, limits *httpparse.Limits) (r httpparse.Reason, bad bool) {
	ln.Whole = true
	if ln.To != httpparse.Chunked {
		return httpparse.NoReason, false
	}
	if ln.Flushed() {
		ln.reuse(a)
	}
	ln.trailers.Reset(limits, ln.Answer)
	if len(section) > 0 && ln.trailers.Feed(section) != httpparse.Done {
		return ln.trailers.Reason, true
	}
	ln.room(a, chunkRoom+len(section)+2*len(ln.trailers.Fields))
	ln.append(lastChunk)
	ln.trail(section)
	return httpparse.NoReason, false
}

// chunkRoom is more, in bytes, than a chunk line, the line end after its data and the
// last chunk take together.
const chunkRoom = 64

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n")
)

// append appends b to out, which has room for it.
func (ln *Lane) append(b []byte) { ln.out.W += copy(ln.out.B[ln.out.W:], b) }

// appendChunkLine appends the line before n bytes of chunk data (RFC 9112 7.1).
func appendChunkLine(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}
