package looptest

import (
	"fmt"
	"net/netip"

	"lb/loop"
)

// Peer is the other end of one of the loop's connections: a client from Connect
// or what a Server was dialed by. It reads by itself whatever arrives, until
// Pause.
type Peer struct {
	// OnBytes, when set, is called after bytes have arrived, once for all that
	// came meanwhile; Recv gives them. OnEnd is called when the loop's side has
	// ended or reset: Ended and WasReset tell. Both run from within Wait and
	// Advance, and may use the Peer.
	OnBytes, OnEnd func(p *Peer)

	end
	sock     *sock
	addr     loop.Addr
	received []byte
	recvAt   int // of received, how much Recv has given out
	paused   bool
	noticed  bool // a call of OnBytes or OnEnd is on the agenda
	ended    bool
	reset    bool
	told     bool // OnEnd was called
}

// Addr returns the client's address, or that of the server that was dialed.
func (p *Peer) Addr() loop.Addr { return p.addr }

// Send sends b, which is copied; what does not fit on the way waits. It returns
// false when the peer's side has ended or the connection is gone.
func (p *Peer) Send(b []byte) bool {
	if p.shut || p.gone || p.closed {
		return false
	}
	p.k.tracef("%s sends %d", p, len(b))
	p.add(b)
	if p.k.chance(p.k.Faults.HalfClose) {
		p.Shut()
	}
	return true
}

// Recv returns the bytes that have arrived since the last Recv.
func (p *Peer) Recv() []byte {
	b := p.received[p.recvAt:len(p.received):len(p.received)]
	p.recvAt = len(p.received)
	return b
}

// Received returns all bytes that have arrived so far, those of Recv included.
// They are the Peer's: read only.
func (p *Peer) Received() []byte { return p.received }

// Unsent returns how many of the bytes given to Send still wait for room.
func (p *Peer) Unsent() int { return len(p.queue) }

// Close lets go of the connection: its side ends after all that was sent, and
// bytes that still come are answered with a reset. With unread bytes (paused) it
// is a reset itself.
func (p *Peer) Close() { p.letGo(false) }

// Reset breaks the connection: the bytes on the way still arrive, then a reset.
// A unix socket has no such thing; there it is a Close.
func (p *Peer) Reset() { p.letGo(true) }

func (p *Peer) letGo(reset bool) {
	if p.closed {
		return
	}
	p.k.tracef("%s closes, reset %t", p, reset)
	p.close(reset)
}

// Shut ends the peer's side after all that was sent; it still receives.
func (p *Peer) Shut() {
	if p.shut || p.gone || p.closed {
		return
	}
	p.k.tracef("%s shuts", p)
	p.shutdown()
}

// Pause stops reading: what comes fills the buffers, then the loop's writes stop.
func (p *Peer) Pause() { p.paused = true }

// Resume goes on reading.
func (p *Peer) Resume() {
	p.paused = false
	p.pull()
}

// Ended is true when the loop's side has ended and all its bytes have been read.
func (p *Peer) Ended() bool { return p.ended }

// WasReset is true when a reset has come. What had arrived and was not read is lost.
func (p *Peer) WasReset() bool { return p.reset }

// IsShut is true when the peer's side has ended: Shut, Close or Faults.HalfClose.
func (p *Peer) IsShut() bool { return p.shut || p.closed }

// Struck is true when the connection was broken by Faults.Reset, and neither by
// the loop nor by the test.
func (p *Peer) Struck() bool { return p.struck }

// Accepted is true when the loop has taken the connection from its listener.
func (p *Peer) Accepted() bool { return p.sock.taken }

func (p *Peer) String() string { return "peer " + name(p.addr) }

// raise is told of changes at the peer's end.
func (p *Peer) raise(loop.Flags) {
	switch {
	case p.broken:
		p.reset, p.arrived = true, nil
		p.k.tracef("%s was reset", p)
		p.notice()
	default:
		p.pull()
	}
}

// pull reads all there is.
func (p *Peer) pull() {
	if p.paused || p.closed {
		return
	}
	if n := len(p.arrived); n > 0 {
		was := len(p.received)
		p.received = append(p.received, make([]byte, n)...)
		p.take(p.received[was:])
		p.notice()
	}
	if p.finSeen && len(p.arrived) == 0 && !p.ended {
		p.ended = true
		p.k.tracef("%s sees the end after %d", p, len(p.received))
		p.notice()
	}
}

// notice has the callbacks run at the next look.
func (p *Peer) notice() {
	if p.noticed {
		return
	}
	p.noticed = true
	p.k.at(p.k.now, p.call)
}

func (p *Peer) call() {
	p.noticed = false
	if p.closed {
		return
	}
	if p.OnBytes != nil && p.recvAt < len(p.received) {
		p.OnBytes(p)
	}
	if p.OnEnd != nil && (p.ended || p.reset) && !p.told && !p.closed {
		p.told = true
		p.OnEnd(p)
	}
}

// Server is a place that the loop can dial.
type Server struct {
	// OnConnect, when set, is given each connection, from within Wait or
	// Advance. Without it they wait for Accept.
	OnConnect func(p *Peer)

	Refuse bool // dials are refused
	Silent bool // dials are not answered, until they time out

	k     *Kernel
	addr  loop.Addr
	queue []*Peer
}

// Serve makes addr a place to dial.
func (k *Kernel) Serve(addr loop.Addr) *Server {
	v := &Server{k: k, addr: addr}
	k.servers[addr] = v
	return v
}

// Close ends the place: dials are refused from now on, and connections not
// accepted are reset. Those accepted live on.
func (v *Server) Close() {
	delete(v.k.servers, v.addr)
	for p := v.Accept(); p != nil; p = v.Accept() {
		p.Reset()
	}
}

// Accept returns the next connection, or nil.
func (v *Server) Accept() *Peer {
	if len(v.queue) == 0 {
		return nil
	}
	p := v.queue[0]
	v.queue = v.queue[1:]
	return p
}

// welcome connects s. OnConnect follows at the next look.
func (v *Server) welcome(s *sock) {
	p := s.meet(v.addr)
	v.k.at(v.k.now, func() {
		if v.OnConnect != nil {
			v.OnConnect(p)
			return
		}
		v.queue = append(v.queue, p)
	})
}

// meet gives s a peer and connects the two.
func (s *sock) meet(addr loop.Addr) *Peer {
	p := &Peer{sock: s, addr: addr}
	p.end = end{k: s.k, owner: p, unix: s.unix}
	s.peer = p
	join(&s.end, &p.end)
	return p
}

// Connect returns a client of a listening socket. from is its address; an
// invalid one makes it the client of a unix socket. It may send at once.
func (k *Kernel) Connect(listener int, from netip.AddrPort) *Peer {
	l := k.listener(listener, "connect")
	if l == nil {
		panic(fmt.Sprintf("looptest: %d is not listening", listener))
	}
	s := k.newSock(!from.IsValid())
	s.from = from
	p := s.meet(loop.Addr{IP: from})
	at := k.now.Add(k.upTo(k.Faults.ConnectDelay))
	p.lastAt = at // nothing arrives before the connection is there
	if at == k.now {
		l.add(s)
	} else {
		k.at(at, func() { l.add(s) })
	}
	return p
}
