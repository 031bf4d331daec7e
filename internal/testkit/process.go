package testkit

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Process is a program that a test has started. It leads a process group, to which
// the processes that it starts belong.
type Process struct {
	*exec.Cmd
	Out    Log           // its standard output, unless Cmd.Stdout was set
	Log    Log           // its standard error, unless Cmd.Stderr was set
	Exited chan struct{} // closed when it has ended and both logs are complete
}

// Start starts cmd. When the test ends, whatever is left of the process group is
// killed; of a test that failed, the standard error is shown.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.Out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.Log
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.Exited)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		if !p.GroupGone() {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		Wait(t, p.Exited, "a killed process to end")
		if t.Failed() {
			t.Logf("standard error of %v:\n%s", cmd.Args, p.Log.String())
		}
	})
	return p
}

// Signal sends sig to the process alone, not to its group.
func (p *Process) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// ExitCode waits for the process to end and returns its exit code, -1 if a signal
// ended it.
func (p *Process) ExitCode(t testing.TB) int {
	t.Helper()
	Wait(t, p.Exited, "the process to end")
	return p.ProcessState.ExitCode()
}

// GroupGone reports whether no process of the group is left, not even a zombie.
func (p *Process) GroupGone() bool {
	return syscall.Kill(-p.Process.Pid, 0) == syscall.ESRCH
}

// Ended reports whether Exited is closed.
func (p *Process) Ended() bool {
	select {
	case <-p.Exited:
		return true
	default:
		return false
	}
}

// Serving waits until lb says where it serves and returns the host:port, or "" if
// it ended before.
func (p *Process) Serving(t testing.TB) (addr string) {
	t.Helper()
	Until(t, "lb to say where it serves", func() bool {
		ended := p.Ended() // before the log is read, which is complete then
		addr = p.Log.Serving()
		return addr != "" || ended
	})
	return addr
}
