package h2

import (
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/mux"
)

// stream is one stream of a client's conn, and the front of its exchange.
type stream struct {
	mux.Stream
	conn  *conn // nil before its head and after its end
	head  httpparse.RequestParser
	lease front.Lease    // until the exchange begins
	x     front.Exchange // or nil before and after the exchange
	timer loop.Timer
	since tick.Instant // when the head came
	bound *httpparse.Limits

	ok      bool             // the head is good
	reason  httpparse.Reason // why it is not
	refused bool             // the stream is to end with PROTOCOL_ERROR
	tunnel  bool             // after a 101
}

func (s *Server) newStream() *h2.Stream {
	st := new(stream)
	return mux.NewStream(&st.Stream, st)
}

// read reads the head, which has just come on c. The exchange begins when the frames that
// have come with it are taken apart: see Ready.
func (st *stream) read(c *conn) {
	s := c.s
	st.conn, st.lease, st.since = c, s.Host.Lease(), s.Loop.Now()
	st.ok, st.reason, st.refused, st.tunnel = false, httpparse.NoReason, false, false
	st.bound = st.lease.Limits()
	text, r := c.ReadRequest(s.side.Text(st.bound.HeadBytes), st.bound, websocketKey)
	switch r.Verdict {
	case h2.Whole:
	case h2.TooLarge:
		st.reason = httpparse.LongHead
	default:
		st.reason, st.refused = reason(r.Reason), true
	}
	if !st.PutText(&st.In, text) {
		st.reason = httpparse.LongHead
	}
	if st.reason != httpparse.NoReason {
		st.head.Reset(st.bound)
		return
	}
	st.parse(&r)
}

// parse parses the head.
func (st *stream) parse(r *h2.Result) {
	st.head.Reset(st.bound)
	st.head.Secure, st.head.Marked = st.conn.peer.Secure(), r.Marked
	if st.head.Feed(st.In.Bytes()) != httpparse.Done {
		st.reason = st.head.Reason
		if st.refused = !limit(st.reason); st.refused {
			st.conn.Malformed()
		}
		return
	}
	st.ok, st.Early = true, true
	if !st.PeerEnded() && !r.WebSocket {
		st.head.InStream()
	}
}

// limit reports whether a head that was refused for the reason is beyond a limit of lb, and
// not malformed.
func limit(r httpparse.Reason) bool {
	switch r {
	case httpparse.LongHead, httpparse.LongMethod, httpparse.LongTarget, httpparse.ManyFields:
		return true
	}
	return false
}

// reason returns what of HTTP/1 comes next to why a block is malformed.
func reason(r heads.Reason) httpparse.Reason {
	switch r {
	case heads.BadMethod:
		return httpparse.BadMethod
	case heads.BadAuthority:
		return httpparse.BadHost
	case heads.BadName, heads.ConnField:
		return httpparse.BadName
	case heads.BadValue, heads.BadTE:
		return httpparse.BadValue
	case heads.BadLength, heads.EndedEarly:
		return httpparse.BadLength
	}
	return httpparse.BadTarget
}

// websocketKey is the key of handshakes of WebSockets with backends (RFC 6455 4.1): an
// extended CONNECT has none (RFC 8441 5). The key keeps a cache from answering, and lb passes
// answers on as they come, so it may be the same always.
const websocketKey = "bGIgaDIgd2Vic29ja2V0IQ==" // of 16 bytes, as servers check

// Ready implements mux.User. It begins the exchange, if the head has come.
func (st *stream) Ready() {
	switch {
	case st.x != nil:
		st.Advance()
	case st.lease != nil:
		st.begin()
	}
}

// begin begins the exchange.
func (st *stream) begin() {
	s := st.conn.s
	s.Working = st
	st.exchange()
	switch {
	case st.Gone(): // it was reset with its head
		st.x.Gone()
	case st.ok:
		s.Counters.HTTP2Requests.Add(1)
		st.x.Run()
	default:
		st.x.BadHead(st.reason)
	}
	s.Working = nil
}

// exchange returns the exchange, and begins it if it has not begun.
func (st *stream) exchange() front.Exchange {
	if st.x == nil {
		c := st.conn
		st.Early = false
		st.x = c.s.Host.Begin(st, st.lease, &st.In, &c.peer, &st.head.Request, st.since)
		st.lease = nil
	}
	return st.x
}

// end lets go of st, which has no exchange any more.
func (st *stream) end() {
	st.conn.s.Loop.Disarm(&st.timer)
	st.x, st.conn = nil, nil
	st.Release()
}

// cut cuts the request off, because lb stops.
func (st *stream) cut() {
	if st.lease != nil || st.x != nil {
		st.exchange().Cut()
	}
}

// abandon ends st and its exchange after a panic in one of the conn's.
func (st *stream) abandon() {
	if st.x != nil || st.lease != nil {
		st.exchange().Abandon()
	}
	st.conn.s.Loop.Disarm(&st.timer)
	st.x, st.lease, st.conn = nil, nil, nil
	st.Forget()
}

// Expired is called by the loop when the deadline of the exchange has passed.
func (st *stream) Expired() {
	if st.x == nil {
		return
	}
	s := st.conn.s
	s.Working = st
	st.x.Expired()
	s.Working = nil
}

// Panicked is called by the loop when Expired ended in a panic.
func (st *stream) Panicked(value any, stack []byte) {
	if c := st.conn; c != nil {
		c.Panicked(value, stack)
	}
}
