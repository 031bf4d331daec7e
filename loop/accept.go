package loop

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/invariant"
)

const (
	acceptsMax = 64 // most connections taken from one listener in one turn
	// acceptPause is how long a loop without descriptors or memory stops accepting,
	// unless a conn closes first.
	acceptPause = 100 * time.Millisecond
)

// listener is one listening socket. Its accept budget for a turn doubles while all
// of it is used, so that the usual single connection does not cost a second call
// that finds nothing.
type listener struct {
	acceptor Acceptor
	fd       int32
	gen      uint32
	watched  bool
	ready    bool // has an event in this turn
	spent    bool // the last budget was used up
	budget   int
	left     int // what is left of budget in this turn
}

// Listen accepts connections on fd for a, until Unlisten or Drop. fd must be
// non-blocking; the loop does not own it.
func (l *Loop) Listen(fd int, a Acceptor) error {
	s := l.slots.grow(int32(fd))
	invariant.Check(s.conn == nil && s.listener == nil, "loop: Listen on a slot in use")
	ln := &listener{acceptor: a, fd: int32(fd), gen: s.gen}
	if l.room() {
		if err := l.kernel.WatchListener(fd, ln.gen); err != nil {
			return err
		}
		ln.watched = true
	}
	s.listener = ln
	l.listeners = append(l.listeners, ln)
	return nil
}

// Unlisten stops accepting on every listener; the descriptors stay open.
func (l *Loop) Unlisten() {
	for _, ln := range l.listeners {
		l.drop(ln)
	}
	clear(l.listeners)
	l.listeners = l.listeners[:0]
}

// Drop stops accepting on one listener; its descriptor stays open. It does nothing
// if the loop does not listen on fd.
func (l *Loop) Drop(fd int) {
	at := slices.IndexFunc(l.listeners, func(ln *listener) bool { return ln.fd == int32(fd) })
	if at < 0 {
		return
	}
	l.drop(l.listeners[at])
	l.listeners = slices.Delete(l.listeners, at, at+1)
	if at < l.acceptAt { // called from Accepted: the later listeners keep their turn
		l.acceptAt--
	}
}

// drop frees the slot of ln.
func (l *Loop) drop(ln *listener) {
	l.unwatch(ln)
	ln.left = 0
	s := l.slots.at(ln.fd)
	s.listener = nil
	s.gen++
}

// Crowded reports whether the clients of the loop, or n other conns, come close to the limit
// of clients. Descriptors set that, unless a lower one is configured, and leave room for as
// many other conns.
func (l *Loop) Crowded(n int) bool {
	return l.options.ConnsMax > 0 && max(l.clients, n) > l.options.ConnsMax/4*3
}

// Gate decides, beside ConnsMax, whether a client is taken.
type Gate interface {
	// Enter is called before a client is accepted. After false the loop accepts none until
	// OpenGate.
	Enter() bool
	// Leave is called after Enter has returned true, when the client has been handed to its
	// acceptor, or there was none.
	Leave()
}

// SetGate makes g the gate of the loop, or nil for none, and opens it.
func (l *Loop) SetGate(g Gate) { l.gate, l.shut = g, false }

// OpenGate has the loop accept again, from the end of this turn on.
func (l *Loop) OpenGate() { l.shut = false }

// SetConnsMax changes Options.ConnsMax from the end of this turn on. Conns above a
// lower limit stay open.
func (l *Loop) SetConnsMax(n int) { l.options.ConnsMax = n }

// budgetAccepts sets how many connections each listener may take in this turn, and
// reports whether any listener is ready.
func (l *Loop) budgetAccepts() (any bool) {
	for _, ln := range l.listeners {
		switch {
		case !ln.ready:
			ln.budget = 0
		case ln.spent:
			ln.budget = min(2*ln.budget, acceptsMax)
		default:
			ln.budget = 1
		}
		any = any || ln.ready
		ln.left, ln.ready, ln.spent = ln.budget, false, false
	}
	l.acceptAt = 0
	return any
}

// runAccepts takes connections while there is room. After a panic in Accepted it is
// called again and continues where it was.
func (l *Loop) runAccepts() {
	for l.acceptAt < len(l.listeners) {
		ln := l.listeners[l.acceptAt]
		for ln.left > 0 && l.room() && l.take(ln) {
		}
		if l.acceptAt < len(l.listeners) && l.listeners[l.acceptAt] == ln { // else ln was dropped meanwhile
			l.acceptAt++
		}
	}
}

// room reports whether the loop may take one more client.
func (l *Loop) room() bool {
	return !l.starved && !l.shut && (l.options.ConnsMax == 0 || l.clients < l.options.ConnsMax)
}

// take is accept, through the gate if there is one.
func (l *Loop) take(ln *listener) bool {
	g := l.gate
	if g == nil {
		return l.accept(ln)
	}
	if !g.Enter() {
		l.shut = true
		return false
	}
	defer g.Leave() // also when the acceptor panics
	return l.accept(ln)
}

// Refuse closes fd, which an acceptor has got and not adopted.
func (l *Loop) Refuse(fd int) { l.dead = append(l.dead, deadFD{fd: int32(fd)}) }

// accept takes one connection, and returns false if there are no more to take now.
func (l *Loop) accept(ln *listener) bool {
	fd, peer, err := l.kernel.Accept(int(ln.fd))
	switch {
	case err != nil && !ofOneConn(err):
		l.starve(err)
		return false
	case err == nil && fd < 0:
		return false
	}
	ln.left--
	ln.spent = ln.left == 0
	if err == nil {
		l.counters.Accepted++
		l.hand(ln.acceptor, fd, peer)
	}
	return true
}

// hand passes fd to a. If a panics before it adopts fd, recovered closes fd.
func (l *Loop) hand(a Acceptor, fd int, peer netip.AddrPort) {
	l.orphan = Event{FD: int32(fd), Gen: l.slots.grow(int32(fd)).gen}
	l.current = a
	a.Accepted(fd, peer)
	l.orphan.FD = -1
}

// ofOneConn reports whether an error of accept concerns only one connection, which
// ended before it was taken. Any other error would come again at once.
func ofOneConn(err error) bool {
	switch err {
	case unix.ECONNABORTED, unix.EPERM, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP,
		unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// starve stops accepting until a conn closes or acceptPause has passed. Usually
// there was no descriptor left (EMFILE, ENFILE) or no memory.
func (l *Loop) starve(err error) {
	l.starved = true
	l.counters.AcceptFaults++
	l.Arm(&l.retry, (*acceptRetry)(l), l.now.Add(acceptPause))
	if l.options.OnAcceptFault != nil {
		l.options.OnAcceptFault(err)
	}
}

// acceptRetry is the loop as owner of the timer for acceptPause.
type acceptRetry Loop

// Expired lets the loop accept again.
func (r *acceptRetry) Expired() { r.starved = false }

// regulate watches the listeners while there is room and only then: a
// level-triggered listener that is not accepted from would end every wait at once.
func (l *Loop) regulate() {
	room := l.room()
	for _, ln := range l.listeners {
		switch {
		case !room:
			l.unwatch(ln)
		case !ln.watched:
			if err := l.kernel.WatchListener(int(ln.fd), ln.gen); err != nil {
				l.starve(err)
				return
			}
			ln.watched = true
		}
	}
}

func (l *Loop) unwatch(ln *listener) {
	if ln.watched {
		ln.watched = false
		l.kernel.Unwatch(int(ln.fd))
	}
}
