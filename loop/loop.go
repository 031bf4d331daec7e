// Package loop is one event loop: a poller, slots, sockets, timers and a
// mailbox. It moves bytes and keeps deadlines and has never heard of HTTP.
//
// A turn: wait, read the clock once, run what is ready within its budget, fire
// timers, mailbox, close the dead, accept last and only below the limit.
//
// What a socket is ready for is kept as flags: set by edges of the kernel, and
// cleared by a Read or Write that was cut short. So whoever leaves bytes unread
// or unwritten must come back by itself, by Again or by another conn's event.
//
// An EPOLLHUP without EPOLLERR is no Hangup: it is what an orderly end of both
// sides looks like, and what a unix socket shows when its peer has closed, with
// the last bytes still to be read. It costs that a peer's close is told from a
// half-close only by writing; taking it for a hang-up would lose those bytes.
//
// Everything here belongs to the goroutine in Run (or in Turn, for tests);
// only Post and Stop may be called by others.
package loop

import (
	"net/netip"
	"runtime"

	"lb/internal/invariant"
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
	fd      int32
	gen     uint32
	flags   Flags
	over    Flags // what will not come back: the end was read, writing failed
	state   uint8
}

// Timer is one deadline, to be embedded in its owner's struct. Moving it later
// is a store: the entry in the wheel looks again when it fires.
type Timer struct {
	owner      Expirer
	next, prev *Timer
	deadline   tick.Instant // 0: disarmed
	entry      tick.Instant // when the wheel will look, or entryNone, or entryDue
}

// Options are a loop's limits and where it tells of trouble.
type Options struct {
	// ConnsMax is the number of open client connections (adopted, not dialled)
	// at which the loop stops accepting; 0: no limit.
	ConnsMax int
	// OnPanic is told of a panic whose owner has no Panicked method: of posted
	// functions, timers and acceptors, and of Panicked itself. nil: it is
	// printed to standard error.
	OnPanic func(value any, stack []byte)
	// OnAcceptFault is told why accepting has paused; nil: nobody is.
	OnAcceptFault func(err error)
}

// Counters count what happened on a loop since New.
type Counters struct {
	Turns        uint64
	Accepted     uint64 // connections taken from listeners
	StaleEvents  uint64 // events for an earlier use of their descriptor
	AcceptFaults uint64 // pauses of accepting for want of descriptors or memory
	Panics       uint64
}

// Loop is one event loop. Only Post and Stop may be called by others than its
// own goroutine.
type Loop struct {
	kernel  Kernel
	options Options
	now     tick.Instant

	slots   slots
	conns   int // open
	clients int // of these, adopted

	events [eventsMax]Event
	batch  []Event // this turn's events, then its run list
	at     int     // the next of batch
	again  []Event // the run list of the next turn
	dead   []deadFD
	wheel  wheel
	mail   mailbox

	listeners []*listener
	acceptAt  int
	starved   bool // accepting failed for want of descriptors or memory
	retry     Timer
	orphan    Event // accepted and not adopted yet; FD -1: none

	current  any // whose method is running, for recovered
	counters Counters
	closed   bool
}

// deadFD is a descriptor to close at the end of the turn.
type deadFD struct {
	fd    int32
	reset bool
}

// New returns a loop on k, which from now on belongs to it.
func New(k Kernel, o Options) *Loop {
	l := &Loop{kernel: k, options: o, now: k.Now(), orphan: Event{FD: -1}}
	l.wheel.pos = int64(l.now) / int64(bucketWidth)
	return l
}

// Now returns the time read at the start of this turn.
func (l *Loop) Now() tick.Instant { return l.now }

// Conns returns the number of open conns, listeners not counted.
func (l *Loop) Conns() int { return l.conns }

// Timers returns the number of timers that are armed.
func (l *Loop) Timers() int { return l.wheel.len }

// Counters returns what was counted so far.
func (l *Loop) Counters() Counters { return l.counters }

// Adopt watches fd, which is non-blocking, as c; its events go to h. The first
// of them comes at one of the next turns and tells what fd is ready for. On
// error fd is closed.
func (l *Loop) Adopt(c *Conn, h Handler, fd int) error {
	return l.open(c, h, fd, stateOpen|stateClient)
}

// Dial begins to connect c; h.Ready runs when the attempt has ended: DialResult
// tells how. An error at once leaves c free.
func (l *Loop) Dial(c *Conn, h Handler, to *Addr) error {
	fd, err := l.kernel.Dial(to)
	if err != nil {
		return err
	}
	return l.open(c, h, fd, stateOpen)
}

func (l *Loop) open(c *Conn, h Handler, fd int, state uint8) error {
	invariant.Check(c.state == 0, "loop: the conn is already open")
	s := l.slots.grow(int32(fd))
	invariant.Check(s.conn == nil && s.listener == nil, "loop: the slot is in use")
	if err := l.kernel.Watch(fd, s.gen); err != nil {
		s.gen++
		l.dead = append(l.dead, deadFD{fd: int32(fd)})
		return err
	}
	*c = Conn{loop: l, handler: h, fd: int32(fd), gen: s.gen, state: state}
	s.conn = c
	l.conns++
	if state&stateClient != 0 {
		l.clients++
	}
	return nil
}

// release frees c's slot; the descriptor lives until the end of the turn.
func (l *Loop) release(c *Conn) {
	s := l.slots.at(c.fd)
	s.conn = nil
	s.gen++
	l.conns--
	if c.state&stateClient != 0 {
		l.clients--
	}
}

// Arm sets t to expire at the deadline at, which is above zero; o is called
// then. An armed timer is set again.
func (l *Loop) Arm(t *Timer, o Expirer, at tick.Instant) {
	t.owner = o
	l.wheel.arm(t, at)
}

// Disarm takes t out; afterwards its memory may be used for anything else.
func (l *Loop) Disarm(t *Timer) {
	l.wheel.disarm(t)
	t.owner = nil
}

// Run turns until Stop, on a locked OS thread, and then closes the loop.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.mail.stopped.Load() {
		l.Turn(true)
	}
	l.Close()
}

// Close ends a loop that is not in Run: what was posted before still runs,
// Post returns false from then on, conns that are open are closed without a
// word to their handlers, and so is the kernel if it is a KernelCloser.
func (l *Loop) Close() {
	if l.closed {
		return
	}
	l.closed = true
	l.mail.take(true)
	l.guard((*Loop).runMail)
	l.Unlisten()
	for _, s := range l.slots.all {
		s.conn.Close(false)
	}
	l.buryDead()
	if k, ok := l.kernel.(KernelCloser); ok {
		k.CloseKernel()
	}
}
