package supervise

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/config"
	"lb/internal/ipc"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

// These tests look into /proc for processes and descriptors.

// A worker that is killed is replaced, again and again, and its counts stay on the board.
func TestWorkerKilled(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	var log bytes.Buffer
	in := serve(t, cfg, Options{Log: NewLog(&log, "info")})
	var requests uint64
	for round := range uint64(3) {
		for range 10 {
			supervisetest.Get(in.addr).Want(t, "well")
			requests++
		}
		before := supervisetest.ChildrenOf(t, os.Getpid())
		if len(before) != 2 {
			t.Fatalf("worker processes: %v, want 2", before)
		}
		supervisetest.Kill(t, before[0], syscall.SIGKILL)
		testkit.Until(t, "a new worker", func() bool {
			running, restarts := in.running.Workers()
			return running == 2 && restarts == round+1
		})
		after := supervisetest.ChildrenOf(t, os.Getpid())
		if len(after) != 2 || slices.Contains(after, before[0]) || !slices.Contains(after, before[1]) {
			t.Fatalf("worker processes: %v after %v and a kill of %d", after, before, before[0])
		}
	}
	for range 10 {
		supervisetest.Get(in.addr).Want(t, "well")
		requests++
	}
	if got := in.running.Board.Totals().Requests; got != requests {
		t.Errorf("the board has %d requests, want %d", got, requests)
	}
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
	if got := strings.Count(log.String(), "signal: killed"); got != 3 {
		t.Errorf("%d exit causes in the log, want 3:\n%s", got, log.String())
	}
}

// The first worker that dies is replaced at once, the next of its seat later.
func TestBackOffIsKept(t *testing.T) {
	log := &testkit.Log{}
	in := serve(t, supervisetest.Config(config.MP), Options{Log: NewLog(log, "info")})
	for i, delay := range []string{"restart_in=0s", "restart_in=100ms", "restart_in=200ms"} {
		pid := 0
		testkit.Until(t, "the workers to serve", func() bool {
			running, restarts := in.running.Workers()
			return running == 2 && restarts == uint64(i)
		})
		for _, child := range supervisetest.ChildrenOf(t, os.Getpid()) {
			if place(t, child) == "0" {
				pid = child
			}
		}
		if pid == 0 {
			t.Fatal("no worker has the place 0")
		}
		supervisetest.Kill(t, pid, syscall.SIGKILL)
		testkit.Until(t, "the death in the log", func() bool { return strings.Count(log.String(), "worker died") == i+1 })
		if !strings.Contains(log.String(), delay) {
			t.Errorf("death %d: want %s in the log:\n%s", i, delay, log.String())
		}
	}
	if supervisetest.Refused(in.addr) {
		t.Error("connections are refused")
	}
}

// place returns the place of a worker process, which is in its name.
func place(t *testing.T, pid int) string {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSuffix(string(line), "\x00"), "lb: worker ")
}

// A worker that nobody started says so.
func TestWorkerByHand(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), ipc.WorkerEnv+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "started by lb itself") {
		t.Errorf("%v, %q; want exit code 1 and the reason", err, out)
	}
}

// A connection that a worker has not accepted is answered by its successor.
func TestAcceptQueueOutlivesWorker(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	cfg.Workers = 1
	supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "well").URL)
	in := serve(t, cfg, Options{})
	worker := supervisetest.ChildrenOf(t, os.Getpid())[0]
	supervisetest.Kill(t, worker, syscall.SIGSTOP)
	testkit.Until(t, "the worker to stand still", func() bool { return supervisetest.Stopped(t, worker) })
	c, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	supervisetest.Kill(t, worker, syscall.SIGKILL)
	c.SetDeadline(time.Now().Add(testkit.Patience))
	b, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(b, []byte("well")) {
		t.Fatalf("got %q, %v; want the answer", b, err)
	}
}

// Gauges of a worker that was killed do not stay on the board.
func TestKilledWorkerLeavesNoGauge(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	slow := supervisetest.AddSlowBackend(t, cfg)
	cfg.Workers = 1
	in := serve(t, cfg, Options{})
	a := slow.GetLater(t, in.addr)
	supervisetest.Kill(t, supervisetest.ChildrenOf(t, os.Getpid())[0], syscall.SIGKILL)
	supervisetest.WantCut(t, a)
	testkit.Until(t, "gauges at zero", func() bool {
		totals := in.running.Board.Totals()
		return totals.ClientConns+totals.BackendConns+totals.Exchanges == 0
	})
	in.signals <- syscall.SIGTERM
	in.wantExit(t, 0)
}

// Exchanges of a worker that dies in a drain count as cut off, and the log
// says why.
func TestWorkerKilledInDrain(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	slow := supervisetest.AddSlowBackend(t, cfg)
	cfg.Workers = 1
	var log bytes.Buffer
	in := serve(t, cfg, Options{Log: NewLog(&log, "info")})
	a := slow.GetLater(t, in.addr)
	in.signals <- syscall.SIGTERM
	testkit.Until(t, "connections to be refused", func() bool { return supervisetest.Refused(in.addr) })
	supervisetest.Kill(t, supervisetest.ChildrenOf(t, os.Getpid())[0], syscall.SIGKILL)
	supervisetest.WantCut(t, a)
	in.wantExit(t, 3)
	if got := strings.Count(log.String(), `msg="worker died" worker=0`); got != 1 || !strings.Contains(log.String(), "signal: killed") {
		t.Errorf("the log tells %d times that the worker died, want once and why:\n%s", got, log.String())
	}
}

