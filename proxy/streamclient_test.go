package proxy

import (
	"bytes"
	"net/netip"
	"strings"

	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/lane"
)

// streamClient plays the client of a transcript with a stream for each request. It takes
// apart the bytes that the client would send on its conn; each request becomes a stream when
// the one before has ended.
type streamClient struct {
	p      *player
	name   string
	peer   front.Peer
	narrow bool // its windows hold next to nothing
	paused bool // its windows are shut
	closed bool

	streams  []*stream
	got      []streamMessage // set at the end of the script
	reads    streamPart
	buf      []byte // bytes sent and not yet taken apart
	head     httpparse.RequestParser
	left     int64 // of a body with a length, in bytes
	chunks   httpparse.Chunks
	trailers httpparse.Trailers
}

// streamPart is the part of a request that comes next.
type streamPart int

const (
	streamIdle streamPart = iota
	streamHead
	streamLength
	streamChunks
	streamTrailers
)

// openStreams makes a client at from.
func (p *player) openStreams(name string, from netip.AddrPort) *streamClient {
	c := &streamClient{p: p, name: name, narrow: p.narrow}
	c.peer.Set(from.Addr(), front.Plain)
	c.peer.HTTP2 = p.http2
	if p.playing.layered {
		c.peer.Way = front.TLS
	}
	p.streams = append(p.streams, c)
	p.p.shared.Clients++
	return c
}

// streamClient returns the client with this name, and makes it the first time.
func (p *player) streamClient(name string) *streamClient {
	for _, c := range p.streams {
		if c.name == name {
			return c
		}
	}
	return p.openStreams(name, rigClient)
}

// moveStreams makes a client do something, in the next turn, as an event would.
func (p *player) moveStreams(name, verb string) {
	if from, ok := strings.CutPrefix(verb, "open from "); ok {
		addr, _ := netip.ParseAddrPort(from) // not valid for "unix"
		p.openStreams(name, addr)
		return
	}
	c := p.streamClient(name)
	switch verb {
	case "open":
	case "shut":
		p.l.Post(c.shut)
	case "close":
		p.l.Post(c.end)
	case "reset":
		p.l.Post(c.leave)
	case "pause", "resume":
		c.paused = verb == "pause"
		p.l.Post(c.wake)
	default:
		p.t.Fatalf("%s cannot %q", name, verb)
	}
}

// last returns the newest stream, or nil if there is none.
func (c *streamClient) last() *stream {
	if len(c.streams) == 0 {
		return nil
	}
	return c.streams[len(c.streams)-1]
}

// wake runs a stream that waits for a window or for an event.
func (c *streamClient) wake() {
	if s := c.last(); s != nil {
		s.ready()
	}
}

// receive takes the bytes b apart.
func (c *streamClient) receive(b []byte) {
	c.buf = append(c.buf, b...)
	c.read()
}

// read takes the bytes sent apart, and runs the stream that they are for.
func (c *streamClient) read() {
	for len(c.buf) > 0 && c.step() {
	}
	if s := c.last(); s != nil {
		s.ready()
	}
}

// step takes a part of the bytes sent. It returns false if it needs more of them.
func (c *streamClient) step() bool {
	s := c.last()
	switch c.reads {
	case streamIdle:
		switch {
		case s != nil && s.tunnel:
			c.give(len(c.buf), false)
			return false
		case s != nil && (!s.ended || s.ending != front.Keep):
			return false
		}
		lease := c.p.p.Lease()
		s = &stream{client: c, lease: lease, since: c.p.l.Now()}
		s.Deadline(s.since.Add(lease.HeadTimeout()))
		c.streams = append(c.streams, s)
		c.head.Reset(lease.Limits())
		c.reads = streamHead
		return true
	case streamHead:
		return c.readHead()
	case streamLength:
		n := min(len(c.buf), int(c.left))
		if c.left -= int64(n); c.left == 0 {
			c.reads = streamIdle
		}
		c.give(n, c.left == 0)
		return true
	case streamChunks:
		return c.readChunks()
	}
	if c.trailers.Feed(c.buf) != httpparse.Done {
		return false
	}
	c.buf = c.buf[c.trailers.HeadLen:]
	c.reads = streamIdle
	c.give(0, true)
	return true
}

