// Package engine is one event loop with its proxy and its listening sockets, which it
// runs on a goroutine of its own. It does not know whether it is a thread among others
// or alone in a worker process, nor where a new configuration comes from.
package engine

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/internal/host"
	"lb/internal/ipc"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy"
	"lb/proxy/observe"
	"lb/supervise/asking"
	"lb/supervise/plan"
)

// Engine is one loop with its proxy and its listening sockets. Any goroutine may call
// its exported methods.
type Engine struct {
	o           Options
	kernel      loop.Kernel
	loop        *loop.Loop
	proxy       *proxy.Proxy      // touched on the loop only
	observer    *observe.Observer // of its exchanges; touched on the loop only
	sockets     map[uint64]socket // the listening sockets; touched on the loop only
	leaving     bool              // it drains; touched on the loop only
	whenDrained chan struct{}     // closed when a drain is complete
	whenEnded   chan struct{}     // closed when the loop has ended
	bell        bell

	stopped sync.Once
	passing atomic.Int32 // conns on their way here from other loops
	passMu  sync.Mutex   // held to pass a conn, and to set closed: what was passed comes before the drain
	closed  bool         // conns from other loops are refused
}

// socket is a listening socket of the listener at address.
type socket struct {
	fd      int // owned
	address string
}

// Options say what an engine runs.
type Options struct {
	Board  *board.Board
	Slot   int
	Log    *slog.Logger
	Limit  uint64 // of descriptors, of this process
	Shared bool   // all loops run in this process
	// PassOn hands a conn that was accepted here to the loop of slot, and reports whether
	// it took it. It is called on the loop. nil passes none on.
	PassOn func(slot int, c Passed) bool
	Sets   *Sets // of the loops of this process; nil: this is the only one
	// Settle is called when a drain is complete, before the loop ends. It returns when
	// TakeOver will not be called any longer, or when now is closed. It is nil if
	// TakeOver is never called.
	Settle func(now <-chan struct{})
}

// forProxy returns s as the proxy takes it. No other place knows both types.
func forProxy(s plan.Seat, set *tlsconf.Set) proxy.Snapshot {
	return proxy.Snapshot{
		Config: s.Snapshot.Config,
		Number: s.Snapshot.Number,
		IDs:    s.Snapshot.IDs,
		Awaits: s.Snapshot.Awaits,

		Series:        s.Snapshot.Series,
		BackendSeries: s.Snapshot.BackendSeries,

		Loops: s.Loops,
		Place: s.Place,
		Slots: s.Slots,
		TLS:   set,
	}
}

// forObserver returns s as the observer takes it.
func forObserver(s plan.Seat) observe.Facts {
	return observe.Facts{Config: s.Snapshot.Config, IDs: s.Snapshot.IDs}
}

const (
	// acceptFaultEvery is the least time between two log lines of a loop that cannot
	// accept. It tries again many times a second.
	acceptFaultEvery = 10 * time.Second
	// queueMax is how many connections a drain takes from one socket. That is more
	// than any system lets wait, and a bound, because another lb may serve the socket.
	queueMax = 1 << 16
)

// Start returns an engine that accepts connections. fds are the sockets of s in their
// order; Start takes them over, whatever it returns.
func Start(o Options, s plan.Seat, fds []int) (*Engine, error) {
	if o.Sets == nil {
		o.Sets = &Sets{}
	}
	set, err := o.Sets.of(s.Snapshot)
	if err != nil {
		ipc.CloseAll(fds)
		return nil, fmt.Errorf("loop %d: %w", s.Place, err)
	}
	k, err := loop.NewKernel()
	if err != nil {
		ipc.CloseAll(fds)
		return nil, fmt.Errorf("loop %d: %w", s.Place, err)
	}
	e := &Engine{
		o:           o,
		kernel:      k,
		sockets:     map[uint64]socket{},
		whenDrained: make(chan struct{}),
		whenEnded:   make(chan struct{}),
	}
	options := loopOptions(o)
	options.ConnsMax = e.connsMax(s)
	e.loop = loop.New(k, options)
	e.observer = observe.New(observe.Options{Board: o.Board, Slot: o.Slot, Now: Now, Wall: time.Now}, forObserver(s))
	e.proxy = proxy.New(e.loop, proxy.Options{
		Board:    o.Board,
		Slot:     o.Slot,
		Snapshot: forProxy(s, set),
		Log:      o.Log,
		PassOn:   passOn(o),
		Record:   e.observer.Record,
		Table:    e.table,
	})
	if err := e.listen(s, fds); err != nil {
		e.loop.Close()
		e.proxy.Close()
		e.closeSockets()
		return nil, fmt.Errorf("loop %d: %w", s.Place, err)
	}
	e.hear(s.Snapshot.Config)
	go func() {
		defer close(e.whenEnded)
		e.loop.Run()
		e.proxy.Close()
	}()
	return e, nil
}

