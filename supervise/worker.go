package supervise

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lb/board"
)

// workerEnv marks a process as a worker. The configuration comes over the
// control channel, where no other user of the machine can read it.
const workerEnv = "LB_WORKER"

// What a worker is started with, beside the standard streams.
const (
	controlFD = 3 + iota
	boardFD
	listenerFD
)

// workerProcs is GOMAXPROCS in a worker: one for the loop, one for the rest.
const workerProcs = 2

// IsWorker tells whether this process was started as a worker, and has to call
// Worker and nothing else.
func IsWorker() bool { return os.Getenv(workerEnv) != "" }

// Worker is the whole life of a worker process. It returns the exit code when
// the supervisor has told it to end, or is gone.
func Worker() (exitCode int) {
	// The supervisor hears signals and says what follows from them; a terminal
	// sends them to every process of the group.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	os.Unsetenv(workerEnv)
	runtime.GOMAXPROCS(workerProcs)
	w, err := newWorker()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lb: a worker is started by lb itself: %v\n", err)
		return exitFault
	}
	if err := w.start(); err != nil {
		w.control.send(report{Fault: err.Error()})
		w.log.Error("worker cannot begin", "cause", err)
		return exitFault
	}
	return w.run()
}

// worker is this process in its part as a worker.
type worker struct {
	control *channel
	order   *startOrder
	log     *slog.Logger
	engine  *engine

	orphan   bool            // the supervisor is gone
	broken   <-chan struct{} // the loop has ended of itself; nil once that is what we want
	cutNow   func()
	finished chan int // how many exchanges were cut off
}

// newWorker reads the first order.
func newWorker() (*worker, error) {
	control, err := newChannel(controlFD)
	if err != nil {
		return nil, err
	}
	var o order
	if err := control.receive(&o); err != nil {
		return nil, fmt.Errorf("control channel: %w", err)
	}
	if o.Start == nil {
		return nil, errors.New("control channel: the first order is not to start")
	}
	log := NewLog(os.Stderr, o.Start.Config.LogLevel).With("worker", o.Start.Index)
	return &worker{control: control, order: o.Start, log: log, finished: make(chan int, 1)}, nil
}

// start begins to serve and says so.
func (w *worker) start() error {
	unix.CloseOnExec(boardFD)
	unix.CloseOnExec(listenerFD)
	f := os.NewFile(boardFD, "board")
	b, err := board.Open(f)
	f.Close()
	if err != nil {
		return err
	}
	limit, err := raiseDescriptorLimit()
	if err != nil {
		return err
	}
	o := w.order
	w.engine, err = startEngine(engineOptions{
		Config:   o.Config,
		Board:    b,
		Index:    o.Index,
		Loops:    o.Loops,
		ConnsMax: connsMax(limit, o.Config.Limits.Connections, o.Index, o.Loops, 1),
		Listener: listenerFD,
		Addrs:    o.Addrs,
		Log:      w.log,
	})
	if err != nil {
		return err
	}
	w.broken = w.engine.ended
	return w.control.send(report{Ready: true})
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
			w.log.Warn("supervisor is gone, worker drains", "timeout", w.order.Config.Timeouts.Drain)
			w.finish()
		case <-w.broken:
			w.log.Error("loop has ended of itself")
			return exitFault
		case cut := <-w.finished:
			return w.leave(cut)
		}
	}
}

// receive returns the orders; the channel is closed when the supervisor is gone.
func (w *worker) receive() <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		for {
			var o order
			if err := w.control.receive(&o); err != nil {
				return
			}
			orders <- o
		}
	}()
	return orders
}

func (w *worker) obey(o order) {
	switch {
	case o.Addrs != nil:
		w.engine.setAddrs(o.Addrs.At, o.Addrs.Addrs)
	case o.Drain:
		w.finish()
	case o.Cut:
		w.finish()
		w.cutNow()
	}
}

// finish begins to drain; it may be called again.
func (w *worker) finish() {
	if w.cutNow != nil {
		return
	}
	now := make(chan struct{})
	w.cutNow = sync.OnceFunc(func() { close(now) })
	w.broken = nil
	go func() { w.finished <- w.engine.finish(w.order.Config.Timeouts.Drain, now) }()
}

// leave tells who is there to hear it how many exchanges were cut off.
func (w *worker) leave(cut int) (exitCode int) {
	if !w.orphan && w.control.send(report{Gone: &gone{Cut: cut}}) == nil {
		return exitDone
	}
	w.log.Info("worker leaves", "cut", cut)
	return finishCode(cut)
}
