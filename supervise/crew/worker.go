package crew

import (
	"errors"
	"fmt"
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
	"lb/supervise/asking"
	"lb/supervise/engine"
	"lb/supervise/plan"
)

// The descriptors that a worker is started with, beside the standard streams. Its
// sockets come with the first order.
const (
	channelFD = 3 + iota
	boardFD
)

// settleTimeout is how long a worker that has drained waits for its supervisor to
// say that no conn is on its way to it any longer.
const settleTimeout = time.Second

// flushTimeout is how long the end of a worker waits for standard error to be read.
const flushTimeout = 250 * time.Millisecond

// IsWorker reports whether this process was started as a worker, and has to call
// Worker and nothing else.
func IsWorker() bool { return os.Getenv(ipc.WorkerEnv) != "" }

// Worker is the whole life of a worker process. It returns the exit code once the
// supervisor has told it to end, or is gone.
func Worker() (exitCode int) {
	defer streams.Flush(flushTimeout)
	w, exitCode := beginWorker()
	if w == nil {
		return exitCode
	}
	return w.run()
}

// worker is the state of a worker process, in that process.
type worker struct {
	channel *ipc.Channel
	log     *host.Log
	slots   *board.Slots // holds the slot as long as the process lives
	engine  *engine.Engine
	seat    plan.Seat     // what the engine was given last
	drain   time.Duration // how long a drain may take by the newest configuration

	orphan   bool            // the supervisor is gone
	broken   <-chan struct{} // closed when the loop has ended unasked; nil once it is to end
	failed   chan error      // why this worker cannot go on
	cutNow   func()          // nil while it does not drain
	deadline *time.Timer     // of the drain, or nil if it has none
	finished chan int        // gets the number of exchanges that were cut off

	alone    chan struct{} // closed when the supervisor is gone
	mayLeave chan struct{} // closed when the supervisor passes no conn to us any longer

	outward chan outwardPass // conns for other loops
	sent    chan struct{}    // closed when the supervisor has all of these; nil before the loop serves
	relays  atomic.Int32     // how many of these the supervisor has not taken yet
}

// outwardPass is a conn for the loop of a slot.
type outwardPass struct {
	slot int
	engine.Passed
}

// beginWorker begins to serve and says so. It returns nil and the exit code if it
// cannot, or if the supervisor does not want it any longer.
func beginWorker() (w *worker, exitCode int) {
	// The supervisor obeys signals. A terminal sends them to every process of the
	// group.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGUSR1, syscall.SIGUSR2)
	os.Unsetenv(ipc.WorkerEnv)
	w, first, fds, err := newWorker()
	if err != nil {
		fmt.Fprintf(streams, "lb: a worker is started by lb itself: %v\n", err)
		return nil, ExitFault
	}
	if first == nil {
		return nil, w.leave(0)
	}
	if err := w.start(first, fds); err != nil {
		w.channel.Send(report{Fault: err.Error()})
		w.log.Error("worker cannot begin", "cause", err, "mend", "lb tries again; the cause says what is missing")
		return nil, ExitFault
	}
	return w, exitDone
}

// streams is what this process logs to. A loop never waits for standard error to be read.
var streams = host.NewLogQueue(os.Stderr)

// newWorker reads the first order, which comes with sockets. first is nil if this
// process is to end before it has begun.
func newWorker() (w *worker, first *startOrder, fds []int, err error) {
	channel, err := ipc.New(channelFD)
	if err != nil {
		return nil, nil, nil, err
	}
	var o order
	if fds, err = channel.Receive(&o); err != nil {
		return nil, nil, nil, fmt.Errorf("control channel: %w", err)
	}
	w = &worker{
		channel:  channel,
		log:      host.NewLog(streams, os.Stderr, "", ""),
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
	w.setLog(o.Start.Seat.Snapshot)
	w.log.Logger = w.log.With("worker", o.Start.Seat.Place)
	os.WriteFile("/proc/self/comm", []byte(workerName(o.Start.Seat.Place)), 0) // for ps without arguments; Linux alone has it
	w.seat, w.drain = o.Start.Seat, o.Start.Seat.Snapshot.Config.Timeouts.Drain
	runtime.GOMAXPROCS(procs(1, o.Start.Seat.Snapshot))
	return w, o.Start, fds, nil
}

// start begins to serve on the sockets fds, which it takes over, and reports that.
func (w *worker) start(o *startOrder, fds []int) error {
	unix.CloseOnExec(boardFD)
	f := os.NewFile(boardFD, "board") // never closed, because that would give up the slot
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
		Log:    w.log.Logger,
		Limit:  limit,
		PassOn: w.passOn,
		Settle: w.settle,
	}, o.Seat, fds)
	if err != nil {
		return err
	}
	w.sent = make(chan struct{})
	go w.sendPasses()
	w.broken = w.engine.Ended()
	return w.channel.Send(report{Ready: true, Applied: o.Seat.Snapshot.Number})
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
			w.log.Warn("supervisor is gone, worker drains", "timeout", w.drain, "mend", "start lb again")
			w.end()
			w.hurry()
		case <-w.broken:
			w.log.Error("loop has ended of itself", "mend", "this is a defect of lb: report it")
			return ExitFault
		case err := <-w.failed:
			w.channel.Send(report{Fault: err.Error()})
			return ExitFault
		case cut := <-w.finished:
			return w.leave(cut)
		}
	}
}

