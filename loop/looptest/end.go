package looptest

import (
	"io"
	"math"

	"golang.org/x/sys/unix"

	"lb/loop"
	"lb/loop/tick"
)

const everything = loop.Readable | loop.Writable | loop.PeerShut | loop.Hangup

// owner learns of changes at its end.
type owner interface {
	// raise passes the flags of what changed.
	raise(loop.Flags)
}

// Kinds of segments.
const (
	someBytes  = iota
	sideEnded  // no more bytes will come
	bothEnded  // a unix socket was closed
	connBroken // a reset
)

// segment is what travels in one piece from one end to the other.
type segment struct {
	what int
	data []byte
}

// end is one end of a connection: bytes that its owner wrote and the other end has
// not yet received, and bytes that have arrived. The rules are the same for the
// loop's side and for Peers.
type end struct {
	k     *Kernel
	owner owner
	other *end // nil: not connected
	unix  bool

	queue    []byte // the send buffer: not on the wire yet
	queueMax int
	blocked  bool // a write took less than it was given: raise Writable when there is room
	shut     bool // no more writes; the end follows the queue
	finSent  bool
	pumping  bool

	wire   []segment    // on the way to other
	flying int          // bytes on the wire
	lastAt tick.Instant // when the last of the wire arrives

	arrived    []byte // the receive buffer: not read yet
	arrivedMax int
	finSeen    bool
	gone       bool  // both directions are over
	broken     bool  // by a reset or an error
	err        error // of broken; reported once
	struck     bool  // broken by Faults.Reset
	closed     bool  // by the owner
}

// join connects two ends and draws the sizes of their buffers.
func join(a, b *end) {
	a.other, b.other = b, a
	for _, e := range []*end{a, b} {
		e.queueMax, e.arrivedMax = e.k.bufferMax(), e.k.bufferMax()
	}
}

// room returns how many bytes a write can add.
func (e *end) room() int { return max(e.queueMax-len(e.queue), 0) }

// state returns the flags that hold now.
func (e *end) state() (f loop.Flags) {
	switch {
	case e.broken:
		return everything
	case e.gone:
		return everything &^ loop.Hangup
	case e.other == nil:
		return 0
	}
	if len(e.arrived) > 0 || e.finSeen {
		f |= loop.Readable
	}
	if e.room() > 0 || e.shut {
		f |= loop.Writable
	}
	if e.finSeen {
		f |= loop.PeerShut
	}
	return f
}

// add puts b into the send buffer, whatever its size, and starts sending.
func (e *end) add(b []byte) {
	e.queue = append(e.queue, b...)
	e.pump()
}

// writeErr returns why e cannot be written to, or nil.
func (e *end) writeErr() error {
	switch {
	case e.err != nil:
		return e.takeErr()
	case e.gone, e.shut:
		return unix.EPIPE
	}
	return nil
}

// readErr returns what a read finds if no bytes are left: nil means "not yet".
func (e *end) readErr() error {
	switch {
	case e.finSeen:
		return io.EOF
	case e.err != nil:
		return e.takeErr()
	case e.gone:
		return io.EOF
	}
	return nil
}

func (e *end) takeErr() error {
	err := e.err
	e.err = nil
	return err
}

// take copies what has arrived into b, which makes room for more.
func (e *end) take(b []byte) int {
	n := copy(b, e.arrived)
	e.arrived = e.arrived[n:]
	if e.other != nil {
		e.other.pump()
	}
	return n
}

// shutdown ends e's side after the bytes written so far.
func (e *end) shutdown() {
	e.shut = true
	e.pump()
}

// close ends the owner's use of e. With unread bytes it is a reset.
func (e *end) close(reset bool) {
	e.closed = true
	switch {
	case e.other == nil, e.gone:
	case len(e.arrived) > 0, reset && !e.unix:
		e.sendReset()
	default:
		if e.unix && e.finSent { // it was only shut so far; now it is closed as well
			e.launch(segment{what: bothEnded})
		}
		e.shutdown()
		e.other.pump()
	}
}

