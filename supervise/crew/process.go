package crew

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"lb/internal/ipc"
	"lb/supervise/engine"
	"lb/supervise/plan"
)

// process is one worker process as the supervisor sees it. Orders are put into
// its outbox, and sent by a goroutine of its own.
type process struct {
	o       processOptions
	cmd     *exec.Cmd
	control *ipc.Channel
	outbox  *outbox
	started time.Time
	late    *time.Timer   // ends it when it is not ready in time
	passing atomic.Int32  // conns on their way to it
	sent    underway      // those of them that were sent
	silent  chan struct{} // closed when nothing is sent any more
	sockets []uint64      // that it has; touched by the sender only
	serving chan struct{} // closed when it accepts connections
	exited  chan struct{} // closed when it is gone and what follows is set
	applied atomic.Uint64 // number of the snapshot that it has taken up
	ponged  atomic.Uint64 // number of the last Ping it has answered

	fault string // why it could not begin or go on, if it said so
	gone  bool   // it ended by the book
	cut   int    // exchanges that were cut off at its end, however that was
	err   error  // of exec.Cmd.Wait
	ended time.Time
}

// processOptions say what a worker process is for.
type processOptions struct {
	place     int
	slot      int
	boardFile *os.File
	// exchanges returns the exchanges that the slot has at work by what the board says.
	exchanges func() int
	// heard is called when the process has got on: it is ready, has taken up a
	// snapshot, has answered a ping, is gone.
	heard func()
	// passOn takes over a conn that another worker is to have.
	passOn func(from *process, slot int, c engine.Passed)
	// returned takes over conns that were meant for the process, which is gone, and
	// have not reached it.
	returned func(conns []engine.Passed)
}

const (
	// readyTimeout is how long a worker may take to serve, also on a machine that is
	// busy, as when everything is started at once.
	readyTimeout = 30 * time.Second
	// killDelay is how long a worker may take to leave that was told to end at once.
	killDelay = 2 * time.Second
)

// selfExe is this very binary, also when another file has taken its name.
const selfExe = "/proc/self/exe"

// notForWorkers are variables of the environment that speak to the supervisor:
// of systemd, and of an upgrade.
var notForWorkers = []string{
	"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"WATCHDOG_USEC", "WATCHDOG_PID", ipc.UpgradeEnv,
}

// workerEnviron returns env for a worker.
func workerEnviron(env []string) []string {
	return append(ipc.Without(env, notForWorkers...), ipc.WorkerEnv+"=1")
}

// startProcess starts this binary again, as a worker that begins with start.
func startProcess(o processOptions, start outgoing) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(selfExe); err == nil {
		exe = selfExe
	}
	control, theirs, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path:       exe,
		Args:       []string{os.Args[0], "worker", strconv.Itoa(o.place)}, // for lists of processes only
		Env:        workerEnviron(os.Environ()),
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs, o.boardFile},
	}
	if err := cmd.Start(); err != nil {
		control.Close()
		return nil, err
	}
	p := &process{
		o:       o,
		cmd:     cmd,
		control: control,
		outbox:  newOutbox(),
		started: time.Now(),
		late:    time.AfterFunc(readyTimeout, func() { cmd.Process.Kill() }),
		silent:  make(chan struct{}),
		serving: make(chan struct{}),
		exited:  make(chan struct{}),
	}
	p.outbox.put(start)
	go p.send()
	go p.watch()
	return p, nil
}

// order has o sent, some time. A process that is gone hears nothing.
func (p *process) order(o order) { p.outbox.put(outgoing{order: o}) }

// apply has a share sent; files are all sockets of it.
func (p *process) apply(s plan.Seat, files []*os.File) {
	p.outbox.put(outgoing{order: order{Apply: &s}, files: files})
}

// pass has a conn sent and takes it over, or returns false: the process does not
// serve, or, unless it has to, takes no more at once.
func (p *process) pass(c engine.Passed, hasTo bool) bool {
	if !closed(p.serving) || !hasTo && p.passing.Load() >= engine.PassesMax {
		return false
	}
	if !p.outbox.put(outgoing{order: order{Pass: &passOrder{c.Peer}}, conn: c}) {
		return false
	}
	p.passing.Add(1)
	return true
}