// loopOptions counts and logs the faults of the loop.
func loopOptions(o Options) loop.Options {
	counters := o.Board.Loop(o.Slot)
	var told time.Time
	return loop.Options{
		OnPanic: func(value any, stack []byte) {
			counters.Panics.Add(1)
			o.Log.Error("panic", "slot", o.Slot, "value", value, "stack", string(stack), "mend", "this is a defect of lb: report it with the stack")
		},
		OnAcceptFault: func(err error) {
			counters.AcceptErrors.Add(1)
			if now := time.Now(); now.Sub(told) >= acceptFaultEvery {
				told = now
				o.Log.Warn("cannot accept connections", "slot", o.Slot, "cause", err, "mend", "raise the limit of descriptors (LimitNOFILE=, fs.file-max), or lower limits.connections")
			}
		},
	}
}

// passOn returns o.PassOn as the proxy calls it.
func passOn(o Options) func(slot int, address string, fd int, peer netip.AddrPort) bool {
	if o.PassOn == nil {
		return nil
	}
	return func(slot int, address string, fd int, peer netip.AddrPort) bool {
		return o.PassOn(slot, Passed{FD: fd, Peer: peer, Address: address})
	}
}

// connsMax returns how many client conns this loop may have open: what descriptors allow.
func (e *Engine) connsMax(s plan.Seat) int {
	here := 1
	if e.o.Shared {
		here = s.Loops
	}
	cfg := s.Snapshot.Config
	return host.ConnsMax(e.o.Limit, here, len(cfg.Listening()))
}

// Apply gives the loop s between two turns, and calls done on the loop when it has
// taken s up, with an error if it could not listen. fds are those sockets of s that
// are new to the loop, in their order; Apply takes them over.
func (e *Engine) Apply(s plan.Seat, fds []int, done func(err error)) {
	set, err := e.o.Sets.of(s.Snapshot) // here, so that the loop does not stand still for it
	if err != nil {
		logUnfit(e.o.Log, s.Snapshot.Secrets, err)
	}
	next, facts := forProxy(s, set), forObserver(s)
	posted := e.loop.Post(func() {
		var err error
		if e.leaving { // it has no use for sockets any longer
			ipc.CloseAll(fds)
		} else {
			err = e.listen(s, fds)
		}
		e.proxy.Reload(next)
		e.observer.Use(facts)
		e.loop.SetConnsMax(e.connsMax(s))
		e.hear(s.Snapshot.Config)
		done(err)
	})
	if !posted {
		ipc.CloseAll(fds)
	}
}

// listen accepts connections from the sockets of s, and from no others. fds are the
// descriptors of those that are new; listen takes them over. It runs on the loop.
func (e *Engine) listen(s plan.Seat, fds []int) (err error) {
	for number := range e.sockets {
		if !slices.Contains(s.Sockets, number) {
			e.drop(number)
		}
	}
	for i, number := range s.Sockets {
		sock, known := e.sockets[number]
		if !known {
			if len(fds) == 0 {
				return fmt.Errorf("listening socket %d did not come: too few descriptors", number)
			}
			sock.fd, fds = fds[0], fds[1:]
		}
		address := s.Listener(i)
		if known && sock.address != address { // the same socket, which is another listener's now
			e.loop.Drop(sock.fd)
			known = false
		}
		sock.address = address
		e.sockets[number] = sock
		// This goes for all processes that hold the socket; any of them may have made it block.
		err = os.NewSyscallError("fcntl", unix.SetNonblock(sock.fd, true))
		if err == nil && !known {
			err = e.loop.Listen(sock.fd, e.proxy.Door(address))
		}
		if err != nil {
			break
		}
	}
	ipc.CloseAll(fds)
	return err
}

// drop closes a listening socket. It accepts what is in the queue first, because
// closing the last descriptor of a socket resets that. It runs on the loop.
func (e *Engine) drop(number uint64) {
	sock := e.sockets[number]
	delete(e.sockets, number)
	e.loop.Drop(sock.fd)
	if unix.SetNonblock(sock.fd, true) == nil {
		for range queueMax {
			conn, peer, err := e.kernel.Accept(sock.fd)
			if conn < 0 || err != nil {
				break
			}
			e.proxy.Door(sock.address).Accepted(conn, peer)
		}
	}
	unix.Close(sock.fd)
}