// receive returns the orders in a channel that is closed when the supervisor is gone.
func (w *worker) receive() <-chan received {
	orders := make(chan received)
	go func() {
		defer close(orders)
		for {
			var o received
			var err error
			if o.fds, err = w.channel.Receive(&o.order); err != nil {
				return
			}
			orders <- o
		}
	}()
	return orders
}

// obey does what one order says, and takes its descriptors over.
func (w *worker) obey(o received) {
	switch {
	case o.Apply != nil:
		w.apply(*o.Apply, o.fds)
		return
	case o.Pass != nil && len(o.fds) == 1:
		w.takeOver(engine.Passed{FD: o.fds[0], Peer: o.Pass.Peer, Address: o.Pass.Address})
		return
	case o.Pass != nil: // there was no room for its descriptor
		w.channel.Send(report{Took: true})
	case o.Relayed:
		w.relays.Add(-1)
	case o.Change != nil:
		w.change(o.Change)
	case o.Secrets != nil:
		w.seat.Snapshot = w.seat.Snapshot.WithSecrets(o.Secrets)
		w.engine.SetSecrets(o.Secrets)
	case o.LogLevel != "":
		w.log.SetLevel(o.LogLevel)
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
	case o.Explain != nil:
		w.engine.Explain(*o.Explain, func(a asking.Answer) { w.report(report{Explained: &a}) })
	}
	ipc.CloseAll(o.fds)
}

// report sends r from its own goroutine, because neither the loop nor the order
// reader may block. A late report is dropped; none is essential.
func (w *worker) report(r report) { go w.channel.Send(r) }

// apply gives the loop its seat in a new snapshot. It takes fds over.
func (w *worker) apply(s plan.Seat, fds []int) {
	w.setLog(s.Snapshot)
	w.seat = s
	w.drain = s.Snapshot.Config.Timeouts.Drain
	raiseProcs(1, s.Snapshot)
	w.engine.Apply(s, fds, func(err error) {
		if err != nil { // connections would wait for ever in our socket
			offer(w.failed, err)
			return
		}
		w.report(report{Applied: s.Snapshot.Number})
	})
}

// change gives the loop other members of some pools. A worker that retires from its first
// moment on may have missed a change, and needs none.
func (w *worker) change(d *plan.Delta) {
	next := w.seat.Snapshot.Next(d)
	if next == nil {
		w.log.Warn("change of members is not for this worker", "has", w.seat.Snapshot.Number, "change", d.Number, "mend", "none, if it retires; else lb reload")
		return
	}
	w.seat.Snapshot = next
	w.engine.Change(w.seat, d.Changed(), func() { w.report(report{Applied: d.Number}) })
}

// setLog has the log be as s says.
func (w *worker) setLog(s *plan.Snapshot) { w.log.Set(s.Config.LogFormat, s.Level()) }

// takeOver takes over a conn that another loop has accepted. It reports that before a
// byte is read: if this worker dies, others get the conns that it has not taken.
func (w *worker) takeOver(c engine.Passed) {
	w.channel.Send(report{Took: true})
	if !w.engine.TakeOver(c) {
		c.Close()
	}
}

// passOn has the loop of slot take over a conn that our loop has accepted. It is
// called on our loop.
func (w *worker) passOn(slot int, c engine.Passed) bool {
	if w.relays.Load() >= engine.PassesMax {
		return false
	}
	w.relays.Add(1)
	select {
	case w.outward <- outwardPass{slot, c}:
		return true
	default:
		w.relays.Add(-1)
		return false
	}
}

// sendPasses hands conns for other loops to the supervisor. What the supervisor does
// not take stays here.
func (w *worker) sendPasses() {
	defer close(w.sent)
	for o := range w.outward {
		err := w.channel.Send(report{Pass: &passReport{Slot: o.slot, Peer: o.Peer, Address: o.Address}}, o.FD)
		if err == nil || !w.engine.TakeOver(o.Passed) {
			o.Close()
		}
		if err != nil {
			w.relays.Add(-1)
		}
	}
}

// settle returns when no conn is on its way from here or to here any longer: the
// loop has those that came meanwhile. It gives up when now is closed, and when the
// supervisor is gone or silent.
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

// end begins to drain, also the connections that wait to be accepted. It may be
// called again.
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

// hurry gives the drain a deadline.
func (w *worker) hurry() {
	if w.deadline == nil {
		w.deadline = time.AfterFunc(w.drain, w.cutNow)
	}
}

// leave reports how many exchanges were cut off, to the log if the supervisor is
// gone. The loop has ended.
func (w *worker) leave(cut int) (exitCode int) {
	if w.sent != nil {
		close(w.outward)
		<-w.sent
	}
	if !w.orphan && w.channel.Send(report{Gone: &gone{Cut: cut}}) == nil {
		return exitDone
	}
	w.log.Info("worker leaves", "cut", cut)
	return ExitCode(cut)
}

// Exit codes of a supervisor and of a worker.
const (
	exitDone  = 0 // everything that ran was answered
	ExitFault = 1 // it could not begin, or a loop ended unasked
	exitCut   = 3 // exchanges were cut off
)

// ExitCode returns the exit code of a process that has cut off so many exchanges.
func ExitCode(cut int) int {
	if cut > 0 {
		return exitCut
	}
	return exitDone
}
