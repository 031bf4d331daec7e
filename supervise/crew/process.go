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
	"lb/supervise/asking"
	"lb/supervise/engine"
	"lb/supervise/plan"
)

// process is one worker process as the supervisor sees it. Orders are put into its
// outbox, and a goroutine of the process sends them.
type process struct {
	o       processOptions
	cmd     *exec.Cmd
	channel *ipc.Channel
	outbox  *outbox
	started time.Time
	late    *time.Timer   // kills it if it is not ready in time
	passing atomic.Int32  // conns on their way to it
	sent    underway      // the conns of passing that were sent
	silent  chan struct{} // closed when nothing is sent any longer
	sockets []uint64      // numbers of those that it has; touched by the sender only
	serving chan struct{} // closed when it accepts connections
	exited  chan struct{} // closed when it is gone and the fields below are set
	applied atomic.Uint64 // number of the snapshot that it has taken up
	ponged  atomic.Uint64 // number of the last Ping that it has answered

	fault string // why it could not begin or go on, if it said so
	gone  bool   // it said that it has finished
	cut   int    // exchanges that were cut off at its end, whatever the end
	err   error  // of exec.Cmd.Wait
	ended time.Time
}

// processOptions say what a worker process is for.
type processOptions struct {
	place     int
	slot      int
	boardFile *os.File
	program   string // path of this binary, where there is no selfExe
	// exchanges returns how many exchanges are running in the slot, by the board.
	exchanges func() int
	// progressed is called when the process is ready, has taken up a snapshot, has
	// answered a ping, or is gone.
	progressed func()
	// answered takes answers to Explain.
	answered func(asking.Answer)
	// passOn takes over a conn for another worker.
	passOn func(from *process, slot int, c engine.Passed)
	// returned takes over conns that have not reached the process, which is gone.
	returned func(conns []engine.Passed)
}

const (
	// readyTimeout is how long a worker may take to serve. It is long, because a
	// machine may be busy, as when everything is started at once.
	readyTimeout = 30 * time.Second
	// killDelay is how long a worker may take to end after an order to end at once.
	killDelay = 2 * time.Second
)

// selfExe is the binary of this process, also if another file has its name by now.
const selfExe = "/proc/self/exe"

// notForWorkers are variables of the environment that are meant for the supervisor,
// by systemd or by an upgrade.
var notForWorkers = []string{
	"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
	"WATCHDOG_USEC", "WATCHDOG_PID", ipc.UpgradeEnv,
}

// workerName is what lists of processes show of a worker.
func workerName(place int) string { return "lb: worker " + strconv.Itoa(place) }

// workerEnviron returns the environment of a worker for that of this process.
func workerEnviron(env []string) []string {
	return append(ipc.Without(env, notForWorkers...), ipc.WorkerEnv+"=1")
}

// startProcess starts this binary again, as a worker that begins with start.
func startProcess(o processOptions, start outgoing) (*process, error) {
	exe := selfExe
	if _, err := os.Stat(selfExe); err != nil {
		exe = o.program
	}
	channel, theirs, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path:       exe,
		Args:       []string{workerName(o.place)}, // for lists of processes only
		Env:        workerEnviron(os.Environ()),
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs, o.boardFile},
	}
	workerPIDs.Lock()
	if err = cmd.Start(); err == nil {
		workerPIDs.running[cmd.Process.Pid] = true
	}
	workerPIDs.Unlock()
	if err != nil {
		channel.Close()
		return nil, err
	}
	p := &process{
		o:       o,
		cmd:     cmd,
		channel: channel,
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

// order has o sent, at some time, unless the process is gone by then.
func (p *process) order(o order) { p.outbox.put(outgoing{order: o}) }

// apply has s sent. files are all sockets of s.
func (p *process) apply(s plan.Seat, files []*os.File) {
	p.outbox.put(outgoing{order: order{Apply: &s}, files: files})
}

// pass has a conn sent and takes it over. It returns false if the process does not
// serve, or if too many conns are on their way to it already, unless it has to take
// this one.
func (p *process) pass(c engine.Passed, hasTo bool) bool {
	if !closed(p.serving) || !hasTo && p.passing.Load() >= engine.PassesMax {
		return false
	}
	if !p.outbox.put(outgoing{order: order{Pass: &passOrder{c.Peer, c.Address}}, conn: c}) {
		return false
	}
	p.passing.Add(1)
	return true
}

// send sends what is in the outbox, until that is closed.
func (p *process) send() {
	defer close(p.silent)
	for range p.outbox.wake {
		for o, ok := p.outbox.next(); ok; o, ok = p.outbox.next() {
			if err := p.sendOne(o); errors.Is(err, os.ErrDeadlineExceeded) {
				p.cmd.Process.Kill() // it would miss all further orders
			}
		}
	}
}

// sendOne sends one order, with those sockets of a seat that are new to the process.
// It sends duplicates, which live no longer than this call.
func (p *process) sendOne(o outgoing) error {
	if o.order.Pass != nil {
		p.sent.put(o.conn)
		return p.channel.Send(o.order, o.conn.FD)
	}
	s := o.order.Apply
	if o.order.Start != nil {
		s = &o.order.Start.Seat
	}
	if s == nil {
		return p.channel.Send(o.order)
	}
	fds, err := ipc.DupAll(newSockets(s.Sockets, p.sockets, o.files))
	if errors.Is(err, os.ErrClosed) { // everything is about to end
		if o.order.Start != nil {
			return p.channel.Send(order{Cut: true})
		}
		return nil
	}
	if err != nil { // no descriptors left: better no worker than sockets from which no loop accepts
		p.cmd.Process.Kill()
		return err
	}
	defer ipc.CloseAll(fds)
	p.sockets = s.Sockets
	return p.channel.Send(o.order, fds...)
}

// watch reads reports until the process is gone.
func (p *process) watch() {
	for {
		var r report
		fds, err := p.channel.Receive(&r)
		if err != nil {
			if err != io.EOF { // its messages make no sense, so orders are of no use either
				p.cmd.Process.Kill()
			}
			break
		}
		p.hear(r, fds)
	}
	p.err = p.cmd.Wait()
	workerPIDs.Lock()
	delete(workerPIDs.running, p.pid())
	workerPIDs.Unlock()
	p.ended = time.Now()
	p.late.Stop()
	if !p.gone {
		p.cut = p.o.exchanges()
	}
	p.channel.Close() // ends a send that waits
	unsent := p.outbox.close()
	<-p.silent
	p.o.returned(append(p.sent.end(), unsent...))
	close(p.exited)
	p.o.progressed()
}

// hear takes one report, and takes fds over.
func (p *process) hear(r report, fds []int) {
	switch {
	case r.Pass != nil && len(fds) == 1:
		p.o.passOn(p, r.Pass.Slot, engine.Passed{FD: fds[0], Peer: r.Pass.Peer, Address: r.Pass.Address})
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
	case r.Explained != nil:
		p.o.answered(*r.Explained)
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
	p.o.progressed()
}

// finish has the process drain and returns when it is gone. After timeout, or when
// now is closed, what it still does is cut off.
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

// cause returns why the process is gone. Call it after exited.
func (p *process) cause() error {
	switch {
	case p.fault != "":
		return errors.New(p.fault)
	case p.err != nil:
		return p.err
	}
	return errors.New("it left without being told to")
}

// age returns how long the process lived. Call it after exited.
func (p *process) age() time.Duration { return p.ended.Sub(p.started).Round(time.Millisecond) }
