// Package clients has the conns of the clients of one loop: it takes them from listeners,
// by what these are configured to be, and from other loops, and it ends them together. It
// does not know what a request is.
package clients

import (
	"log/slog"
	"net/netip"
	"slices"

	"lb/board"
	"lb/config"
	"lb/internal/netset"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/proxy/crowd"
	"lb/proxy/front"
	"lb/proxy/h1"
	"lb/proxy/h2"
	"lb/proxy/lane"
	"lb/proxy/preamble"
	"lb/proxy/shake"
	"lb/proxy/spread"
)

// Clients are those of one loop. All methods are called on that loop.
type Clients struct {
	*front.Shared
	// PassOn is that of proxy.Options.
	PassOn func(slot int, address string, fd int, peer netip.AddrPort) bool
	// Taken is called after a conn was taken in a drain.
	Taken func()

	board     *board.Board
	slot      int // on the board
	doors     map[string]*door
	listens   []config.Listener // of the present configuration
	port      string            // of https, see httpsPort
	redirects bool              // a listener redirects to https
	tokens    map[string]string // those of the TLS set
	others    spread.Loops
	servers   []front.Server
	h1        *h1.Server
	h2        *h2.Server
	shake     *shake.Server
	preamble  *preamble.Server
}

// New returns the clients of a loop, which is in a slot of b, before there are any.
func New(s *front.Shared, b *board.Board, slot int, log *slog.Logger) *Clients {
	c := &Clients{Shared: s, board: b, slot: slot, doors: map[string]*door{}, h1: h1.New(s), h2: h2.New(s)}
	c.shake = &shake.Server{Shared: s, Log: log, HandOff: c.Shaken}
	c.preamble = &preamble.Server{Shared: s}
	c.servers = []front.Server{c.preamble, c.shake, c.h1, c.h2}
	return c
}

// door is the acceptor of the listeners at one address. What it is follows from the
// present configuration; a door whose address is no longer there stays what it was: its
// sockets may still have conns in their queues.
type door struct {
	c       *Clients
	address string
	way     front.Way
	proxied bool           // each conn begins with a PROXY header
	access  *netset.Access // nil: everyone
}

// Door returns the acceptor of the listeners at address, which stays the same one.
func (c *Clients) Door(address string) loop.Acceptor { return c.door(address) }

func (c *Clients) door(address string) *door {
	d := c.doors[address]
	if d == nil {
		d = &door{c: c, address: address}
		c.doors[address] = d
		d.look()
	}
	return d
}

// look makes d what its address is now.
func (d *door) look() {
	for _, l := range d.c.listens {
		if l.Address == d.address {
			d.way, d.proxied, d.access = WayOf(l), l.ProxyProtocol, netset.NewAccess(l.Allow, l.Deny)
		}
	}
}

// Use makes cfg the present configuration, and others the loops that conns are passed on to.
func (c *Clients) Use(cfg *config.Config, others spread.Loops) {
	c.IdleTimeout, c.HeadTimeout, c.shake.Timeout = cfg.Timeouts.ClientIdle, cfg.Timeouts.ClientHeader, cfg.Timeouts.Handshake
	c.preamble.Timeout, c.preamble.Trusted = cfg.Timeouts.ClientHeader, cfg.TrustedProxies
	c.h2.Use(h2.Settings{Streams: cfg.HTTP2.Streams, HeadBytes: cfg.Limits.HeaderBytes, Write: cfg.Timeouts.ClientWrite})
	if c.h1.HTTP2 = nil; cfg.HTTP2.Enabled {
		c.h1.HTTP2 = c.h2.Take
	}
	c.listens, c.others = cfg.Listening(), others
	c.port = httpsPort(c.listens)
	c.redirects = slices.ContainsFunc(c.listens, func(l config.Listener) bool { return l.RedirectHTTPS })
	for _, d := range c.doors {
		d.look()
	}
	c.hold(cfg.Limits.Connections, cfg.Limits.ConnectionsPerClient)
}

// hold makes connections, and each of one client, the limits from now on.
func (c *Clients) hold(connections, each int) {
	if c.Crowd == nil {
		if connections == 0 && each == 0 {
			return
		}
		c.Crowd = crowd.New(c.Loop, c.board, c.slot)
	}
	if c.Crowd.Use(connections, each) {
		for _, s := range c.servers {
			s.ListIdle()
		}
	}
}

// SetTLS makes set that of new conns. It may be nil.
func (c *Clients) SetTLS(set *tlsconf.Set) {
	c.shake.Set, c.tokens = set, nil
	if set != nil {
		c.tokens = set.Tokens
	}
}

// Accepted implements loop.Acceptor: it takes over a client conn, or passes it on.
func (d *door) Accepted(fd int, peer netip.AddrPort) {
	if !d.passesOn(fd, peer) {
		d.take(fd, peer)
	}
}

