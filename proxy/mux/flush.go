package mux

import (
	"lb/httpparse/h2"
	"lb/proxy/lane"
)

// Flush makes frames of the pending bytes of ln, as far as windows and the output have room.
// in is the inbox that ln reads from, or nil. n is the number of bytes that were added to the
// output. If bytes are left, the user is run when there is room. The frame with the last byte
// of ln ends our side.
func (s *Stream) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	if s.gone {
		return 0, ErrGone
	}
	for more := true; more; {
		var k int
		switch kind, b := ln.Part(in); kind {
		case lane.PartHead, lane.PartTrailers:
			k, more = s.headers(kind, ln, in, b)
		case lane.PartBody:
			k, more = s.body(ln, in, b)
		default:
			if more = false; ln.Done() {
				s.Finish()
			}
		}
		n += k
	}
	return n, nil
}

// headers makes HEADERS of b, a whole head or trailers. It reports whether there may be more
// to do.
func (s *Stream) headers(kind lane.Part, ln *lane.Lane, in *lane.Inbox, b []byte) (n int, more bool) {
	c := s.c
	need := h2.HeadRoom(len(b))
	if need > c.free() && c.out != nil {
		c.enqueue(s)
		return 0, false
	}
	out := c.room(need)
	had := len(out)
	more = ln.TakePart(len(b), in)
	end := !more && ln.Whole
	switch {
	case kind == lane.PartTrailers:
		out = c.AppendTrailers(out, &s.Stream, b)
	case c.side.Role == h2.Client:
		out = c.AppendRequest(out, &s.Stream, b, c.side.Scheme, end)
	default:
		out = c.AppendResponse(out, &s.Stream, b, end)
	}
	c.put(out)
	return s.added(len(out) - had), more
}

// body makes a DATA frame of b, a part of a body, as far as there is room.
func (s *Stream) body(ln *lane.Lane, in *lane.Inbox, b []byte) (n int, more bool) {
	c := s.c
	k := min(len(b), c.Sendable(&s.Stream))
	if k == 0 {
		s.block(true)
		return 0, false
	}
	if left := c.left(s) - h2.HeaderLen; left < k {
		if left < sliverBytes {
			c.enqueue(s)
			return 0, false
		}
		k = left
	}
	out := c.room(h2.HeaderLen + k)
	more = ln.TakePart(k, in)
	out = c.AppendData(out, &s.Stream, k, !more && ln.Whole)
	c.put(append(out, b[:k]...))
	return s.added(h2.HeaderLen + k), more
}

// added notes that s has added n bytes to the output.
func (s *Stream) added(n int) int {
	if s.c.turn == s {
		s.c.share -= n
	}
	if s.sent < freshBytes {
		s.sent += n
	}
	return n
}
