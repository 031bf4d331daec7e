package supervise

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// process is one worker process as the supervisor sees it.
type process struct {
	cmd     *exec.Cmd
	control *channel
	started time.Time
	ready   chan struct{} // closed when it accepts connections
	exited  chan struct{} // closed when it is gone and what follows is set

	gone  *gone  // its last report, if it came
	fault string // why it could not begin, if it said so
	err   error  // of exec.Cmd.Wait
	ended time.Time
}

// selfExe is this very binary, also when another file has taken its name.
const selfExe = "/proc/self/exe"

// startProcess starts this binary again, as a worker that waits for its first order.
func startProcess(index int, boardFile, listener *os.File) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(selfExe); err == nil {
		exe = selfExe
	}
	control, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{
		Path:       exe,
		Args:       []string{os.Args[0], "worker", strconv.Itoa(index)}, // for lists of processes only
		Env:        append(os.Environ(), workerEnv+"=1"),
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs, boardFile, listener},
	}
	if err := cmd.Start(); err != nil {
		control.close()
		return nil, err
	}
	p := &process{
		cmd:     cmd,
		control: control,
		started: time.Now(),
		ready:   make(chan struct{}),
		exited:  make(chan struct{}),
	}
	go p.watch()
	return p, nil
}

// watch reads reports until the process is gone.
func (p *process) watch() {
	defer close(p.exited)
	for {
		var r report
		if err := p.control.receive(&r); err != nil {
			break
		}
		switch {
		case r.Ready:
			close(p.ready)
		case r.Fault != "":
			p.fault = r.Fault
		case r.Gone != nil:
			p.gone = r.Gone
		}
	}
	p.err = p.cmd.Wait()
	p.ended = time.Now()
	p.control.close()
}

// order sends o. A worker that does not take it in time is killed: it would miss
// whatever else it is told.
func (p *process) order(o order) {
	if err := p.control.send(o); errors.Is(err, os.ErrDeadlineExceeded) {
		p.cmd.Process.Kill()
	}
}

// finish has the process drain and returns when it is gone: after timeout, or
// when now is closed, what it still does is cut off. It returns how many
// exchanges that were, -1 when the process did not say.
func (p *process) finish(timeout time.Duration, now <-chan struct{}) (cut int) {
	p.order(order{Drain: true})
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	select {
	case <-p.exited:
	case <-deadline.C:
		p.cut()
	case <-now:
		p.cut()
	}
	if p.gone == nil {
		return -1
	}
	return p.gone.Cut
}

// cut has the process end at once, and returns when it is gone.
func (p *process) cut() {
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

// serving tells whether the process accepts connections.
func (p *process) serving() bool {
	select {
	case <-p.exited:
		return false
	default:
	}
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

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
