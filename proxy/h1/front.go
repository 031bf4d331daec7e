package h1

import (
	"strconv"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
)

var _ front.Front = (*Conn)(nil)

// Fill implements front.Front.
func (c *Conn) Fill(bulk bool) (n int, err error) {
	if n, err = c.in.Fill(c.s.Arena, &c.Conn, bulk); n > 0 {
		c.s.Counters.BytesFromClient.Add(uint64(n))
	}
	return n, err
}

// More implements front.Front.
func (c *Conn) More() bool { return c.Readable() }

// Over implements front.Front: the framing of a body in HTTP/1 is never that of a stream.
func (c *Conn) Over() (section []byte, over bool) { return nil, false }

// Flush implements front.Front.
func (c *Conn) Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error) {
	return ln.Flush(&c.Conn, in)
}

// Behind implements front.Front: a conn has one exchange.
func (c *Conn) Behind() bool { return false }

// Deadline implements front.Front. The conn's own deadlines use the same timer.
func (c *Conn) Deadline(at tick.Instant) { c.s.Loop.Arm(&c.timer, c, at) }

// Wake implements front.Front.
func (c *Conn) Wake() { c.Again() }

// Gone implements front.Front.
func (c *Conn) Gone() bool { return c.Hangup() }

// Shut implements front.Front.
func (c *Conn) Shut() bool { return c.PeerShut() }

// End implements front.Front.
func (c *Conn) End(how front.Ending) {
	c.endRequest()
	switch how {
	case front.Keep:
		if c.s.Draining { // the drain began after the head, so the response does not say that the conn closes
			c.armLastCall()
		}
	case front.Close, front.Unread:
		c.finish(how == front.Unread)
	default:
		c.close(how == front.Reset)
	}
}

// Abandon implements front.Front.
func (c *Conn) Abandon() {
	if c.state == stateFree {
		return
	}
	c.in.Forget(c.s.Arena)
	if c.req != nil {
		c.exchange().Abandon()
		c.endRequest()
	}
	c.close(true)
}

// AppendHead implements front.Front. It decides how the body is framed: a body that ends
// with the backend's conn is chunked for the client, except for HTTP/1.0, which knows no
// chunks (RFC 9112 6.1).
func (c *Conn) AppendHead(d []byte, r *front.Reply) []byte {
	switch r.To = r.Framing; {
	case r.Framing == httpparse.Stream && r.Length >= 0:
		r.To = httpparse.Length
	case r.Framing > httpparse.Length && c.req.Minor == 0:
		r.To, r.Keep = httpparse.Close, false
	case r.Framing > httpparse.Length:
		r.To = httpparse.Chunked
	}
	d = append(d, "HTTP/1.1 "...)
	d = append(d, byte('0'+r.Code/100%10), byte('0'+r.Code/10%10), byte('0'+r.Code%10), ' ')
	d = append(d, r.Phrase...)
	d = append(d, crlf...)
	if r.Message != nil {
		drop := r.Drop
		if r.To != httpparse.Chunked || r.Framing == httpparse.Close {
			drop |= httpparse.SetOf(httpparse.Trailer)
		}
		d = httpparse.AppendFields(d, r.Text, r.Message, drop)
	}
	d = append(d, r.Lines...)
	if r.Code >= 200 {
		d = c.appendConnection(d, r.Keep)
	}
	d = append(d, r.Own...)
	if len(r.Upgrade) > 0 {
		d = append(d, "Connection: Upgrade\r\nUpgrade: "...)
		d = append(d, r.Upgrade...)
		d = append(d, crlf...)
	}
	switch {
	case r.To == httpparse.Chunked:
		d = append(d, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0:
		d = append(d, "Content-Length: "...)
		d = strconv.AppendInt(d, r.Length, 10)
		d = append(d, crlf...)
	}
	return append(d, crlf...)
}

// appendConnection says whether the conn stays open, unless that is the default of the
// client's HTTP version (RFC 9112 9.3).
func (c *Conn) appendConnection(d []byte, keep bool) []byte {
	switch {
	case !keep:
		return append(d, "Connection: close\r\n"...)
	case c.req.Minor == 0:
		return append(d, "Connection: keep-alive\r\n"...)
	}
	return d
}
