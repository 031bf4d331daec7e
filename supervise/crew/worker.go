package crew

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/internal/host"
	"lb/internal/ipc"
	"lb/supervise/engine"
	"lb/supervise/plan"
)

// What a worker is started with, beside the standard streams. Its sockets come
// with the first order.
const (
	controlFD = 3 + iota
	boardFD
)

// settleTimeout is how long a worker that has drained waits for its supervisor to
// say that no more conns are on their way to it.
const settleTimeout = time.Second

// workerProcs is GOMAXPROCS in a worker: one for the loop, one for the rest.
const workerProcs = 2

// IsWorker reports whether this process was started as a worker, and has to call
// Worker and nothing else.
func IsWorker() bool { return os.Getenv(ipc.WorkerEnv) != "" }

// Worker is the whole life of a worker process. It returns the exit code when
// the supervisor has told it to end, or is gone.
func Worker() (exitCode int) {
	w, exitCode := beginWorker()
	if w == nil {
		return exitCode
	}
	return w.run()
}

// worker is this process in its part as a worker.
type worker struct {
	control *ipc.Channel
	log     *slog.Logger
	level   *slog.LevelVar
	slots   *board.Slots // our hold of the slot is for as long as we live
	engine  *engine.Engine
	drain   time.Duration // how long a drain may take by the newest configuration

	orphan   bool            // the supervisor is gone
	broken   <-chan struct{} // the loop has ended of itself; nil once that is what we want
	failed   chan error      // why this worker cannot go on
	cutNow   func()          // nil: it does not drain
	deadline *time.Timer     // of the drain; nil: it has none
	finished chan int        // how many exchanges were cut off

	alone    chan struct{} // closed when the supervisor is gone
	mayLeave chan struct{} // closed when it passes no more conns to us

	outward chan outwardPass // conns that other loops are to have
	sent    chan struct{}    // closed when all of these are with the supervisor; nil: nothing serves
	relays  atomic.Int32     // of these, not yet taken from us
}

// outwardPass is a conn for the loop of a slot.
type outwardPass struct {
	slot int
	engine.Passed
}

// beginWorker begins to serve and says so. It returns nil when it cannot, or is
// not to.
func beginWorker() (w *worker, exitCode int) {
	// The supervisor hears signals and says what follows from them; a terminal
	// sends them to every process of the group.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR2)
	os.Unsetenv(ipc.WorkerEnv)
	runtime.GOMAXPROCS(workerProcs)
	w, first, fds, err := newWorker()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lb: a worker is started by lb itself: %v\n", err)
		return nil, ExitFault
	}
	if first == nil {
		return nil, w.leave(0)
	}
	if err := w.start(first, fds); err != nil {
		w.control.Send(report{Fault: err.Error()})
		w.log.Error("worker cannot begin", "cause", err)
		return nil, ExitFault
	}
	return w, exitDone
}

// newWorker reads the first order, which comes with sockets; nil: this process is
// to end before it has begun.
func newWorker() (w *worker, first *startOrder, fds []int, err error) {
	control, err := ipc.New(controlFD)
	if err != nil {
		return nil, nil, nil, err
	}
	var o order
	if fds, err = control.Receive(&o); err != nil {
		return nil, nil, nil, fmt.Errorf("control channel: %w", err)
	}
	log, level := host.NewLevelLog(os.Stderr, "")
	w = &worker{
		control:  control,
		log:      log,
		level:    level,
		failed:   make(chan error, 1),
		alone:    make(chan struct{}),
		mayLeave: make(chan struct{}),
		finished: make(chan int, 1),
		outward:  make(chan outwardPass, engine.PassesMax),
	}
	if o.Drain || o.Cut || o.Retire {
		return w, nil, nil, nil
	}
	if o.Start == nil {
		ipc.CloseAll(fds)
		return nil, nil, nil, errors.New("control channel: the first order is not to start")
	}
	host.SetLevel(level, o.Start.Share.Snapshot.Config.LogLevel)
	w.log = log.With("worker", o.Start.Share.Place)
	w.drain = o.Start.Share.Snapshot.Config.Timeouts.Drain
	return w, o.Start, fds, nil
}

// start begins to serve on the sockets fds, which it takes over, and says so.
func (w *worker) start(o *startOrder, fds []int) error {
	unix.CloseOnExec(boardFD)
	f := os.NewFile(boardFD, "board") // never closed: that would end the hold
	b, err := board.Open(f)
	if err == nil {
		w.slots = b.Slots(f)
		err = w.slots.Hold(o.Slot)
	}
	var limit uint64
	if err == nil {
		limit, err = host.RaiseDescriptorLimit()
	}
	if err != nil {
		ipc.CloseAll(fds)
		return err
	}
	w.engine, err = engine.Start(engine.Options{
		Board:  b,
		Slot:   o.Slot,
		Log:    w.log,
		Limit:  limit,
		PassOn: w.passOn,
		Settle: w.settle,
	}, o.Share, fds)
	if err != nil {
		return err
	}
	w.sent = make(chan struct{})
	go w.sendPasses()
	w.broken = w.engine.Ended()
	return w.control.Send(report{Ready: true, Applied: o.Share.Snapshot.Number})
}

// received is an order with its descriptors.
type received struct {
	order
	fds []int
}

