// Package loop is one event loop: a poller, slots, sockets, timers and a mailbox.
// It moves bytes and keeps deadlines; it knows nothing of HTTP, pools or
// configuration.
//
// A turn: wait, read the clock once, run what is ready within its budget, fire timers,
// run the mailbox, do what was left for the end (AtEnd), close what was closed, and last
// accept, only below the limit.
//
// A deadline is judged by a clock that was read before the events were asked for: what
// came in time is handled first, however long the thread, the process or the machine
// stood still. So no peer is blamed for that: see verdict.
//
// The readiness of a socket is kept as flags: edges from the kernel set them, a
// short Read or Write clears them. So a handler that leaves bytes unread or
// unwritten must arrange to come back, by Again or by another conn's event.
//
// EPOLLHUP without EPOLLERR is not a Hangup: it is what an orderly end of both
// sides looks like, and what a unix socket reports when its peer has closed, with
// the last bytes still to be read. Treating it as a hang-up would lose those bytes.
// The cost: only a write can tell a peer's close from its half-close.
//
// Everything here belongs to the goroutine in Run (or in Turn, for tests); only
// Post and Stop may be called from others.
package loop

import (
	"net/netip"
	"runtime"

	"lb/internal/invariant"
	"lb/loop/tick"
)

// Handler receives a conn's events.
type Handler interface {
	// Ready is called when the readiness of the conn has changed, or in the turn
	// after Again. The conn's flags say what it is ready for.
	Ready()
	// Panicked is called with the value and the stack after Ready panicked. It must
	// let go of the conn. The loop continues with the next event.
	Panicked(value any, stack []byte)
}

// Acceptor receives a listener's connections.
type Acceptor interface {
	// Accepted takes over fd, usually with Loop.Adopt.
	Accepted(fd int, peer netip.AddrPort)
}

// Expirer receives a timer's expiry.
type Expirer interface {
	// Expired is called, on the loop, after the deadline, as soon as all that came
	// before the deadline has been handled. A standstill of the process moves it by
	// at most as long again, and by a second at most.
	Expired()
}

// Conn is one socket, to be embedded in the owner's struct. The zero value is free:
// Adopt or Dial opens it.
type Conn struct {
	loop      *Loop
	handler   Handler
	transport Transport // or nil: bytes go to the socket as they are
	fd        int32
	gen       uint32
	flags     Flags
	over      Flags // flags that will not return: the end was read, or a write failed
	socket    Flags // with a transport: what the socket below it is ready for
	state     uint8
}

// Timer is one deadline, to be embedded in its owner's struct. Moving it later is
// only a store: when its entry in the wheel fires, the deadline is checked again.
type Timer struct {
	owner      Expirer
	next, prev *Timer
	deadline   tick.Instant // 0: disarmed
	entry      tick.Instant // when the wheel looks at it, or entryNone, or entryDue
}

// Ender has something to do at the end of a turn.
type Ender interface {
	// TurnEnds is called at the end of a turn, once for each call of Loop.AtEnd.
	TurnEnds()
}

// End is one call at the end of a turn, to be embedded in its owner's struct. It needs no
// room while it is not asked for.
type End struct {
	owner Ender
	next  *End
	asked bool
}

// Options are a loop's limits and callbacks.
type Options struct {
	// ConnsMax is the number of open client connections (adopted, not dialled) at
	// which the loop stops accepting; 0: no limit.
	ConnsMax int
	// OnPanic is called after a panic whose owner has no Panicked method: in posted
	// functions, timers and acceptors, and in Panicked itself. If nil, the panic is
	// printed to standard error.
	OnPanic func(value any, stack []byte)
	// OnAcceptFault is called with the reason when accepting pauses; it may be nil.
	OnAcceptFault func(err error)
}

// Counters count what happened on a loop since New.
type Counters struct {
	Turns        uint64
	Accepted     uint64 // connections taken from listeners
	StaleEvents  uint64 // events for an earlier use of their descriptor
	AcceptFaults uint64 // pauses of accepting for lack of descriptors or memory
	Panics       uint64
}