// passesOn passes a new conn on to another loop if that one has clearly fewer. It
// reports whether it has: fd is no longer this loop's then.
func (d *door) passesOn(fd int, peer netip.AddrPort) bool {
	c := d.c
	if c.PassOn == nil || c.Draining || c.Crowd.Near() {
		return false
	}
	now := c.Loop.Now()
	to := c.others.Choose(c.Clients, now)
	if to == nil || !c.PassOn(to.Slot, d.address, fd, peer) {
		return false
	}
	to.Passed(now)
	return true
}

// Passed takes over a client conn that another loop has accepted at address, or passes it
// on again. In a drain its first request is still answered.
func (c *Clients) Passed(address string, fd int, peer netip.AddrPort) {
	d := c.door(address)
	if c.others.Keeps() || !d.passesOn(fd, peer) {
		d.take(fd, peer)
	}
}

// take makes fd a client of this loop.
func (d *door) take(fd int, peer netip.AddrPort) {
	c := d.c
	c.Counters.Accepted.Add(1)
	key, why := uint64(0), crowd.Admitted
	if !d.proxied { // else the client is known after the header, see Arrived
		key, why = d.admit(peer.Addr())
	}
	if why != crowd.Admitted {
		why.Count(c.Counters, c.Refusals, c.Loop.Now(), peer.Addr())
		c.Loop.Refuse(fd)
		return
	}
	var conn *h1.Conn
	var err error
	switch {
	case d.proxied:
		err = c.preamble.Open(fd, peer, d)
	case d.way == front.TLS:
		err = c.shake.Open(fd, peer, key)
	default:
		conn, err = c.h1.Open(fd, peer, d.way, key)
	}
	if err != nil {
		c.Counters.AcceptErrors.Add(1)
		c.Crowd.Free(key)
		return
	}
	if c.Draining {
		c.Taken()
		if conn != nil {
			conn.LastCall()
		}
	}
}

// admit decides whether a client at addr may come in, and counts its conn: see Crowd.Admit.
func (d *door) admit(addr netip.Addr) (key uint64, why crowd.Verdict) {
	if d.access != nil && !d.access.Lets(addr) {
		return 0, crowd.Denied
	}
	return d.c.Crowd.Admit(addr)
}

// Arrived implements preamble.Next: it takes over a conn after its PROXY header, unless the
// client that the header names may not come in. Its address decides whether that client is a
// trusted proxy itself.
func (d *door) Arrived(conn *loop.Conn, from front.Arrival, in lane.Inbox) {
	c := d.c
	addr := from.Addr.Addr()
	key, why := d.admit(addr)
	if why != crowd.Admitted {
		why.Count(c.Counters, c.Refusals, c.Loop.Now(), addr)
		in.Release(c.Arena)
		conn.Close(false)
		c.Left(0)
		return
	}
	from.Key = key
	if d.way == front.TLS {
		c.shake.Take(conn, from, in)
		return
	}
	c.Counters.BytesFromClient.Add(uint64(in.Len()))
	c.serve(shake.Over{Conn: conn, From: from, Way: d.way, In: in})
}

// Shaken takes over a conn after its handshake. It has been counted.
func (c *Clients) Shaken(o shake.Over) {
	if o.TLS.Protocol != tlsconf.ProtocolH2 {
		c.serve(o)
		return
	}
	peer := peerOf(&o)
	c.h2.Take(o.Conn, &peer, o.In)
}

// serve makes the conn of o one of HTTP/1.
func (c *Clients) serve(o shake.Over) {
	peer := peerOf(&o)
	conn := c.h1.Take(o.Conn, &peer, o.In)
	if c.Draining {
		conn.LastCall()
	}
}

func peerOf(o *shake.Over) (peer front.Peer) {
	peer.Set(o.From.Addr, o.Way)
	peer.Cert, peer.TLS, peer.Key, peer.Proxy = o.Cert, o.TLS, o.From.Key, o.From.Proxy
	return peer
}

// Panicked is called by the loop after a panic in Accepted.
func (d *door) Panicked(value any, stack []byte) { d.c.Host.Panicked(value, stack) }

// Drain gives every idle conn a last call. Shared.Draining is set.
func (c *Clients) Drain() {
	c.hold(0, 0)
	for _, s := range c.servers {
		s.Drain()
	}
}

// Cut ends every conn at once and returns how many requests were cut off.
func (c *Clients) Cut() (requests int) {
	for _, s := range c.servers {
		requests += s.Cut()
	}
	return requests
}

// Trim leaves memory that was not needed for a while to the collector, and returns about
// how many bytes.
func (c *Clients) Trim() (freed int) { return c.h1.Trim() + c.h2.Trim() + c.shake.Trim() }
