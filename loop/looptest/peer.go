package looptest

import (
	"fmt"
	"net/netip"

	"lb/loop"
)

// Peer is the other end of one of the loop's connections: a client made by
// Connect, or the end at a Server that the loop dialled. It reads whatever
// arrives, unless paused.
type Peer struct {
	// OnBytes, if set, is called after bytes have arrived, once for all since the
	// last call; Recv returns them. OnEnd, if set, is called when the loop's side
	// has ended or reset; see Ended and WasReset. Both run within Wait and Advance,
	// and may use the Peer.
	OnBytes, OnEnd func(p *Peer)

	// Layered means that the loop's side has a Layer: what is sent and received is the
	// content of frames. Set it before anything is sent.
	Layered bool

	end
	raw      []byte // with Layered: a frame that is not whole
	declared bool   // with Layered: the loop's side has declared its end
	sock     *sock
	addr     loop.Addr
	received []byte
	recvAt   int // how much of received Recv has returned
	paused   bool
	noticed  bool // a call of OnBytes or OnEnd is on the agenda
	ended    bool
	reset    bool
	told     bool // OnEnd was called
}

// Addr returns the client's address, or the address that the loop dialled.
func (p *Peer) Addr() loop.Addr { return p.addr }

// Send sends a copy of b; what does not fit waits. It returns false if the peer's
// side has ended or the connection is gone.
func (p *Peer) Send(b []byte) bool {
	if p.shut || p.gone || p.closed {
		return false
	}
	p.k.tracef("%s sends %d", p, len(b))
	if p.Layered {
		if p.k.chance(p.k.Faults.Noise) {
			p.add([]byte{frameNoise, 0, 1, 0})
		}
		b = seal(nil, b, p.k)
	}
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

// Received returns all bytes that have arrived so far, including those that Recv
// returned. Do not change them.
func (p *Peer) Received() []byte { return p.received }

// Unsent returns how many bytes given to Send still wait for room.
func (p *Peer) Unsent() int { return len(p.queue) }

// Close closes the peer's end: its side ends after everything sent so far, and
// bytes that still arrive are answered with a reset. With unread bytes (paused) it
// resets at once.
func (p *Peer) Close() { p.letGo(false) }

// Reset breaks the connection: bytes on the wire still arrive, then the reset. A
// unix socket cannot be reset; there it is a Close.
func (p *Peer) Reset() { p.letGo(true) }

func (p *Peer) letGo(reset bool) {
	if p.closed {
		return
	}
	p.k.tracef("%s closes, reset %t", p, reset)
	if !reset {
		p.declare()
	}
	p.close(reset)
}

// Shut ends the peer's side after everything sent so far. The peer still receives.
func (p *Peer) Shut() {
	if p.shut || p.gone || p.closed {
		return
	}
	p.k.tracef("%s shuts", p)
	p.declare()
	p.shutdown()
}

// declare tells the loop's Layer of the end, once.
func (p *Peer) declare() {
	if p.Layered && !p.shut && !p.gone && !p.k.chance(p.k.Faults.Truncate) {
		p.add([]byte{frameEnd, 0, 0})
	}
}

// Truncated returns true if the loop's side has ended without a declared end, although it
// has a Layer.
func (p *Peer) Truncated() bool { return p.Layered && p.ended && !p.declared }

// Pause stops reading: arriving bytes fill the buffers until the loop's writes stop.
func (p *Peer) Pause() { p.paused = true }

// Resume reads again.
func (p *Peer) Resume() {
	p.paused = false
	p.pull()
}

// Ended returns true if the loop's side has ended and all its bytes have been read.
func (p *Peer) Ended() bool { return p.ended }

// WasReset returns true if a reset has come. What had arrived and was not read is
// lost.
func (p *Peer) WasReset() bool { return p.reset }

// IsShut returns true if the peer's side has ended, by Shut, Close or
// Faults.HalfClose.
func (p *Peer) IsShut() bool { return p.shut || p.closed }

// Struck returns true if Faults.Reset broke the connection, and neither the
// loop nor the test.
func (p *Peer) Struck() bool { return p.struck }

// Accepted returns true if the loop has accepted the connection.
func (p *Peer) Accepted() bool { return p.sock.taken }

func (p *Peer) String() string { return "peer " + name(p.addr) }

// raise handles a change at the peer's end.
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

// pull reads everything that has arrived.
func (p *Peer) pull() {
	if p.paused || p.closed {
		return
	}
	if n := len(p.arrived); n > 0 && p.Layered {
		was := len(p.raw)
		p.raw = append(p.raw, make([]byte, n)...)
		p.take(p.raw[was:]) // which may pull what comes after it
		var ended bool
		p.received, p.raw, ended = open(p.received, p.raw, p.k)
		p.declared = p.declared || ended
		p.notice()
	} else if n > 0 {
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

// notice schedules the callbacks for the next Wait or Advance.
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

// Server is an address that the loop can dial.
type Server struct {
	// OnConnect, if set, receives each connection, within Wait or Advance. If not
	// set, connections wait for Accept.
	OnConnect func(p *Peer)

	Refuse bool // dials are refused
	Silent bool // dials stay unanswered until they time out
	Full   bool // of a unix socket: its accept queue has no room

	Layered bool // its peers are Layered

	k     *Kernel
	addr  loop.Addr
	queue []*Peer
}

// Serve opens addr for dialling.
func (k *Kernel) Serve(addr loop.Addr) *Server {
	v := &Server{k: k, addr: addr}
	k.servers[addr] = v
	return v
}

// Close closes the server: later dials are refused, and connections not accepted
// are reset. Accepted ones live on.
func (v *Server) Close() {
	delete(v.k.servers, v.addr)
	for p := v.Accept(); p != nil; p = v.Accept() {
		p.Reset()
	}
}

// Accept returns the next connection, or nil if there is none.
func (v *Server) Accept() *Peer {
	if len(v.queue) == 0 {
		return nil
	}
	p := v.queue[0]
	v.queue = v.queue[1:]
	return p
}

// welcome connects s. OnConnect runs in the next Wait or Advance.
func (v *Server) welcome(s *sock) {
	p := s.meet(v.addr)
	p.Layered = v.Layered
	v.k.at(v.k.now, func() {
		if v.OnConnect != nil {
			v.OnConnect(p)
			return
		}
		v.queue = append(v.queue, p)
	})
}

// meet makes a peer for s and connects the two.
func (s *sock) meet(addr loop.Addr) *Peer {
	p := &Peer{sock: s, addr: addr}
	p.end = end{k: s.k, owner: p, unix: s.unix}
	s.peer = p
	join(&s.end, &p.end)
	return p
}

// Connect returns a client of a listening socket, with the address from; if that is
// invalid, it is the client of a unix socket. It may send at once.
func (k *Kernel) Connect(listener int, from netip.AddrPort) *Peer {
	l := k.listener(listener, "connect")
	if l == nil {
		panic(fmt.Sprintf("looptest: %d is not listening", listener))
	}
	s := k.newSock(!from.IsValid())
	s.from = from
	p := s.meet(loop.Addr{IP: from})
	at := k.now.Add(k.upTo(k.Faults.ConnectDelay))
	p.lastAt = at // nothing arrives before the connection exists
	if at == k.now {
		l.add(s)
	} else {
		k.at(at, func() { l.add(s) })
	}
	return p
}