// give gives the stream the first n bytes of buf as a part of its body; over ends the body.
func (c *streamClient) give(n int, over bool) {
	s := c.last()
	s.body = append(s.body, c.buf[:n]...)
	s.over = s.over || over
	c.buf = c.buf[n:]
}

func (c *streamClient) readHead() bool {
	s := c.last()
	switch c.head.Feed(c.buf) {
	case httpparse.More:
		return false
	case httpparse.Bad:
		s.head.Request = c.head.Request
		s.put(c.buf[:min(len(c.buf), lane.SlabBytes/2)])
		s.begin()
		c.reads = streamIdle
		s.work(func() bool { return s.x.BadHead(c.head.Reason) })
		return false
	}
	raw := c.buf[:c.head.HeadLen]
	c.buf = c.buf[c.head.HeadLen:]
	switch c.head.Framing {
	case httpparse.None:
		c.reads = streamIdle
	case httpparse.Length:
		if c.reads, c.left = streamLength, c.head.Length; c.left == 0 {
			c.reads = streamIdle
		}
	default:
		c.reads = streamChunks
		c.chunks.Reset(false)
	}
	if s.setHead(neutralRequest(raw), c.head.Framing) != httpparse.Done {
		c.p.t.Errorf("a stream refuses %q", raw)
	}
	return true
}

func (c *streamClient) readChunks() bool {
	d, n, st := c.chunks.Next(c.buf)
	if st == httpparse.Bad {
		c.p.t.Fatalf("bad chunks: %v", c.chunks.Reason)
	}
	rest := c.buf[n:]
	c.buf = c.buf[d.Off : d.Off+d.Len]
	c.give(len(c.buf), false)
	c.buf = rest
	if st == httpparse.Done {
		c.reads = streamTrailers
		c.trailers.Reset(&httpparse.Limits{HeadBytes: 1 << 16, Fields: 100, TargetBytes: 1 << 16}, false)
	}
	return n > 0
}

// neutralRequest returns a head without the fields that only a conn of HTTP/1 has. Upgrade
// stays: it stands for a stream's way to ask for a tunnel (RFC 8441 4).
func neutralRequest(head []byte) (out []byte) {
	upgrade := bytes.Contains(bytes.ToLower(head), []byte("\r\nupgrade:"))
	for line := range bytes.SplitAfterSeq(head, []byte("\r\n")) {
		name, _, _ := strings.Cut(strings.ToLower(string(line)), ":")
		switch name {
		case "transfer-encoding", "keep-alive", "proxy-connection", "te":
			continue
		case "connection":
			if !upgrade {
				continue
			}
		}
		out = append(out, line...)
	}
	return out
}

// shut ends the bytes from the client.
func (c *streamClient) shut() {
	s := c.last()
	switch {
	case c.reads == streamHead:
		c.leave()
	case s != nil && (c.reads != streamIdle || s.tunnel):
		s.over = true
		s.ready()
	}
}

// end ends the client's bytes in a tunnel, and any other stream at once.
func (c *streamClient) end() {
	if s := c.last(); s != nil && s.tunnel {
		c.shut()
		return
	}
	c.leave()
}

// leave ends all streams and the client.
func (c *streamClient) leave() {
	if s := c.last(); s != nil {
		s.gone = true
		if c.reads == streamHead {
			c.reads = streamIdle
			s.begin()
			s.x.Gone()
		}
		s.ready()
	}
	c.close()
}

// close ends the client, which has no stream, once.
func (c *streamClient) close() {
	if !c.closed {
		c.closed = true
		c.p.p.shared.Clients--
		c.p.p.shared.Host.Closed()
	}
}

// streamEnded goes on after a stream has ended.
func (c *streamClient) streamEnded() {
	if c.p.p.shared.Draining {
		c.close()
	} else if len(c.buf) > 0 {
		c.p.l.Post(c.read)
	}
}
