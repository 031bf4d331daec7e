package supervise

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/config"
)

// These tests look into /proc for processes and descriptors.

// childrenOf returns the processes, zombies included, that pid has started.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil {
			continue // it is gone
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// A worker that is killed is replaced, again and again, and what it had counted
// stays on the board.
func TestWorkerKilled(t *testing.T) {
	cfg := testConfig(config.MP)
	addBackend(t, cfg, helloBackend(t, "well").URL)
	in := serve(t, cfg, Options{})
	var requests uint64
	for round := range uint64(3) {
		for range 10 {
			get(in.addr).want(t, "well")
			requests++
		}
		before := childrenOf(t, os.Getpid())
		if len(before) != 2 {
			t.Fatalf("worker processes: %v, want 2", before)
		}
		kill(t, before[0], syscall.SIGKILL)
		until(t, "a new worker", func() bool {
			running, restarts := in.running.Workers()
			return running == 2 && restarts == round+1
		})
		after := childrenOf(t, os.Getpid())
		if len(after) != 2 || slices.Contains(after, before[0]) || !slices.Contains(after, before[1]) {
			t.Fatalf("worker processes: %v after %v and a kill of %d", after, before, before[0])
		}
	}
	for range 10 {
		get(in.addr).want(t, "well")
		requests++
	}
	if got := in.running.Board.Totals().Requests; got != requests {
		t.Errorf("the board has %d requests, want %d", got, requests)
	}
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
}

// A connection that a worker has not accepted is answered by its successor.
func TestAcceptQueueOutlivesWorker(t *testing.T) {
	cfg := testConfig(config.MP)
	cfg.Workers = 1
	addBackend(t, cfg, helloBackend(t, "well").URL)
	in := serve(t, cfg, Options{})
	worker := childrenOf(t, os.Getpid())[0]
	kill(t, worker, syscall.SIGSTOP)
	c, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	kill(t, worker, syscall.SIGKILL)
	c.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(b, []byte("well")) {
		t.Fatalf("got %q, %v; want the answer", b, err)
	}
}

// Gauges of a worker that was killed do not stay on the board.
func TestKilledWorkerLeavesNoGauge(t *testing.T) {
	cfg := testConfig(config.MP)
	slow := newSlowBackend(t)
	addBackend(t, cfg, slow.URL)
	cfg.Workers = 1
	in := serve(t, cfg, Options{})
	a := getLater(in.addr)
	<-slow.began
	kill(t, childrenOf(t, os.Getpid())[0], syscall.SIGKILL)
	wantCut(t, a)
	until(t, "gauges at zero", func() bool {
		totals := in.running.Board.Totals()
		return totals.ClientConns+totals.BackendConns+totals.Exchanges == 0
	})
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
}

// Exchanges of a worker that dies amid a drain count as cut off.
func TestWorkerKilledInDrain(t *testing.T) {
	cfg := testConfig(config.MP)
	slow := newSlowBackend(t)
	addBackend(t, cfg, slow.URL)
	cfg.Workers = 1
	in := serve(t, cfg, Options{})
	a := getLater(in.addr)
	<-slow.began
	in.signals <- syscall.SIGTERM
	until(t, "connections to be refused", func() bool { return refused(in.addr) })
	kill(t, childrenOf(t, os.Getpid())[0], syscall.SIGKILL)
	wantCut(t, a)
	in.wantExit(t, 3)
}

// A worker that hangs is ended by force.
func TestHungWorker(t *testing.T) {
	cfg := testConfig(config.MP)
	in := serve(t, cfg, Options{})
	kill(t, childrenOf(t, os.Getpid())[0], syscall.SIGSTOP)
	in.signals <- syscall.SIGQUIT
	in.wantExit(t, 0)
}

// When the supervisor is killed its workers answer what runs, leave, and free
// the port.
func TestSupervisorKilled(t *testing.T) {
	cfg := testConfig(config.MP)
	slow := newSlowBackend(t)
	addBackend(t, cfg, slow.URL)
	lb := startLB(t, cfg)
	workers := childrenOf(t, lb.cmd.Process.Pid)
	if len(workers) != 2 {
		t.Fatalf("worker processes: %v, want 2", workers)
	}
	a := getLater(lb.addr)
	<-slow.began
	kill(t, lb.cmd.Process.Pid, syscall.SIGKILL)
	until(t, "connections to be refused", func() bool { return refused(lb.addr) })
	_, port, _ := net.SplitHostPort(lb.addr)
	cfg.Port, _ = strconv.Atoi(port)
	second := serve(t, cfg, Options{}) // while the first one's answer still runs
	close(slow.release)
	(<-a).want(t, "late")
	get(second.addr).want(t, "late")
	for _, pid := range workers {
		until(t, "the workers to leave", func() bool { return ended(pid) })
	}
}

// ended tells whether pid runs no more; it may be a zombie whose new parent has
// not looked yet.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// Whatever the end, no goroutine, descriptor or process stays behind.
func TestNothingLeft(t *testing.T) {
	refuse := func(Running) Admin {
		return &fakeAdmin{red: make(chan struct{}), listenErr: syscall.EADDRINUSE}
	}
	eachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := newSlowBackend(t)
		addBackend(t, cfg, slow.URL)
		cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, config.Backend{Host: "localhost", Port: 1, Weight: 1})
		begin(t, cfg, Options{Admin: refuse}) // once to begin with: Go's own descriptors and threads
		before, goroutines := descriptors(t), runtime.NumGoroutine()
		for _, o := range []Options{{}, {Admin: refuse}} {
			func() {
				in := begin(t, cfg, o)
				if in.addr != "" {
					leaveWithWork(t, in, slow)
				}
				wait(t, in.done, "Serve to return")
			}()
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			slow.CloseClientConnections()
			until(t, "descriptors to be closed", func() bool { return descriptors(t) <= before })
			until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
			if left := childrenOf(t, os.Getpid()); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
		}
	})
}

// leaveWithWork ends lb in the middle of exchanges.
func leaveWithWork(t *testing.T, in *inside, slow *slowBackend) {
	t.Helper()
	a := getLater(in.addr)
	<-slow.began
	in.signals <- syscall.SIGQUIT
	in.wantExit(t, 3)
	wantCut(t, a)
}
