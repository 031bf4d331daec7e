// Package loop is one event loop: a poller, slots, sockets, timers and a
// mailbox. It moves bytes and keeps deadlines and has never heard of HTTP.
//
// A turn: wait, read the clock once, run what is ready within its budget, fire
// timers, mailbox, close the dead, accept last and only below the limit.
//
// Everything here belongs to the goroutine in Run (or in Turn, for tests);
// only Post and Stop may be called by others.
package loop

import (
	"net/netip"

	"lb/loop/tick"
)

// Handler is what a conn's events go to.
type Handler interface {
	// Ready is called when the readiness of the conn changed, or at the turn
	// after Again. The conn's flags tell what for.
	Ready()
	// Panicked is called when Ready panicked, with the value and the stack; it
	// must let go of the conn. The loop goes on with the next event.
	Panicked(value any, stack []byte)
}

// Acceptor is given the connections of a listener.
type Acceptor interface {
	// Accepted takes over fd, normally by Loop.Adopt.
	Accepted(fd int, peer netip.AddrPort)
}

// Expirer is what a timer calls.
type Expirer interface {
	// Expired is called, on the loop, at the first turn at or after the deadline.
	Expired()
}

// Conn is one socket and its slot, to be embedded in the owner's own struct.
// The zero value is free: Adopt or Dial opens it.
type Conn struct {
	loop    *Loop
	handler Handler
	again   *Conn // next in the loop's run list
	fd      int32
	gen     uint32
	flags   Flags
	state   uint8
}

// Timer is one deadline, to be embedded in its owner's struct. Moving it later
// is a store: the entry in the wheel looks again when it fires.
type Timer struct {
	owner      Expirer
	next, prev *Timer
	deadline   tick.Instant // 0: disarmed
	entry      tick.Instant // when the wheel will look; 0: not in the wheel
}
