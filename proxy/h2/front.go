package h2

import (
	"net/netip"
	"strconv"

	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
)

var _ front.Front = (*stream)(nil)

// Flush implements front.Front. Of the answer to a malformed request nothing is sent.
func (st *stream) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	if !st.refused {
		return st.Stream.Flush(ln, in)
	}
	for more := true; more; {
		part, b := ln.Part(in)
		more = part != lane.PartNone && ln.TakePart(len(b), in)
	}
	return 0, nil
}

// Deadline implements front.Front.
func (st *stream) Deadline(at tick.Instant) { st.conn.s.Loop.Arm(&st.timer, st, at) }

// Wake implements front.Front.
func (st *stream) Wake() {
	if c := st.conn; c.IsOpen() {
		c.Touch(&st.Stream)
		c.Again()
	}
}

// Advance implements front.Front.
func (st *stream) Advance() {
	s := st.conn.s
	s.Working = st
	st.x.Run()
	s.Working = nil
}

// LocalAddr implements front.Front.
func (st *stream) LocalAddr() netip.AddrPort { return st.conn.LocalAddr() }

// Gone implements front.Front.
func (st *stream) Gone() bool { return st.Stream.Gone() && !st.refused }

// Shut implements front.Front: the end of a request is not that of the client.
func (st *stream) Shut() bool { return st.tunnel && st.PeerEnded() }

// AppendHead implements front.Front. How a body is framed is not said in the head; it is
// Chunked for the lane wherever trailers may follow.
func (st *stream) AppendHead(d []byte, r *front.Reply) []byte {
	if r.To = r.Framing; r.To > httpparse.Length {
		r.To = httpparse.Chunked
	}
	r.Keep = false // the next request does not wait for the end of this one
	d = append(d, "HTTP/1.1 "...)
	d = append(d, byte('0'+r.Code/100%10), byte('0'+r.Code/10%10), byte('0'+r.Code%10), ' ')
	d = append(d, crlf...)
	if r.Message != nil {
		drop := r.Drop
		if r.To != httpparse.Chunked || r.Framing == httpparse.Close {
			drop |= httpparse.SetOf(httpparse.Trailer)
		}
		d = httpparse.AppendFields(d, r.Text, r.Message, drop)
	}
	d = append(append(d, r.Lines...), r.Own...)
	if r.Length >= 0 {
		d = append(d, "Content-Length: "...)
		d = strconv.AppendInt(d, r.Length, 10)
		d = append(d, crlf...)
	}
	st.tunnel = r.Code == 101
	return append(d, crlf...)
}

const crlf = "\r\n"

// End implements front.Front.
func (st *stream) End(how front.Ending) {
	switch {
	case st.refused:
		st.Reset(h2.ProtocolError)
	case how == front.Abort || how == front.Reset:
		st.Reset(h2.InternalError)
	default:
		st.Finish()
		if st.conn.peer.Served = true; !st.PeerEnded() {
			st.Reset(h2.NoError)
		}
	}
	st.end()
}

// Abandon implements front.Front.
func (st *stream) Abandon() {
	c := st.conn
	st.abandon()
	c.abandon()
}