// A later worker has the addresses that a name has by then.
func TestReplacedWorkerHasNewAddresses(t *testing.T) {
	_, two, port := twoBackendsOnOnePort(t)
	cfg := supervisetest.Config(config.MP)
	cfg.Workers = 1
	cfg.Pools[0].Backends = []config.Backend{{Host: "app.test", Port: port, Weight: 1}}
	names := &supervisetest.FakeResolver{Name: "app.test"}
	names.Set("127.0.0.1")
	in := serve(t, cfg, Options{Resolver: names, ResolveEvery: 10 * time.Millisecond})
	names.Set("127.0.0.2")
	untilAnswered(t, in.addr, two)
	supervisetest.Kill(t, supervisetest.ChildrenOf(t, os.Getpid())[0], syscall.SIGKILL)
	testkit.Until(t, "a new worker", func() bool {
		running, restarts := in.running.Workers()
		return running == 1 && restarts == 1
	})
	supervisetest.Get(in.addr).Want(t, two)
}

// A worker that hangs is ended by force.
func TestHungWorker(t *testing.T) {
	testkit.Long(t)
	cfg := supervisetest.Config(config.MP)
	in := serve(t, cfg, Options{})
	supervisetest.Kill(t, supervisetest.ChildrenOf(t, os.Getpid())[0], syscall.SIGSTOP)
	in.signals <- syscall.SIGQUIT
	in.wantExit(t, 0)
}

// When the supervisor is killed its workers answer what runs, leave, and free
// the port.
func TestSupervisorKilled(t *testing.T) {
	cfg := supervisetest.Config(config.MP)
	cfg.Port = testkit.HoldPort(t) // which a second lb is to get
	slow := supervisetest.AddSlowBackend(t, cfg)
	lb := startLB(t, cfg)
	workers := supervisetest.ChildrenOf(t, lb.pid())
	if len(workers) != 2 {
		t.Fatalf("worker processes: %v, want 2", workers)
	}
	a := slow.GetLater(t, lb.addr)
	supervisetest.Kill(t, lb.pid(), syscall.SIGKILL)
	testkit.Until(t, "connections to be refused", func() bool { return supervisetest.Refused(lb.addr) })
	second := serve(t, cfg, Options{}) // while the first one's answer still runs
	close(slow.Release)
	(<-a).Want(t, "late")
	supervisetest.Get(second.addr).Want(t, "late")
	for _, pid := range workers {
		testkit.Until(t, "the workers to leave", func() bool { return supervisetest.Ended(pid) })
	}
}

// However lb ends, no goroutine, descriptor or process is left.
func TestNothingLeft(t *testing.T) {
	refuse := func(*config.Config, Running) Admin {
		return &fakeAdmin{red: make(chan struct{}), listenErr: syscall.EADDRINUSE}
	}
	ends := map[string]func(t *testing.T, cfg *config.Config, slow *supervisetest.SlowBackend){
		"refused": func(t *testing.T, cfg *config.Config, _ *supervisetest.SlowBackend) {
			testkit.Wait(t, begin(t, cfg, Options{Admin: refuse}).done, "Serve to refuse")
		},
		"drained": func(t *testing.T, cfg *config.Config, _ *supervisetest.SlowBackend) {
			in := serve(t, cfg, Options{})
			in.signals <- syscall.SIGTERM
			in.wantExit(t, 0)
		},
		"cut": func(t *testing.T, cfg *config.Config, slow *supervisetest.SlowBackend) {
			in := serve(t, cfg, Options{})
			a := slow.GetLater(t, in.addr)
			in.signals <- syscall.SIGQUIT
			in.wantExit(t, 3)
			supervisetest.WantCut(t, a)
		},
	}
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		slow := supervisetest.AddSlowBackend(t, cfg)
		cfg.Pools[0].Backends = append(cfg.Pools[0].Backends, config.Backend{Host: "localhost", Port: 1, Weight: 1})
		checkedConfig(cfg, 10*time.Millisecond).Pools[0].Health.Type = config.CheckTCP // no requests, which slow would count
		ends["refused"](t, cfg, slow)                                                  // once to begin with: Go has descriptors of its own
		before, goroutines := testkit.OpenFDs(), runtime.NumGoroutine()
		for name, end := range ends {
			end(t, cfg, slow)
			slow.CloseClientConnections()
			testkit.Until(t, name+": descriptors to be closed", func() bool { return testkit.OpenFDs() <= before })
			testkit.Until(t, name+": goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
			if left := supervisetest.ChildrenOf(t, os.Getpid()); len(left) > 0 {
				t.Errorf("%s: processes left: %v", name, left)
			}
		}
	})
}
