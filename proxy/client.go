package proxy

import (
	"bytes"
	"net/netip"
	"time"

	"lb/arena"
	"lb/loop"
	"lb/loop/tick"
)

// connState is the state of a client conn; whether a request is at work on it
// is told by client.x.
type connState uint8

const (
	connFree    connState = iota
	connOpen              // requests are read from it
	connClosing           // all is written, and what still comes is thrown away
)

const (
	pipelineTurns   = 16              // exchanges one client may finish in one turn
	lingerTimeout   = 5 * time.Second // how long what still comes is thrown away
	lingerBytesMax  = 64 << 20        // how much
	lastCallTimeout = time.Second     // how long an idle client may take to a last request in a drain
	peerTextBytes   = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
)

// client is one client conn. Between two exchanges it owns no buffer.
type client struct {
	loop.Conn
	p          *Proxy
	x          *exchange
	in         *arena.Slab // bytes read and not yet used up
	next, prev *client     // in Proxy.clients; next alone in the free list
	timer      loop.Timer  // the deadline of the phase, the exchange's too
	lingered   int32       // bytes thrown away while closing
	state      connState
	trusted    bool   // its address is in trusted_proxies
	judged     uint32 // Proxy.judged when trusted was worked out
	peerLen    uint8
	peer       [peerTextBytes]byte // its IP address as text, empty for a unix socket
}

// clientBatch is how many client structs are made at once: one object for the
// collector.
const clientBatch = 32

func (p *Proxy) newClient() *client {
	if p.freeConns == nil {
		batch := make([]client, clientBatch)
		for i := range batch {
			batch[i].p = p
			batch[i].next, p.freeConns = p.freeConns, &batch[i]
		}
	}
	c := p.freeConns
	p.freeConns, c.next = c.next, nil
	return c
}

func (p *Proxy) freeClient(c *client) {
	c.state, c.prev = connFree, nil
	c.next, p.freeConns = p.freeConns, c
}

// open makes c a client that is waited for.
func (c *client) open(peer netip.AddrPort) {
	p := c.p
	c.state, c.lingered = connOpen, 0
	addr := peer.Addr().WithZone("")
	c.peerLen = 0
	if addr.IsValid() {
		c.peerLen = uint8(len(addr.AppendTo(c.peer[:0])))
	}
	c.judge(addr)
	if c.next = p.clients; c.next != nil {
		c.next.prev = c
	}
	p.clients = c
	p.open++
	p.counters.ClientConns.Add(1)
	c.arm(p.loop.Now().Add(p.now.cfg.Timeouts.ClientIdle))
}

// judge works out whether c, which has that address, is trusted.
func (c *client) judge(addr netip.Addr) {
	c.judged, c.trusted = c.p.judged, contains(c.p.now.cfg.TrustedProxies, addr)
}

// judgeAgain is for a new trusted_proxies. The text of an address is never wrong;
// without one nobody is trusted.
func (c *client) judgeAgain() {
	addr, _ := netip.ParseAddr(string(c.peer[:c.peerLen]))
	c.judge(addr)
}

// contains reports whether addr is in one of some networks.
func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

func (c *client) arm(at tick.Instant) { c.p.loop.Arm(&c.timer, c, at) }

// Ready is called by the loop.
func (c *client) Ready() {
	if c.state == connClosing {
		c.linger()
		return
	}
	c.advance()
}

// advance moves the exchange on, and begins the next ones, until there is
// something to wait for.
func (c *client) advance() {
	c.p.working = c
	c.advanceOn()
	c.p.working = nil
}

func (c *client) advanceOn() {
	for range pipelineTurns {
		if c.x == nil && !c.begin() {
			return
		}
		if !c.x.run() || c.state != connOpen {
			return
		}
	}
	c.Again()
}

// begin starts an exchange when there is a first byte; without one, c is idle.
// Empty lines are no request (RFC 9112 2.2).
func (c *client) begin() bool {
	for range pumpTurns {
		if c.in == nil || c.in.Len() == 0 {
			if !c.receive() {
				return false
			}
		}
		for bytes.HasPrefix(c.in.Bytes(), crlf) {
			c.in.Take(len(crlf))
		}
		if c.in.Len() > 0 {
			c.p.newExchange(c)
			return true
		}
	}
	c.Again()
	return false
}

// receive reads when no exchange is at work. False: nothing came, and c is idle
// or closed.
func (c *client) receive() bool {
	p := c.p
	n, err := p.fill(&c.Conn, &c.in, false)
	if err != nil {
		c.close(false)
		return false
	}
	if n == 0 && !p.draining {
		c.arm(p.loop.Now().Add(p.now.cfg.Timeouts.ClientIdle))
	}
	p.counters.BytesFromClient.Add(uint64(n))
	return n > 0
}

// lastCall gives an idle c a moment for its last request, for a drain. Who has
// just connected has one on the way, and so may any other: to close at once would
// cost a client that is at work a request, and it could not report whether that was
// executed (RFC 9112 9.3.1). The answer says that the conn ends.
func (c *client) lastCall() {
	c.armLastCall()
	if c.in != nil { // it has requests here already, and goes on with them at the next turn
		return
	}
	s := c.p.arena.Get()
	n, err := c.Read(s.Room())
	if n == 0 || err != nil {
		c.p.arena.Put(s)
		if err != nil {
			c.close(false)
		}
		return
	}
	s.W += n
	c.in = s
	c.p.counters.BytesFromClient.Add(uint64(n))
	c.advance()
}

func (c *client) armLastCall() {
	c.arm(c.p.loop.Now().Add(min(lastCallTimeout, c.p.now.cfg.Timeouts.ClientIdle)))
}

// Expired is called by the loop when the deadline has passed.
func (c *client) Expired() {
	switch {
	case c.state == connFree:
	case c.x == nil:
		c.close(false)
	default:
		c.p.working = c
		if c.x.expired() && c.state == connOpen {
			c.advanceOn()
		}
		c.p.working = nil
	}
}

// close ends c, without an exchange. Again does nothing.
func (c *client) close(reset bool) {
	p := c.p
	if c.state == connFree {
		return
	}
	p.arena.Put(c.in)
	c.in = nil
	p.loop.Disarm(&c.timer)
	c.Conn.Close(reset)
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		p.clients = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	p.freeClient(c)
	p.open--
	p.counters.ClientConns.Sub(1)
	p.ended()
}

// finish ends c behind a whole response. When the client may still be sending,
// closing at once would reset the conn and could cost it the response: end our
// side, and throw away what comes, for a while (RFC 9112 9.6).
func (c *client) finish(unread bool) {
	if !unread && c.in == nil && !c.Readable() {
		c.close(false)
		return
	}
	c.p.arena.Put(c.in)
	c.in = nil
	c.state = connClosing
	if c.ShutdownWrite() != nil {
		c.close(false)
		return
	}
	c.arm(c.p.loop.Now().Add(lingerTimeout))
	c.linger()
}

// linger throws away what comes until the client ends, too.
func (c *client) linger() {
	for range pumpTurns {
		n, err := c.p.fill(&c.Conn, &c.in, true)
		if c.in != nil {
			c.p.arena.Put(c.in)
			c.in = nil
		}
		c.lingered += int32(n)
		if err != nil || c.lingered > lingerBytesMax {
			c.close(false)
			return
		}
		if n == 0 {
			return
		}
	}
	c.Again()
}

// Panicked is called by the loop when an event of c ended in a panic.
func (c *client) Panicked(value any, stack []byte) {
	c.p.panicked(value, stack)
	c.close(true)
}
