package handover

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"lb/internal/ipc"
)

// successor is the process that is to replace this one, as this one sees it. It is a
// child in our process group, so that a terminal's Ctrl-C reaches it, now and later,
// and nothing ends it when we end.
type successor struct {
	binary  string
	cmd     *exec.Cmd
	talk    *ipc.Channel
	serving atomic.Bool
	exited  chan struct{} // closed when it is gone, and reaped
}

// successorFD is the descriptor of the new process's end of the channel.
const successorFD = 3

// lastWords is how long this process waits for reports that another sent before it
// ended.
const lastWords = time.Second

// startSuccessor starts binary with the arguments of this process.
func startSuccessor(binary string) (*successor, error) {
	if !filepath.IsAbs(binary) {
		return nil, fmt.Errorf("%q is not an absolute path", binary)
	}
	talk, theirs, err := ipc.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &successor{
		binary: binary,
		cmd: &exec.Cmd{
			Path:       binary,
			Args:       append([]string{binary}, os.Args[1:]...),
			Env:        successorEnv(os.Environ()),
			Stdin:      os.Stdin,
			Stdout:     os.Stdout,
			Stderr:     os.Stderr,
			ExtraFiles: []*os.File{theirs},
		},
		talk:   talk,
		exited: make(chan struct{}),
	}
	if err := p.cmd.Start(); err != nil {
		talk.Close()
		return nil, err
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
		talk.SetReadDeadline(time.Now().Add(lastWords))
	}()
	return p, nil
}

// successorEnv returns environ for the new process, without what systemd meant for
// this process alone.
func successorEnv(environ []string) []string {
	env := ipc.Without(environ, ipc.UpgradeEnv, ipc.WorkerEnv, "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
	return append(env, fmt.Sprintf("%s=%d", ipc.UpgradeEnv, successorFD))
}

// takeOver hands h and its descriptors over once the new process has said hello, waits
// until it serves, says go, and waits until it has taken over. Each wait may take
// timeout.
func (p *successor) takeOver(h *contents, fds []int, timeout time.Duration) (r readyReport, t tookReport, err error) {
	p.talk.SetReadDeadline(time.Now().Add(timeout))
	if _, err = p.next(func(r progress) bool { return r.Hello }); err == nil {
		err = p.talk.Send(h, fds...)
	}
	var report progress
	if err == nil {
		report, err = p.next(func(r progress) bool { return r.Ready != nil })
	}
	if err != nil {
		return r, t, p.cause(err, timeout)
	}
	r = *report.Ready
	p.serving.Store(true)
	p.talk.SetReadDeadline(time.Now().Add(timeout))
	if err = p.talk.Send(goOrder{Go: true}); err == nil {
		report, err = p.next(func(r progress) bool { return r.Took != nil })
	}
	if err != nil {
		return r, t, p.cause(err, timeout)
	}
	return r, *report.Took, nil
}

// refusal is a report of the new process that it cannot take over, or that makes no
// sense.
type refusal string

// Error returns the reason.
func (r refusal) Error() string { return string(r) }

const errUnexpected = refusal("it reports out of turn")

// next returns the next report. It is an error if that is not the expected one.
func (p *successor) next(expected func(progress) bool) (r progress, err error) {
	fds, err := p.talk.Receive(&r)
	ipc.CloseAll(fds)
	switch {
	case err != nil:
	case r.Fault != "":
		err = refusal(r.Fault)
	case !expected(r):
		err = errUnexpected
	}
	return r, err
}

// cause returns the reason for an error on the channel.
func (p *successor) cause(err error, timeout time.Duration) error {
	if _, ok := errors.AsType[refusal](err); ok {
		return err
	}
	late := time.NewTimer(lastWords) // the channel ends before the process does
	defer late.Stop()
	select {
	case <-p.exited:
		return fmt.Errorf("the new process has ended: %v", p.cmd.ProcessState)
	case <-late.C:
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the new process is not ready after %v", timeout)
	}
	return fmt.Errorf("the new process does not answer: %w", err)
}

// kill ends the process and returns when nothing is left of it. Its workers notice
// that, drain and leave.
func (p *successor) kill() {
	p.cmd.Process.Kill()
	p.talk.Close()
	<-p.exited
}

// dismiss ends the process because this one is to end, too. A process that serves has
// conns to finish, and is given the time.
func (p *successor) dismiss() {
	if !p.serving.Load() {
		p.kill()
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.talk.Close()
}

func (p *successor) pid() int { return p.cmd.Process.Pid }
