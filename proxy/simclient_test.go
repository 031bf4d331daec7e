package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lb/config"
	"lb/loop/looptest"
)

// simClient is one client conn with its requests.
type simClient struct {
	s         *sim
	peer      simPeer
	r         simReader
	name      string
	requests  []*simRequest
	pipelined bool
	sent      int  // requests sent, at least in part
	answered  int  // final responses that arrived whole
	rough     bool // it began in a rough time
	quits     bool // it stops sending, or leaves, in the middle; it is promised nothing
	leaves    bool // it closes when all its requests are answered
	stopped   bool // it has left bytes out, and sends nothing more
	sending   bool // parts of a message are still to be sent
	ended     bool
	held      []byte // a body that waits for its 100, or tunnel bytes that wait for their 101 and the body before them
	opened    bool   // the 101 has come
	echoed    []byte // the bytes that it sent into a tunnel
}

// connect draws a client and makes it begin.
func (s *sim) connect() {
	c := &simClient{s: s, rough: s.rough, name: fmt.Sprintf("client %d", len(s.clients)), leaves: s.rng.IntN(3) > 0}
	s.clients = append(s.clients, c)
	c.drawRequests(s.rng.IntN(2) == 0)
	c.r = simReader{onHead: c.onHead, onWhole: c.onWhole, bodyless: c.bodyless}
	if c.requests[0].http2 {
		c.join()
	} else {
		p := s.dial(s.address(1000))
		p.OnBytes = func(p *looptest.Peer) { c.r.feed(p.Recv()) }
		p.OnEnd = func(*looptest.Peer) { c.onEnd() }
		c.peer = p
	}
	if s.rng.IntN(3) == 0 {
		s.after(300, func() {
			c.peer.Pause()
			s.after(300, c.peer.Resume)
		})
	}
	if s.rough && s.rng.IntN(4) == 0 {
		c.quits = true
		s.after(500, []func(){c.peer.Close, c.peer.Reset, c.peer.Shut, func() {}}[s.rng.IntN(4)])
	}
	c.next()
}

// address is that of the newest client.
func (s *sim) address(port int) netip.AddrPort {
	n := len(s.clients)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + n%4)}), uint16(port+n))
}

// drawRequests draws the requests of c.
func (c *simClient) drawRequests(http2 bool) {
	s, minor, count := c.s, 1, 1+c.s.rng.IntN(5)
	if s.rng.IntN(5) == 0 && !http2 {
		minor, count = 0, 1
	}
	c.pipelined = s.rng.IntN(3) == 0 && !http2
	for range count {
		r := s.newRequest(minor, c.pipelined)
		r.http2 = http2
		c.requests = append(c.requests, r)
	}
	last := c.requests[count-1]
	last.last = s.rng.IntN(3) == 0 && !http2
	if minor == 1 && s.rng.IntN(8) == 0 && !slices.ContainsFunc(s.pools, isH2) {
		s.makeTunnel(last, http2)
	}
}

// isH2 reports whether the backends of p have no upgrades. A request whose pool is removed
// comes to another.
func isH2(p config.Pool) bool { return p.Protocol == config.ProtocolH2C }

// next sends the requests that may be sent now: all of them, or one.
func (c *simClient) next() {
	var b []byte
	for !c.sending && c.sent < len(c.requests) && (c.pipelined || c.sent == c.answered) {
		r := c.requests[c.sent]
		c.sent++
		r.begun = c.s.r.k.Now()
		b = append(b, r.head()...)
		switch body := c.s.payload(r); {
		case r.tunnel:
			c.held = append([]byte{'.'}, simBytes(r.id, c.s.size())...)
			b = append(b, body...)
		case r.expect:
			c.held = body
		default:
			b = append(b, body...)
		}
	}
	if len(b) > 0 {
		c.send(b)
	}
}

// send sends b in parts, over a while. A client that quits may leave some out.
func (c *simClient) send(b []byte) {
	if c.quits && c.s.rng.IntN(2) == 0 {
		b, c.stopped = b[:c.s.rng.IntN(len(b))], true
	}
	c.sending = true
	c.s.inParts(b, c.peer, func() {
		c.sending = c.stopped
		switch {
		case c.opened && c.held != nil && !c.stopped:
			c.enterTunnel()
		case c.sent < len(c.requests) || c.held != nil:
			c.next() // the answer may have been faster
		case c.echoed != nil, c.s.rng.IntN(6) == 0:
			c.peer.Shut() // a client that ends its side after whole requests still gets the answers
		}
	})
}

func (c *simClient) request() *simRequest {
	if c.answered < c.sent {
		return c.requests[c.answered]
	}
	return nil
}

// halfHEAD reports whether lb may have replied to a HEAD before it had read enough to know
// the method.
func (c *simClient) halfHEAD() bool {
	return (c.quits || c.s.faulty) && c.answered > 0 && c.requests[c.answered-1].method == "HEAD"
}

func (c *simClient) bodyless(m *simMessage) bool {
	r := c.request()
	return m.code()/100 == 1 || m.code() == 204 || m.code() == 304 || r != nil && r.method == "HEAD"
}

func (c *simClient) onHead(m *simMessage) {
	if c.request() == nil {
		c.s.errorf("%s got a response that it did not ask for: %q", c.name, m.start)
	}
	if m.code() == 101 {
		if c.opened = true; !c.sending {
			c.enterTunnel()
		}
	}
}

// enterTunnel sends the bytes of the tunnel.
func (c *simClient) enterTunnel() {
	c.echoed, c.held = c.held, nil
	c.send(c.echoed)
}