// run obeys orders until the worker has finished.
func (w *worker) run() (exitCode int) {
	orders := w.receive()
	for {
		select {
		case o, open := <-orders:
			if open {
				w.obey(o)
				continue
			}
			orders = nil
			w.orphan = true
			close(w.alone)
			w.log.Warn("supervisor is gone, worker drains", "timeout", w.drain)
			w.end()
			w.hurry()
		case <-w.broken:
			w.log.Error("loop has ended of itself")
			return ExitFault
		case err := <-w.failed:
			w.control.Send(report{Fault: err.Error()})
			return ExitFault
		case cut := <-w.finished:
			return w.leave(cut)
		}
	}
}

// receive returns the orders; the channel is closed when the supervisor is gone.
func (w *worker) receive() <-chan received {
	orders := make(chan received)
	go func() {
		defer close(orders)
		for {
			var o received
			var err error
			if o.fds, err = w.control.Receive(&o.order); err != nil {
				return
			}
			orders <- o
		}
	}()
	return orders
}

// obey does what one order says; its descriptors have owners afterwards.
func (w *worker) obey(o received) {
	switch {
	case o.Apply != nil:
		w.apply(*o.Apply, o.fds)
		return
	case o.Pass != nil && len(o.fds) == 1:
		w.take(engine.Passed{FD: o.fds[0], Peer: o.Pass.Peer})
		return
	case o.Pass != nil: // there was no room for its descriptor
		w.control.Send(report{Took: true})
	case o.Relayed:
		w.relays.Add(-1)
	case o.Addrs != nil:
		w.engine.SetAddrs(o.Addrs.ID, o.Addrs.Addrs)
	case o.Leave:
		close(w.mayLeave)
	case o.Retire:
		w.end()
	case o.Drain:
		w.end()
		w.hurry()
	case o.Cut:
		w.end()
		w.cutNow()
	case o.Ping != 0:
		w.engine.Ping(func() { w.report(report{Pong: o.Ping}) })
	}
	ipc.CloseAll(o.fds)
}

// report sends r without waiting: the loop must not, nor who obeys orders. What
// the supervisor does not take in time it would not miss.
func (w *worker) report(r report) { go w.control.Send(r) }

// apply gives the loop its share of a new snapshot; it takes over fds.
func (w *worker) apply(s plan.Seat, fds []int) {
	host.SetLevel(w.level, s.Snapshot.Config.LogLevel)
	w.drain = s.Snapshot.Config.Timeouts.Drain
	w.engine.Apply(s, fds, func(err error) {
		if err != nil { // connections would wait for ever in a socket that is ours
			offer(w.failed, err)
			return
		}
		w.report(report{Applied: s.Snapshot.Number})
	})
}

// take takes over a conn that another loop has accepted. The supervisor hears of
// it before a byte is read: if this worker dies, others get what it does not have.
func (w *worker) take(c engine.Passed) {
	w.control.Send(report{Took: true})
	if !w.engine.TakeOver(c) {
		c.Close()
	}
}

// passOn has the loop of slot take over a conn that ours has accepted. It is
// called on the loop.
func (w *worker) passOn(slot, fd int, peer netip.AddrPort) bool {
	if w.relays.Load() >= engine.PassesMax {
		return false
	}
	w.relays.Add(1)
	select {
	case w.outward <- outwardPass{slot, engine.Passed{FD: fd, Peer: peer}}:
		return true
	default:
		w.relays.Add(-1)
		return false
	}
}

// sendPasses hands conns that others are to have to the supervisor. What it does
// not take stays here.
func (w *worker) sendPasses() {
	defer close(w.sent)
	for o := range w.outward {
		err := w.control.Send(report{Pass: &passReport{Slot: o.slot, Peer: o.Peer}}, o.FD)
		if err == nil || !w.engine.TakeOver(o.Passed) {
			o.Close()
		}
		if err != nil {
			w.relays.Add(-1)
		}
	}
}

// settle returns when no conn is on its way any more, from here or to here: those
// that come meanwhile are with the loop then. It gives up when now is closed, or
// the supervisor is gone or says nothing.
func (w *worker) settle(now <-chan struct{}) {
	late := time.NewTimer(settleTimeout)
	defer late.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for told := false; ; {
		if !told && w.relays.Load() == 0 {
			told = true
			w.report(report{Leaving: true})
		}
		select {
		case <-look.C:
		case <-w.mayLeave:
			return
		case <-w.alone:
			return
		case <-now:
			return
		case <-late.C:
			return
		}
	}
}

// end begins to drain; it may be called again. The connections that wait to be
// accepted are ours, too.
func (w *worker) end() {
	if w.cutNow != nil {
		return
	}
	now := make(chan struct{})
	w.cutNow = sync.OnceFunc(func() { close(now) })
	w.broken = nil
	w.engine.Drain()
	go func() { w.finished <- w.engine.Finish(-1, now) }()
}

// hurry sets a deadline to the drain.
func (w *worker) hurry() {
	if w.deadline == nil {
		w.deadline = time.AfterFunc(w.drain, w.cutNow)
	}
}

// leave tells who is there to hear it how many exchanges were cut off. The loop
// has ended.
func (w *worker) leave(cut int) (exitCode int) {
	if w.sent != nil {
		close(w.outward)
		<-w.sent
	}
	if !w.orphan && w.control.Send(report{Gone: &gone{Cut: cut}}) == nil {
		return exitDone
	}
	w.log.Info("worker leaves", "cut", cut)
	return ExitCode(cut)
}

// Exit codes of Serve and Worker.
const (
	exitDone  = 0 // everything that ran was answered
	ExitFault = 1 // it could not begin, or a loop ended of itself
	exitCut   = 3 // exchanges were cut off
)

// ExitCode returns the exit code of a process that has cut so many exchanges.
func ExitCode(cut int) int {
	if cut > 0 {
		return exitCut
	}
	return exitDone
}
