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
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy"
	"lb/supervise/plan"
)

// Engine is one loop with its proxy and its listening sockets, running on a
// goroutine of its own. Its methods may be called by any goroutine, those that
// say so on the loop.
type Engine struct {
	o           Options
	kernel      loop.Kernel
	loop        *loop.Loop
	proxy       *proxy.Proxy   // touched on the loop only
	sockets     map[uint64]int // the listening sockets, owned; touched on the loop only
	leaving     bool           // it drains; touched on the loop only
	whenDrained chan struct{}  // closed when a drain is complete
	whenEnded   chan struct{}  // closed when the loop has ended

	stopped sync.Once
	passing atomic.Int32 // conns on their way here from other loops
	passMu  sync.Mutex   // orders what is passed to this loop before its drain
	closed  bool         // to conns from other loops
}

// Options say what an engine runs.
type Options struct {
	Board  *board.Board
	Slot   int
	Log    *slog.Logger
	Limit  uint64 // of descriptors, of this process
	Shared bool   // all loops run in this process
	PassOn func(slot, fd int, peer netip.AddrPort) bool
	// Settle is called when a drain is complete, before the loop ends; it returns
	// when nobody calls takeOver any more, or now is closed. nil: nobody does.
	Settle func(now <-chan struct{})
}

// forProxy returns s as the proxy takes it: the only place where one becomes the other.
func forProxy(s plan.Seat) proxy.Snapshot {
	addrs := make([][][]loop.Addr, len(s.Snapshot.Addrs))
	for i, pool := range s.Snapshot.Addrs {
		addrs[i] = make([][]loop.Addr, len(pool))
		for j, list := range pool {
			addrs[i][j] = forLoop(list)
		}
	}
	return proxy.Snapshot{
		Config: s.Snapshot.Config,
		Number: s.Snapshot.Number,
		IDs:    s.Snapshot.IDs,
		Addrs:  addrs,
		Loops:  s.Loops,
		Place:  s.Place,
		Slots:  s.Slots,
	}
}

// forLoop returns addrs as the loop dials them.
func forLoop(addrs []plan.Addr) []loop.Addr {
	if len(addrs) == 0 {
		return nil
	}
	list := make([]loop.Addr, len(addrs))
	for i, a := range addrs {
		list[i] = loop.Addr(a)
	}
	return list
}

const (
	// acceptFaultEvery is the least time between two log lines of a loop that
	// cannot accept: it tries again many times a second.
	acceptFaultEvery = 10 * time.Second
	// queueMax is how many connections a drain takes from one socket: more than
	// any system lets wait. Another lb may accept from it at the same time.
	queueMax = 1 << 16
)

// Start returns when connections are accepted. fds are the sockets of s in
// their order; the engine owns them from now on, whatever is returned.
func Start(o Options, s plan.Seat, fds []int) (*Engine, error) {
	k, err := loop.NewKernel()
	if err != nil {
		ipc.CloseAll(fds)
		return nil, fmt.Errorf("loop %d: %w", s.Place, err)
	}
	e := &Engine{
		o:           o,
		kernel:      k,
		sockets:     map[uint64]int{},
		whenDrained: make(chan struct{}),
		whenEnded:   make(chan struct{}),
	}
	options := loopOptions(o)
	options.ConnsMax = e.connsMax(s)
	e.loop = loop.New(k, options)
	e.proxy = proxy.New(e.loop, proxy.Options{
		Board:    o.Board,
		Slot:     o.Slot,
		Snapshot: forProxy(s),
		Log:      o.Log,
		PassOn:   o.PassOn,
	})
	if err := e.listen(s.Sockets, fds); err != nil {
		e.loop.Close()
		e.closeSockets()
		return nil, fmt.Errorf("loop %d: %w", s.Place, err)
	}
	go func() {
		defer close(e.whenEnded)
		e.loop.Run()
	}()
	return e, nil
}

// loopOptions has the loop's troubles counted and logged.
func loopOptions(o Options) loop.Options {
	counters := o.Board.Loop(o.Slot)
	var told time.Time
	return loop.Options{
		OnPanic: func(value any, stack []byte) {
			counters.Panics.Add(1)
			o.Log.Error("panic", "slot", o.Slot, "value", value, "stack", string(stack))
		},
		OnAcceptFault: func(err error) {
			counters.AcceptErrors.Add(1)
			if now := time.Now(); now.Sub(told) >= acceptFaultEvery {
				told = now
				o.Log.Warn("cannot accept connections", "slot", o.Slot, "cause", err)
			}
		},
	}
}

// connsMax returns how many client conns this loop may have open.
func (e *Engine) connsMax(s plan.Seat) int {
	here := 1
	if e.o.Shared {
		here = s.Loops
	}
	return host.ConnsMax(e.o.Limit, s.Snapshot.Config.Limits.Connections, s.Place, s.Loops, here)
}