// pump moves bytes to the other end while there are any and they fit.
func (e *end) pump() {
	if e.pumping { // arriving bytes may make room, and that calls pump again
		return
	}
	e.pumping = true
	for !e.gone && e.other != nil && e.step() {
	}
	e.pumping = false
}

// step puts one segment on the wire, and returns false if there is none.
func (e *end) step() bool {
	n := min(len(e.queue), e.window())
	switch {
	case n > 0 && e.k.chance(e.k.Faults.Reset):
		e.strike()
		return false
	case n > 0:
		e.send(n)
		return true
	case len(e.queue) == 0 && e.shut && !e.finSent:
		e.finSent = true
		what := sideEnded
		if e.unix && e.closed {
			what = bothEnded
		}
		e.launch(segment{what: what})
	}
	return false
}

// window returns how many bytes the other end can take. A closed end takes all of
// them and answers with a reset.
func (e *end) window() int {
	if e.other.closed {
		return math.MaxInt
	}
	return e.other.arrivedMax - len(e.other.arrived) - e.flying
}

// send puts n bytes of the queue on the wire, or fewer if bytes take time.
func (e *end) send(n int) {
	if e.k.Faults.Delay > 0 && n > 1 {
		n = 1 + e.k.rng.IntN(n)
	}
	data := e.queue[:n:n]
	e.queue = e.queue[n:]
	e.launch(segment{data: data})
	if e.blocked && e.room() > 0 && !e.closed {
		e.blocked = false
		e.owner.raise(loop.Writable)
	}
}

// launch puts s at the end of the wire.
func (e *end) launch(s segment) {
	at := max(e.k.now.Add(e.k.upTo(e.k.Faults.Delay)), e.lastAt)
	e.lastAt = at
	if at <= e.k.now && len(e.wire) == 0 {
		e.other.arrive(s)
		return
	}
	e.wire = append(e.wire, s)
	e.flying += len(s.data)
	e.k.at(at, e.deliver)
}

// deliver passes the first segment of the wire to the other end.
func (e *end) deliver() {
	if len(e.wire) == 0 { // the connection broke meanwhile
		return
	}
	s := e.wire[0]
	e.wire = e.wire[1:]
	e.flying -= len(s.data)
	e.other.arrive(s)
}

// arrive receives a segment.
func (e *end) arrive(s segment) {
	switch {
	case e.gone:
	case s.what == connBroken:
		e.breakOff(unix.ECONNRESET)
	case s.what == bothEnded:
		e.finSeen = true
		e.breakOff(nil)
	case s.what == sideEnded:
		e.finSeen = true
		e.tell(loop.Readable | loop.PeerShut)
	case !e.closed:
		e.arrived = append(e.arrived, s.data...)
		e.tell(loop.Readable)
	case !e.unix: // the other end of a unix socket is about to learn of the close
		e.sendReset()
	}
}

// sendReset ends e, and resets the other end after what is on the wire.
func (e *end) sendReset() {
	e.gone, e.queue, e.arrived = true, nil, nil
	e.launch(segment{what: connBroken})
}

// breakOff ends e with err. What has arrived can still be read.
func (e *end) breakOff(err error) {
	if e.gone {
		return
	}
	if e.finSeen && err != nil {
		err = unix.EPIPE // as Linux does in CLOSE_WAIT
	}
	e.gone, e.broken, e.err, e.queue = true, err != nil, err, nil
	e.wire, e.flying = nil, 0
	e.tell(everything)
}

// strike breaks the connection at both ends, and everything on the wire is lost.
func (e *end) strike() {
	e.k.tracef("strike")
	for _, x := range []*end{e, e.other} {
		x.struck = true
		x.breakOff(unix.ECONNRESET)
	}
}

func (e *end) tell(f loop.Flags) {
	if !e.closed {
		e.owner.raise(f)
	}
}