// Loop is one event loop. Only Post and Stop may be called from other
// goroutines than its own.
type Loop struct {
	kernel  Kernel
	options Options
	now     tick.Instant

	slots   slots
	conns   int // open conns
	clients int // open conns that were adopted

	events [eventsMax]Event
	batch  []Event // this turn's events, then its run list
	at     int     // the next of batch
	again  []Event // the next turn's run list
	dead   []deadFD
	wheel  wheel
	mail   mailbox

	ends, lastEnd *End // asked for in this turn, first to last

	verdict verdict

	listeners []*listener
	acceptAt  int
	starved   bool // accepting failed for lack of descriptors or memory
	gate      Gate // or nil
	shut      bool // the gate is
	retry     Timer
	orphan    Event // accepted and not yet adopted; FD is -1 if there is none

	current  any // owner whose method is running, for recovered
	counters Counters
	closed   bool
}

// deadFD is a descriptor to be closed at the end of the turn.
type deadFD struct {
	fd    int32
	reset bool
}

// New returns a loop on k, which belongs to the loop from now on.
func New(k Kernel, o Options) *Loop {
	l := &Loop{kernel: k, options: o, now: k.Now(), orphan: Event{FD: -1}}
	l.wheel.pos = int64(l.now) / int64(bucketWidth)
	return l
}

// Now returns the time that was read at the start of this turn.
func (l *Loop) Now() tick.Instant { return l.now }

// Clock reads the clock, for what must not be as old as the turn.
func (l *Loop) Clock() tick.Instant { return l.kernel.Now() }

// Conns returns the number of open conns, without listeners.
func (l *Loop) Conns() int { return l.conns }

// Timers returns the number of armed timers.
func (l *Loop) Timers() int { return l.wheel.len }

// Counters returns the counts so far.
func (l *Loop) Counters() Counters { return l.counters }

// Adopt opens c on fd, which must be non-blocking; its events go to h. The first
// event comes in a later turn, with what fd is then ready for. On error fd is closed.
func (l *Loop) Adopt(c *Conn, h Handler, fd int) error {
	return l.open(c, h, fd, stateOpen|stateClient)
}

// Dial starts to connect c. h.Ready runs when the attempt has ended; DialResult
// returns how. If Dial itself fails, c stays free.
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

// release frees c's slot. The descriptor stays open until the end of the turn.
func (l *Loop) release(c *Conn) {
	s := l.slots.at(c.fd)
	s.conn = nil
	s.gen++
	l.conns--
	if c.state&stateClient != 0 {
		l.clients--
	}
}

// Move makes to, which is free, of from: its socket with all that is known of it, its
// events and its transport. They go to h from now on, and from is free.
func (l *Loop) Move(from, to *Conn, h Handler) {
	invariant.Check(from.IsOpen() && to.state == 0, "loop: Move of a closed conn, or to an open one")
	*to, *from = *from, Conn{}
	to.handler = h
	l.slots.at(to.fd).conn = to
	if to.transport != nil {
		to.transport.Moved(to)
	}
}

// Each calls f for the handler of every open conn, in no order. f must not open or
// close one. It looks at every slot: it is for rare events.
func (l *Loop) Each(f func(Handler)) {
	for _, s := range l.slots.all {
		f(s.conn.handler)
	}
}

// Arm sets t to expire at the deadline at, which must be above zero; then o is
// called. An armed timer gets the new deadline.
func (l *Loop) Arm(t *Timer, o Expirer, at tick.Instant) {
	t.owner = o
	l.wheel.arm(t, at)
}

// Disarm stops t. Afterwards its memory may be reused.
func (l *Loop) Disarm(t *Timer) {
	l.wheel.disarm(t)
	t.owner = nil
}

// AtEnd has o.TurnEnds called at the end of this turn, after all events, timers and posted
// functions, and before the loop waits again. It does nothing if e is asked for already. It
// cannot be taken back: the memory of e must stay, and o must know whether it still has
// something to do.
func (l *Loop) AtEnd(e *End, o Ender) {
	if e.asked {
		return
	}
	e.owner, e.next, e.asked = o, nil, true
	if l.ends == nil {
		l.ends = e
	} else {
		l.lastEnd.next = e
	}
	l.lastEnd = e
}

// Run turns the loop on a locked OS thread until Stop, and then closes it.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.mail.stopped.Load() {
		l.Turn(true)
	}
	l.Close()
}

// Close ends a loop that is not in Run. What was posted before still runs, and Post
// returns false from then on. Open conns are closed without a call to their
// handlers, and the kernel is closed if it is a KernelCloser.
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
	l.reapDead()
	if k, ok := l.kernel.(KernelCloser); ok {
		k.CloseKernel()
	}
}