// send sends what is in the outbox, until that is closed.
func (p *process) send() {
	defer close(p.silent)
	for range p.outbox.wake {
		for o, ok := p.outbox.take(); ok; o, ok = p.outbox.take() {
			if err := p.sendOne(o); errors.Is(err, os.ErrDeadlineExceeded) {
				p.cmd.Process.Kill() // it would miss whatever else it is told
			}
		}
	}
}

// sendOne sends one order. Of the sockets of a share go those that are new to
// the process, by duplicates that live no longer than this.
func (p *process) sendOne(o outgoing) error {
	if o.order.Pass != nil {
		p.sent.put(o.conn)
		return p.control.Send(o.order, o.conn.FD)
	}
	s := o.order.Apply
	if o.order.Start != nil {
		s = &o.order.Start.Share
	}
	if s == nil {
		return p.control.Send(o.order)
	}
	fds, err := ipc.DupAll(newSockets(s.Sockets, p.sockets, o.files))
	if errors.Is(err, os.ErrClosed) { // all is about to end
		if o.order.Start != nil {
			return p.control.Send(order{Cut: true})
		}
		return nil
	}
	if err != nil { // no descriptors: rather none served than sockets that nobody accepts from
		p.cmd.Process.Kill()
		return err
	}
	defer ipc.CloseAll(fds)
	p.sockets = s.Sockets
	return p.control.Send(o.order, fds...)
}

// watch reads reports until the process is gone.
func (p *process) watch() {
	for {
		var r report
		fds, err := p.control.Receive(&r)
		if err != nil {
			if err != io.EOF { // it talks nonsense, and cannot be talked to
				p.cmd.Process.Kill()
			}
			break
		}
		p.hear(r, fds)
	}
	p.err = p.cmd.Wait()
	p.ended = time.Now()
	p.late.Stop()
	if !p.gone {
		p.cut = p.o.exchanges()
	}
	p.control.Close() // who sends hears of it
	unsent := p.outbox.close()
	<-p.silent
	p.o.returned(append(p.sent.end(), unsent...))
	close(p.exited)
	p.o.heard()
}

// hear takes one report, and fds.
func (p *process) hear(r report, fds []int) {
	switch {
	case r.Pass != nil && len(fds) == 1:
		p.o.passOn(p, r.Pass.Slot, engine.Passed{FD: fds[0], Peer: r.Pass.Peer})
		p.order(order{Relayed: true})
		return
	case r.Pass != nil: // there was no room for its descriptor
		p.order(order{Relayed: true})
	case r.Took:
		if p.sent.took() {
			p.passing.Add(-1)
		}
	case r.Leaving:
		p.order(order{Leave: true})
	case r.Pong != 0:
		p.ponged.Store(max(r.Pong, p.ponged.Load())) // reports may overtake each other
	case r.Fault != "":
		p.fault = r.Fault
	case r.Gone != nil:
		p.gone, p.cut = true, r.Gone.Cut
	}
	ipc.CloseAll(fds)
	if r.Applied != 0 {
		p.applied.Store(max(r.Applied, p.applied.Load()))
	}
	if r.Ready && !closed(p.serving) {
		p.late.Stop()
		close(p.serving)
	}
	p.o.heard()
}

// finish has the process drain and returns when it is gone: after timeout, or
// when now is closed, what it still does is cut off.
func (p *process) finish(timeout time.Duration, now <-chan struct{}) {
	p.order(order{Drain: true})
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case <-p.exited:
	case <-deadline.C:
		p.cutOff()
	case <-now:
		p.cutOff()
	}
}

// cutOff has the process end at once, and returns when it is gone.
func (p *process) cutOff() {
	p.order(order{Cut: true})
	late := time.NewTimer(killDelay)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
		p.cmd.Process.Kill()
		<-p.exited
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// serves reports whether the process accepts connections.
func (p *process) serves() bool { return closed(p.serving) && !closed(p.exited) }

// cause tells why the process is gone; call it after exited.
func (p *process) cause() error {
	switch {
	case p.fault != "":
		return errors.New(p.fault)
	case p.err != nil:
		return p.err
	}
	return errors.New("it left without being told to")
}

// age returns how long the process lived; call it after exited.
func (p *process) age() time.Duration { return p.ended.Sub(p.started).Round(time.Millisecond) }
