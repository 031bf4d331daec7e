package crew

import (
	"net/netip"
	"os"
	"sync"

	"lb/internal/tlsconf"
	"lb/supervise/asking"
	"lb/supervise/engine"
	"lb/supervise/plan"
)

// order is a message of the supervisor to a worker. One field is set.
type order struct {
	Start    *startOrder      `json:",omitempty"` // always the first order; with the sockets of its seat
	Apply    *plan.Seat       `json:",omitempty"` // with those of its sockets that are new to the worker
	Change   *plan.Delta      `json:",omitempty"`
	Secrets  *tlsconf.Secrets `json:",omitempty"`
	LogLevel string           `json:",omitempty"`
	Pass     *passOrder       `json:",omitempty"` // with a client conn, which stays the supervisor's until Took
	Relayed  bool             `json:",omitempty"` // a conn that the worker passed on has left the supervisor
	Leave    bool             `json:",omitempty"` // the answer to Leaving: no conn is passed to the worker after this
	Retire   bool             `json:",omitempty"` // drain, without haste
	Drain    bool             `json:",omitempty"`
	Cut      bool             `json:",omitempty"` // end at once, also in the middle of a drain
	Ping     uint64           `json:",omitempty"` // number of the Pong to answer with

	Explain *asking.Question `json:",omitempty"` // to answer with Explained; older workers do not
}

// startOrder is all that a worker needs besides its descriptors.
type startOrder struct {
	Slot int
	// Seat has the name that older binaries know: where there is no /proc, a worker is
	// started from a file that an update may have replaced.
	Seat plan.Seat `json:"Share"`
}

// passOrder is a client conn that another loop has accepted.
type passOrder struct {
	Peer    netip.AddrPort
	Address string `json:",omitempty"` // see engine.Passed; "" from an older supervisor
}

// report is a message of a worker to the supervisor.
type report struct {
	Ready   bool        `json:",omitempty"` // it accepts connections
	Applied uint64      `json:",omitempty"` // number of the snapshot that its loop has taken up
	Took    bool        `json:",omitempty"` // the next conn that was passed to it has arrived
	Pass    *passReport `json:",omitempty"` // with a client conn for another loop
	Pong    uint64      `json:",omitempty"` // the loop has turned since the Ping of this number
	Fault   string      `json:",omitempty"` // why it could not begin or go on
	Leaving bool        `json:",omitempty"` // it has nothing left to do, and waits for Leave
	Gone    *gone       `json:",omitempty"` // the last: it has finished

	Explained *asking.Answer `json:",omitempty"`
}

// passReport is a client conn for the loop of a slot.
type passReport struct {
	Slot    int
	Peer    netip.AddrPort
	Address string `json:",omitempty"` // see engine.Passed; "" from an older worker
}

// gone says how many exchanges were cut off at the end.
type gone struct{ Cut int }

// changesMax is how many changes of members wait for one worker. One that is so late gets
// the whole snapshot instead.
const changesMax = 16

// outbox holds orders until they can be sent, so that no goroutine has to wait for a
// worker. It is bounded: of orders of which the last says everything, it keeps only
// the last, and of changes changesMax.
type outbox struct {
	wake chan struct{} // has a value when there are orders; closed with the outbox

	mu      sync.Mutex
	queue   []outgoing
	leaving bool // no conns are let in any longer
	closed  bool
}

// outgoing is an order and what goes with it.
type outgoing struct {
	order order
	files []*os.File    // all sockets of a seat, not owned
	conn  engine.Passed // of Pass, owned
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put appends o and drops the orders that o makes void. It returns false if the
// outbox is closed, or if o is a conn and comes after Leave: what o owns is then
// still the caller's.
func (b *outbox) put(o outgoing) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.leaving && o.order.Pass != nil {
		return false
	}
	b.leaving = b.leaving || o.order.Leave
	kept := b.queue[:0]
	for _, earlier := range b.queue {
		if !o.order.voids(earlier.order) {
			kept = append(kept, earlier)
		}
	}
	b.queue = append(kept, o)
	offer(b.wake, struct{}{})
	return true
}

// voids reports whether earlier need not be sent if o is.
func (o order) voids(earlier order) bool {
	switch {
	case o.Apply != nil:
		return earlier.Apply != nil || earlier.Change != nil || earlier.Secrets != nil || earlier.LogLevel != ""
	case o.Secrets != nil:
		return earlier.Secrets != nil
	case o.LogLevel != "":
		return earlier.LogLevel != ""
	case o.Ping != 0:
		return earlier.Ping != 0
	}
	return false
}

// late reports whether so many changes wait that the next one has to be an Apply.
func (b *outbox) late() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for i := range b.queue {
		if b.queue[i].order.Change != nil {
			n++
		}
	}
	return n >= changesMax
}

// next returns what is to be sent next, and false if there is nothing.
func (b *outbox) next() (o outgoing, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		return outgoing{}, false
	}
	o = b.queue[0]
	b.queue = b.queue[1:]
	return o, true
}

// close lets nothing in any longer and returns the conns that were not sent, which
// are the caller's. It is called once.
func (b *outbox) close() (conns []engine.Passed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, o := range b.queue {
		if o.order.Pass != nil {
			conns = append(conns, o.conn)
		}
	}
	b.queue = nil
	close(b.wake)
	return conns
}

// underway holds the conns that were sent to a worker and have not arrived. A worker
// that dies has not read a byte of them, so that another may have them.
type underway struct {
	mu    sync.Mutex
	conns []engine.Passed // owned, the oldest first
}

// put takes c over, before it is sent.
func (u *underway) put(c engine.Passed) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns = append(u.conns, c)
}

// took closes the oldest, which is the worker's now. It returns false if there is
// none: the worker talks nonsense.
func (u *underway) took() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.conns) == 0 {
		return false
	}
	u.conns[0].Close()
	u.conns = u.conns[1:]
	return true
}

// end returns the conns that have not arrived, which are the caller's. It is called
// when the worker is gone, all its reports are read and nothing more is sent.
func (u *underway) end() []engine.Passed {
	u.mu.Lock()
	defer u.mu.Unlock()
	conns := u.conns
	u.conns = nil
	return conns
}

// closed reports whether c is closed.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// offer puts v into c, or drops it if c is full.
func offer[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}