// Apply gives the loop s between two turns, and calls done on the loop when it
// has taken all of it up, or with an error when it could not listen. fds are those
// sockets of s that are new to it, in their order; the engine owns them from now on.
func (e *Engine) Apply(s plan.Seat, fds []int, done func(err error)) {
	posted := e.loop.Post(func() {
		var err error
		if e.leaving { // it has no use for sockets any more
			ipc.CloseAll(fds)
		} else {
			err = e.listen(s.Sockets, fds)
		}
		e.proxy.Reload(forProxy(s))
		e.loop.SetConnsMax(e.connsMax(s))
		done(err)
	})
	if !posted {
		ipc.CloseAll(fds)
	}
}

// listen makes sockets those that connections are accepted from, on the loop. Of
// those that are new, fds are the descriptors, which it takes over.
func (e *Engine) listen(sockets []uint64, fds []int) (err error) {
	for number := range e.sockets {
		if !slices.Contains(sockets, number) {
			e.drop(number)
		}
	}
	for _, number := range sockets {
		fd, known := e.sockets[number]
		if !known {
			if len(fds) == 0 {
				return fmt.Errorf("listening socket %d did not come: too few descriptors", number)
			}
			fd, fds = fds[0], fds[1:]
			e.sockets[number] = fd
		}
		// For all who hold the socket; any of them may have made it block.
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
		if err == nil && !known {
			err = e.loop.Listen(fd, e.proxy)
		}
		if err != nil {
			break
		}
	}
	ipc.CloseAll(fds)
	return err
}

// drop lets go of a listening socket, on the loop. To close the last descriptor
// of a socket resets what is in its queue, so that is accepted first.
func (e *Engine) drop(number uint64) {
	fd := e.sockets[number]
	delete(e.sockets, number)
	e.loop.Drop(fd)
	if unix.SetNonblock(fd, true) == nil {
		for range queueMax {
			conn, peer, err := e.kernel.Accept(fd)
			if conn < 0 || err != nil {
				break
			}
			e.proxy.Accepted(conn, peer)
		}
	}
	unix.Close(fd)
}

// SetAddrs gives the proxy new addresses of one backend.
func (e *Engine) SetAddrs(id int, addrs []plan.Addr) {
	list := forLoop(addrs)
	e.loop.Post(func() { e.proxy.SetAddrs(id, list) })
}

// Ping calls done on the loop at its next turn.
func (e *Engine) Ping(done func()) { e.loop.Post(done) }

// Pass hands the loop a conn that another one has accepted, and returns false,
// with the conn still the caller's, when it takes none.
func (e *Engine) Pass(fd int, peer netip.AddrPort) bool {
	e.passMu.Lock()
	defer e.passMu.Unlock()
	if e.closed || e.passing.Load() >= PassesMax {
		return false
	}
	e.passing.Add(1)
	posted := e.loop.Post(func() {
		e.passing.Add(-1)
		e.proxy.Passed(fd, peer)
	})
	if !posted {
		e.passing.Add(-1)
	}
	return posted
}

// TakeOver hands the loop a conn that it cannot refuse, and returns false, with
// the conn still the caller's, when the loop has ended.
func (e *Engine) TakeOver(c Passed) bool {
	return e.loop.Post(func() { e.proxy.Passed(c.FD, c.Peer) })
}

// Drain begins to drain; drained is closed when that is complete. The connections
// that wait to be accepted are ours, too. It may be called again.
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

// Finish drains the engine, if it does not already, and ends its loop. What still
// runs after timeout, below zero for ever, or when now is closed, is cut off; it
// returns how many exchanges that were.
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
		case <-e.whenEnded: // of itself, which is not expected
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

// drainAgain returns what is closed when those have gone, too, who came by takeOver
// in the drain.
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
		<-done // what was posted runs, at the end of the loop at the latest
	}
	return n
}

// Stop ends the loop; a conn that is still open goes with it. It may be called
// again, and returns when the loop has ended.
func (e *Engine) Stop() {
	e.loop.Stop()
	<-e.whenEnded
	e.stopped.Do(e.closeSockets)
}

// closeSockets runs when the loop is not at work.
func (e *Engine) closeSockets() {
	for number, fd := range e.sockets {
		unix.Close(fd)
		delete(e.sockets, number)
	}
}

// PassesMax is how many conns may be on their way to one loop, and from one
// worker to the supervisor.
const PassesMax = 16

// Passed is a conn on its way from one loop to another.
type Passed struct {
	FD   int // owned
	Peer netip.AddrPort
}

// Close ends a conn that nobody takes.
func (c Passed) Close() { unix.Close(c.FD) }

// Drained returns a channel that is closed when a drain is complete.
func (e *Engine) Drained() <-chan struct{} { return e.whenDrained }

// Ended returns a channel that is closed when the loop has ended.
func (e *Engine) Ended() <-chan struct{} { return e.whenEnded }

// Now returns the time of the clock that all loops and the board go by.
func Now() tick.Instant { return loop.Monotonic() }
