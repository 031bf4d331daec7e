package looptest

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"lb/loop"
)

// sock is the loop's end of a connection.
type sock struct {
	end
	fd      int // -1: not accepted yet, or closed
	gen     uint32
	watched bool
	pending loop.Flags // changed since the last event
	listed  bool       // in Kernel.ready

	dialed bool
	taken  bool           // accepted
	from   netip.AddrPort // address of the client, if accepted
	to     loop.Addr      // address dialled
	peer   *Peer          // nil: not connected
}

// raise notes a change for the next event.
func (s *sock) raise(f loop.Flags) {
	if !s.watched {
		return
	}
	s.pending |= f
	if !s.listed && f != 0 {
		s.listed = true
		s.k.ready = append(s.k.ready, s)
	}
}

// watch starts reporting, first the flags that already hold, as EPOLL_CTL_ADD does.
func (s *sock) watch(gen uint32) {
	s.watched, s.gen = true, gen
	s.raise(s.state())
}

// event returns the flags to report and forgets the changes. It returns 0 if what
// had changed no longer holds.
func (s *sock) event() loop.Flags {
	state := s.state()
	f := s.pending & state
	s.pending, s.listed = 0, false
	switch {
	case f == 0 || !s.watched:
		return 0
	case s.k.Faults.FullState:
		return state
	}
	return f | state&(loop.PeerShut|loop.Hangup)
}

// later raises f after a while, following a read or write that was cut short
// without any change.
func (s *sock) later(f loop.Flags) {
	s.k.After(s.k.upTo(laterMax), func() { s.raise(f) })
}

func (s *sock) read(b []byte) (n int, err error) {
	have := min(len(s.arrived), len(b))
	switch {
	case have == 0:
		return 0, s.readErr()
	case s.k.chance(s.k.Faults.NotReady):
		s.later(loop.Readable)
		return 0, nil
	case have > 1 && s.k.chance(s.k.Faults.CutReads):
		have = s.k.cut(have)
		s.later(loop.Readable)
	}
	return s.take(b[:have]), nil
}

// write takes bytes from the parts, in order.
func (s *sock) write(parts ...[]byte) (n int, err error) {
	if err := s.writeErr(); err != nil {
		return 0, err
	}
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	n = min(total, s.room())
	s.blocked = n < total
	switch {
	case n > 0 && s.k.chance(s.k.Faults.NotReady):
		n = 0
		s.later(loop.Writable)
	case n > 1 && s.k.chance(s.k.Faults.CutWrites):
		n = s.k.cut(n)
		s.later(loop.Writable)
	}
	left := n
	for _, p := range parts {
		p = p[:min(len(p), left)]
		left -= len(p)
		s.queue = append(s.queue, p...)
	}
	s.pump()
	return n, nil
}

// takes reports whether a third of the buffer is free, as Linux does. If not, an event
// follows as after a short write.
func (s *sock) takes() bool {
	if s.err != nil || s.gone || s.shut || 3*s.room() >= s.queueMax {
		return true
	}
	s.blocked = true
	return false
}

// shutdownWrite ends the loop's side. If the peer has ended too, that is
// another change.
func (s *sock) shutdownWrite() error {
	if s.gone || s.other == nil {
		return unix.ENOTCONN
	}
	s.shutdown()
	if s.finSeen {
		s.raise(s.state())
	}
	return nil
}

// closeFD closes the socket. No event follows, except with Faults.Spurious.
func (s *sock) closeFD(reset bool) {
	s.fd, s.watched = -1, false
	s.close(reset)
}

// connect ends the attempt to dial, with err or else connected to v.
func (s *sock) connect(v *Server, err error) {
	switch {
	case s.closed:
		return
	case err != nil:
		s.k.tracef("dial to %s: %v", name(s.to), err)
		s.breakOff(err)
		return
	}
	s.k.tracef("dial to %s: up", name(s.to))
	v.welcome(s)
	s.raise(loop.Writable)
}

// begin starts to connect. With a unix socket the result is known at once.
func (s *sock) begin() error {
	k := s.k
	v, refused := k.servers[s.to], k.chance(k.Faults.Refuse)
	switch {
	case s.unix && (refused || v == nil || v.Refuse):
		return unix.ECONNREFUSED
	case s.unix && v.Full:
		return unix.EAGAIN
	case s.unix:
		v.welcome(s)
	case k.chance(k.Faults.TimeOut), v != nil && v.Silent:
		k.After(connectTimeout, func() { s.connect(nil, unix.ETIMEDOUT) })
	default:
		k.After(k.upTo(k.Faults.ConnectDelay), func() { s.answer(refused) })
	}
	return nil
}

// answer decides the attempt when the server's answer arrives: the server may have
// opened or closed meanwhile.
func (s *sock) answer(refused bool) {
	v := s.k.servers[s.to]
	if refused || v == nil || v.Refuse {
		s.connect(nil, unix.ECONNREFUSED)
		return
	}
	s.connect(v, nil)
}

// name formats an address.
func name(a loop.Addr) string {
	switch {
	case a.Path != "":
		return "unix:" + a.Path
	case !a.IP.IsValid():
		return "unix"
	}
	return a.IP.String()
}