// leftInQueue reports whether lb may have taken c for gone, and notes that.
func (c *simClient) leftInQueue() bool {
	if !c.s.aborts || !c.peer.IsShut() {
		return false
	}
	r := c.requests[c.answered]
	r.left = true
	return true
}

// onWhole checks a response.
func (c *simClient) onWhole(m *simMessage) {
	r := c.request()
	if r == nil {
		return
	}
	if m.code()/100 == 1 {
		if r.minor == 0 {
			c.s.errorf("%s speaks HTTP/1.0 and got %q", c.name, m.start)
		}
		if m.code() == 100 && r.expect && c.held != nil {
			held := c.held
			c.held = nil
			c.send(held)
		}
		return
	}
	c.answered++
	if r.expect || r.tunnel {
		c.held = nil
	}
	r.got, r.gotBody, r.gotOwn = m.code(), len(m.body), len(m.fields["x-id"]) == 0
	if r.gotOwn {
		c.ownReply(r, m)
	} else {
		c.s.answers++
		c.s.checkResponse(c.name, r, m)
	}
	if c.answered == len(c.requests) && c.leaves {
		c.peer.Close()
		return
	}
	if !c.pipelined {
		c.next()
	}
}

// ownReply checks a reply of lb's own: it is an error, and there is a reason for it.
func (c *simClient) ownReply(r *simRequest, m *simMessage) {
	c.s.replies++
	allowed := []int{502, 503, 504}
	if c.quits || c.s.faulty {
		allowed = append(allowed, 400, 408)
	}
	if !c.rough || !slices.Contains(allowed, m.code()) {
		c.s.errorf("%s: request %d, %s: %q %q", c.name, r.id, r.method, m.start, m.body)
	}
}

// onEnd is called when lb has ended or reset the conn.
func (c *simClient) onEnd() {
	c.ended = true
	if r := c.request(); r != nil && r.tunnel && c.r.part == simRaw {
		c.endTunnel(r)
	}
	switch {
	case c.peer.Truncated():
		if !c.rough {
			c.s.errorf("%s: its conn ended without a declared end", c.name)
		}
	case !c.peer.WasReset():
		c.r.end()
	}
	if !c.rough && c.answered < len(c.requests) && !c.leftInQueue() {
		c.s.errorf("%s: its conn ended behind %d of %d answers, reset %t", c.name, c.answered, len(c.requests), c.peer.WasReset())
	}
	c.peer.Close()
}

// endTunnel checks the bytes that came through a tunnel.
func (c *simClient) endTunnel(r *simRequest) {
	got := c.r.m.body
	switch {
	case !bytes.HasPrefix(c.echoed, got):
		c.s.errorf("%s: not its own bytes came through its tunnel", c.name)
	case len(got) == len(c.echoed):
		r.got, r.gotBody = 101, len(got)
		c.answered++
		c.s.answers++
	case !c.rough:
		c.s.errorf("%s: %d of %d bytes came through its tunnel, reset %t", c.name, len(got), len(c.echoed), c.peer.WasReset())
	}
}

// done reports whether the client has received everything that it can.
func (c *simClient) done() bool {
	tunnel := c.r.part == simRaw
	return c.ended || c.peer.WasReset() || c.answered == len(c.requests) && !tunnel ||
		c.quits && c.peer.IsShut() || c.stopped && (tunnel || c.requests[0].http2)
}

// checkResponse compares a response of a backend with the request.
func (s *sim) checkResponse(name string, r *simRequest, m *simMessage) {
	want := simBytes(r.id, r.size)
	if r.method == "HEAD" {
		want = nil
	}
	length := m.field("content-length")
	switch {
	case m.field("x-id") != strconv.Itoa(r.id):
		s.errorf("%s: request %d got the answer to %q", name, r.id, m.field("x-id"))
	case m.code() != r.code:
		s.errorf("%s: request %d: %q, want %d", name, r.id, m.start, r.code)
	case !bytes.Equal(m.body, want) && !((r.short || s.faulty) && r.framing == "close" && bytes.HasPrefix(want, m.body)):
		s.errorf("%s: request %d, %s, %s, taken for whole: %d bytes, want %d", name, r.id, r.method, r.framing, len(m.body), len(want))
	case m.field("x-sum") != "" && m.field("x-sum") != simSum(r.body):
		s.errorf("%s: request %d came to the backend as something else", name, r.id)
	case r.method == "HEAD" && r.framing == "length" && length != strconv.Itoa(r.size):
		s.errorf("%s: request %d: Content-Length %q to HEAD, want %d", name, r.id, length, r.size)
	case len(m.fields["date"]) != 1 || len(m.fields["x-hop"]) != 0 || len(m.fields["keep-alive"]) != 0:
		s.errorf("%s: request %d: fields %v", name, r.id, m.fields)
	case !s.maySet(r, len(m.fields["set-cookie"])):
		s.errorf("%s: request %d: cookies %q", name, r.id, m.fields["set-cookie"])
	case r.minor == 0 && len(m.fields["transfer-encoding"]) > 0:
		s.errorf("%s: chunks to HTTP/1.0", name)
	case len(m.trailers["x-tail"]) != len(m.fields["trailer"]):
		s.errorf("%s: request %d: Trailer %v, trailers %v", name, r.id, m.fields["trailer"], m.trailers)
	}
}

// describe returns the state of the clients that are not done.
func (s *sim) describe() string {
	var all []string
	for _, c := range s.clients {
		if !c.done() {
			all = append(all, fmt.Sprintf("%s: %d requests, %d sent, %d answered, %d bytes unsent, inside %t",
				c.name, len(c.requests), c.sent, c.answered, c.peer.Unsent(), c.r.inside()))
		}
	}
	return strings.Join(all, "\n\t")
}
