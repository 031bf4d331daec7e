package supervise

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/proxy"
)

// engine is one loop with its proxy and its listening socket, running on a
// goroutine of its own. Its methods may be called by any goroutine.
type engine struct {
	kernel   loop.Kernel
	loop     *loop.Loop
	proxy    *proxy.Proxy // touched on the loop only
	listener int          // owned by the engine; -1 when a drain has closed it
	ended    chan struct{}
}

// engineOptions say what an engine runs. The engine owns Listener from the call
// of startEngine on, whatever that returns.
type engineOptions struct {
	Config   *config.Config
	Board    *board.Board
	Index    int
	Loops    int
	ConnsMax int
	Listener int // a listening socket
	Addrs    [][][]loop.Addr
	Log      *slog.Logger
}

// acceptFaultEvery is the least time between two log lines of a loop that cannot
// accept: it tries again many times a second.
const acceptFaultEvery = 10 * time.Second

// startEngine returns when connections are accepted.
func startEngine(o engineOptions) (*engine, error) {
	var k loop.Kernel
	err := os.NewSyscallError("fcntl", unix.SetNonblock(o.Listener, true))
	if err == nil {
		k, err = loop.NewKernel()
	}
	if err != nil {
		unix.Close(o.Listener)
		return nil, fmt.Errorf("loop %d: %w", o.Index, err)
	}
	e := &engine{kernel: k, listener: o.Listener, ended: make(chan struct{})}
	e.loop = loop.New(k, loopOptions(o))
	e.proxy = proxy.New(e.loop, proxy.Options{
		Config:    o.Config,
		Board:     o.Board,
		LoopIndex: o.Index,
		Loops:     o.Loops,
		Addrs:     o.Addrs,
		Log:       o.Log,
	})
	if err := e.loop.Listen(e.listener, e.proxy); err != nil {
		e.loop.Close()
		e.closeListener()
		return nil, fmt.Errorf("loop %d: %w", o.Index, err)
	}
	go func() {
		defer close(e.ended)
		e.loop.Run()
	}()
	return e, nil
}

// loopOptions has the loop's troubles counted and logged.
func loopOptions(o engineOptions) loop.Options {
	counters := o.Board.Loop(o.Index)
	var told time.Time
	return loop.Options{
		ConnsMax: o.ConnsMax,
		OnPanic: func(value any, stack []byte) {
			counters.Panics.Add(1)
			o.Log.Error("panic", "loop", o.Index, "value", value, "stack", string(stack))
		},
		OnAcceptFault: func(err error) {
			counters.AcceptErrors.Add(1)
			if now := time.Now(); now.Sub(told) >= acceptFaultEvery {
				told = now
				o.Log.Warn("cannot accept connections", "loop", o.Index, "cause", err)
			}
		},
	}
}

// setAddrs gives the proxy new addresses of one backend.
func (e *engine) setAddrs(at place, addrs []loop.Addr) {
	e.loop.Post(func() { e.proxy.SetAddrs(at.Pool, at.Backend, addrs) })
}

// finish drains the engine and ends its loop. What still runs after timeout, or
// when now is closed, is cut off; it returns how many exchanges that were.
func (e *engine) finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	drained := make(chan struct{})
	e.loop.Post(func() { e.drain(sync.OnceFunc(func() { close(drained) })) })

	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case <-drained:
	case <-e.ended: // of itself, which is not expected
	case <-deadline.C:
		cut = e.cut()
	case <-now:
		cut = e.cut()
	}
	e.stop()
	return cut
}

// drain runs on the loop. To close the socket resets what is in its queue, so
// that is accepted first.
func (e *engine) drain(done func()) {
	e.loop.Unlisten()
	for {
		fd, peer, err := e.kernel.Accept(e.listener)
		if fd < 0 || err != nil {
			break
		}
		e.proxy.Accepted(fd, peer)
	}
	e.closeListener()
	e.proxy.Drain(done)
}

// cut ends every conn and returns how many exchanges were cut off.
func (e *engine) cut() (n int) {
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

// stop ends the loop; a conn that is still open goes with it.
func (e *engine) stop() {
	e.loop.Stop()
	<-e.ended
	e.closeListener()
}

// closeListener runs on the loop, or when it has ended.
func (e *engine) closeListener() {
	if e.listener >= 0 {
		unix.Close(e.listener)
		e.listener = -1
	}
}