// Change gives the loop s, in which nothing but the members of these pools has changed, and
// calls done on the loop.
func (e *Engine) Change(s plan.Seat, pools []int, done func()) {
	set, err := e.o.Sets.after(s.Snapshot)
	if err != nil {
		logUnfit(e.o.Log, s.Snapshot.Secrets, err)
	}
	next, facts := forProxy(s, set), forObserver(s)
	e.loop.Post(func() {
		e.proxy.Change(next, pools)
		e.hear(s.Snapshot.Config)
		e.observer.Change(facts, pools)
		done()
	})
}

// Ping calls done on the loop at its next turn.
func (e *Engine) Ping(done func()) { e.loop.Post(done) }

// Explain calls done, on another goroutine than the loop's, with what the loop would do with a
// request.
func (e *Engine) Explain(q asking.Question, done func(asking.Answer)) {
	e.loop.Post(func() {
		f, err := e.proxy.Explain(q.Ask)
		go func() { // words take longer than facts
			if err != nil {
				done(asking.Answer{Number: q.Number, Fault: err.Error()})
				return
			}
			out := f.Answer()
			done(asking.Answer{Number: q.Number, Explained: &out})
		}()
	})
}

// Pass hands the loop a conn that another loop has accepted. It returns false, and
// the conn stays the caller's, if the loop drains or PassesMax are on their way.
func (e *Engine) Pass(c Passed) bool {
	e.passMu.Lock()
	defer e.passMu.Unlock()
	if e.closed || e.passing.Load() >= PassesMax {
		return false
	}
	e.passing.Add(1)
	posted := e.loop.Post(func() {
		e.passing.Add(-1)
		e.proxy.Passed(c.Address, c.FD, c.Peer)
	})
	if !posted {
		e.passing.Add(-1)
	}
	return posted
}

// TakeOver hands the loop a conn that it cannot refuse. It returns false, and the
// conn stays the caller's, if the loop has ended.
func (e *Engine) TakeOver(c Passed) bool {
	return e.loop.Post(func() { e.proxy.Passed(c.Address, c.FD, c.Peer) })
}

// Drain begins to drain, also the connections that wait to be accepted; see Drained.
// It may be called again.
func (e *Engine) Drain() {
	e.passMu.Lock()
	e.closed = true
	e.passMu.Unlock()
	e.loop.Post(func() {
		if e.leaving {
			return
		}
		e.leaving = true
		for number := range e.sockets {
			e.drop(number)
		}
		e.proxy.Drain(func() { close(e.whenDrained) })
	})
}

// Finish drains the engine, unless that has begun, and ends its loop. What still runs
// after timeout (never, if that is below zero), or when now is closed, is cut off. It
// returns how many exchanges were cut off.
func (e *Engine) Finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	e.Drain()
	var late <-chan time.Time
	if timeout >= 0 {
		deadline := time.NewTimer(timeout)
		defer deadline.Stop()
		late = deadline.C
	}
	drained := e.whenDrained
	for settle := e.o.Settle; drained != nil; {
		select {
		case <-drained:
			drained = nil
			if settle != nil {
				settle(now)
				drained, settle = e.drainAgain(), nil
			}
		case <-e.whenEnded: // unasked, which is not expected
			drained = nil
		case <-late:
			cut, drained = e.cut(), nil
		case <-now:
			cut, drained = e.cut(), nil
		}
	}
	e.Stop()
	return cut
}

// drainAgain returns a channel that is closed when the conns that came by TakeOver
// in the drain have ended, too.
func (e *Engine) drainAgain() chan struct{} {
	done := make(chan struct{})
	e.loop.Post(func() { e.proxy.Drain(func() { close(done) }) })
	return done
}

// cut ends every conn and returns how many exchanges were cut off.
func (e *Engine) cut() (n int) {
	done := make(chan struct{})
	posted := e.loop.Post(func() {
		defer close(done) // also when Cut panics
		n = e.proxy.Cut()
	})
	if posted {
		<-done // every posted function runs, at the end of the loop at the latest
	}
	return n
}

// Stop ends the loop, and conns that are still open, and returns when the loop has
// ended. It may be called again.
func (e *Engine) Stop() {
	e.loop.Stop()
	<-e.whenEnded
	e.deaf()
	e.stopped.Do(e.closeSockets)
}

// closeSockets runs when the loop does not.
func (e *Engine) closeSockets() {
	for number, sock := range e.sockets {
		unix.Close(sock.fd)
		delete(e.sockets, number)
	}
}

// Drained returns a channel that is closed when a drain is complete.
func (e *Engine) Drained() <-chan struct{} { return e.whenDrained }

// Ended returns a channel that is closed when the loop has ended.
func (e *Engine) Ended() <-chan struct{} { return e.whenEnded }

// Now returns the time of the clock that all loops and the board go by.
func Now() tick.Instant { return loop.Monotonic() }
