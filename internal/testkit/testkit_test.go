package testkit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lb/admin/api"
)

func TestLog(t *testing.T) {
	var l Log
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 100 {
				fmt.Fprintln(&l, "a line")
				_ = l.String()
			}
		})
	}
	writers.Wait()
	if n := strings.Count(l.String(), "a line\n"); n != 400 || l.Serving() != "" {
		t.Errorf("%d lines, want 400; serving %q", n, l.Serving())
	}
	fmt.Fprint(&l, "time=now level=INFO msg=serving address=127.0.0.1:80 mode=mt\nmsg=serving address=127.0.0.1:81\n")
	if got := l.Serving(); got != "127.0.0.1:80" {
		t.Errorf("serving %q, want the first address", got)
	}
}

// TestFreePort: a listener gets the port, leaves it, and gets it again.
func TestFreePort(t *testing.T) {
	addr := FreePort(t)
	for range 2 {
		if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("%v, %v; want connections to be refused while nobody listens", c, err)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}

func TestOpenFDs(t *testing.T) {
	net.Dial("tcp", RefusingAddr(t)) // Go's poller opens descriptors that it keeps
	before := OpenFDs()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if got := OpenFDs(); got != before+2 {
		t.Errorf("%d descriptors with a pipe, %d without", got, before)
	}
	r.Close()
	w.Close()
	if got := OpenFDs(); got != before {
		t.Errorf("%d descriptors after the pipe, %d before", got, before)
	}
}

func TestPanics(t *testing.T) {
	if Panics(func() {}) || !Panics(func() { panic("x") }) {
		t.Error("Panics says the opposite")
	}
}

func TestRefusingAddr(t *testing.T) {
	addr := RefusingAddr(t)
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v, %v; want connections to be refused", c, err)
	}
	if l, err := net.Listen("tcp", addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, %v; want nobody to be able to listen there", l, err)
	}
}

func TestProcess(t *testing.T) {
	p := Start(t, exec.Command("/bin/sh", "-c", "echo out; echo msg=serving address=a:1 >&2; exit 3"))
	if addr := p.Serving(t); addr != "a:1" {
		t.Errorf("serving %q", addr)
	}
	if code := p.ExitCode(t); code != 3 || p.Out.String() != "out\n" {
		t.Errorf("exit code %d, output %q", code, p.Out.String())
	}
	p = Start(t, exec.Command("/bin/sh", "-c", "exit 0"))
	if addr := p.Serving(t); addr != "" {
		t.Errorf("serving %q, want none of a process that has ended", addr)
	}
	p = Start(t, exec.Command("sleep", "1000"))
	p.Signal(t, syscall.SIGKILL)
	if code := p.ExitCode(t); code != -1 || !p.GroupGone() {
		t.Errorf("exit code %d after SIGKILL, want -1; the group is gone: %v", code, p.GroupGone())
	}
}

// TestProcessGroupIsKilled: what a process has started does not outlive the test.
func TestProcessGroupIsKilled(t *testing.T) {
	var p *Process
	t.Run("start", func(t *testing.T) {
		p = Start(t, exec.Command("/bin/sh", "-c", "sleep 1000 & sleep 1000"))
	})
	if !p.Ended() { // which waits for every process that has its output open
		t.Error("the group lives on")
	}
}

func TestControl(t *testing.T) {
	refused := errors.New("refused")
	c := &Control{Running: api.Status{PID: 7}, Reloaded: api.Reloaded{Number: 2}, Changed: api.Backend{Weight: 3}, Err: refused}
	var _ api.Control = c
	if s := c.Status(); s.PID != 7 {
		t.Errorf("%+v", s)
	}
	if r, err := c.Reload(true); r.Number != 2 || err != refused {
		t.Errorf("%+v, %v", r, err)
	}
	c.Upgrade("/b")
	c.Drain()
	if b, err := c.SetBackend("p", "a:1", api.Weight, 5); b.Weight != 3 || err != refused {
		t.Errorf("%+v, %v", b, err)
	}
	c.Change = func(_, _ string, _ api.Action, weight int) (api.Backend, error) {
		return api.Backend{Weight: weight}, nil
	}
	if b, err := c.SetBackend("p", "a:1", api.Weight, 5); b.Weight != 5 || err != nil {
		t.Errorf("%+v, %v", b, err)
	}
	const want = `status; reload plan=true; upgrade "/b"; drain; weight p a:1 5; weight p a:1 5`
	if got := c.Asked(); got != want || c.Asked() != "" {
		t.Errorf("asked %s, want %s, and that once", got, want)
	}
}
