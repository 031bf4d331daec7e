package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// An operator does everything in any order and without a pause: reloads, other numbers
// of workers, upgrades, changes at run time, broken files, killed workers. Only conns of
// killed workers break, and in the end no trace is left. LB_LONG=1 does 150 such steps.
func TestOperations(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		addrs := checkedMany(t, 5)
		quiet := setup{workers: 4, admin: true, backends: to(addrs...), tables: keepNothing}
		s := begin(t, mode, quiet)
		s.operate(addrs, 3, map[int]int{}) // lb has made now what it makes only once
		s.setup = quiet
		s.reload()
		s.settle()
		descriptors := s.descriptors(t)

		w := s.send(6, 6)
		w.more(t, 50)
		deeds, killed := 15, map[int]int{}
		if long() {
			deeds = 150
		}
		s.operate(addrs, deeds, killed)
		s.setup = quiet
		s.reload()
		s.until("all workers to serve", func(st status) bool { return len(st.serving()) == 4 })
		w.more(t, 100)
		w.end()
		lost := w.lost()
		for _, l := range lost {
			if killed[l.port] == 0 || l.how == refusedConn {
				t.Errorf("a request went missing that was not on a killed worker's conn: %v", l)
			}
			killed[l.port]--
		}
		t.Logf("%d right answers, %d lost on %d conns that were killed", w.whole.Load(), len(lost), len(killed))
		s.settle()
		s.wantCounted(w, len(lost))
		testkit.Until(t, fmt.Sprintf("%d descriptors", descriptors), func() bool { return s.descriptors(t) <= descriptors })
		if st := s.status(); st.Config.Fault != "" || st.UpgradeFault != "" || st.State != "serving" || !s.applied(st) {
			t.Errorf("in the end: %+v", st)
		}
		for _, b := range s.status().Pools[0].Backends {
			if b.Ejected || b.Health == "down" {
				t.Errorf("in the end: %+v", b)
			}
		}
	})
}

// operate does n steps, one after the other, and notes the ports of the clients whose
// worker it has killed.
func (s *service) operate(addrs []string, n int, killed map[int]int) {
	s.t.Helper()
	for i := range n {
		what := rand.IntN(8)
		if i == 0 {
			what = 0 // at least one upgrade
		}
		switch what {
		case 0:
			s.upgrade()
		case 1:
			s.setup.workers = 1 + rand.IntN(4)
			s.reload()
		case 2, 3:
			s.setup.backends = drawn(addrs)
			s.reload()
		case 4:
			s.write("nonsense")
			s.refuses([]string{"reload"}, "lb.toml:1")
			s.reload()
		case 5:
			addr := s.setup.backends[0].addr
			s.want("backend", "weight", "default", addr, fmt.Sprint(1+rand.IntN(9)))
			s.want("backend", "drain", "default", addr)
			s.want("backend", "enable", "default", addr)
		case 6:
			for range 5 {
				s.kill(syscall.SIGHUP)
			}
		case 7:
			if list := s.status().serving(); s.mode == "mp" && len(list) > 0 {
				ports, _ := s.killWorker(list[rand.IntN(len(list))].PID)
				for _, port := range ports {
					killed[port]++
				}
			}
		}
	}
}

// settle waits until lb has nothing to do and only the processes that it needs.
func (s *service) settle() {
	s.t.Helper()
	s.until("old loops and processes to end", func(st status) bool {
		s.reap(s.process)
		workers := map[string]int{"mt": 0, "mp": s.setup.workers}[s.mode]
		return len(st.Loops) == s.setup.workers && len(s.processes(s.t)) == 1+workers
	})
	s.atRest(s.t)
}

// Many commands at the same time are all answered, and none sees another one half done.
func TestCommandsAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a").Addr(), demo(t, "127.0.0.1:0", "b").Addr()
		s := begin(t, mode, setup{keys: "watch = false\n", backends: to(a, b)})
		commands := [][]string{
			{"status"}, {"status", "--json"}, {"reload"}, {"reload", "--plan"}, {"backend", "list"},
			{"backend", "weight", "default", a, "3"}, {"backend", "drain", "default", b}, {"backend", "enable", "default", b},
		}
		w := gather(t, len(commands), func(i int, _ <-chan struct{}) error {
			said, err := s.tryLB(commands[i]...)
			if err == nil && !said.well() && !strings.Contains(said.err, tooBusy) {
				err = fmt.Errorf("lb %s: exit code %d with %q and %q", strings.Join(commands[i], " "), said.code, said.out, said.err)
			}
			return err
		})
		w.more(t, int64(5*len(commands)))
		w.leave()
		if got := s.status().backend(t, "default", a); got.Weight != 3 {
			t.Errorf("in the end: %+v, want weight 3", got)
		}
	})
}

// A reload while a worker is down reaches its successor. A reload while a worker hangs
// is answered within about a second and names the worker.
func TestReloadWithoutAWorker(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	s := begin(t, "mp", setup{workers: 2, keys: "watch = false\n", backends: to(checkedMany(t, 3)...)})
	for range 3 { // so that the next one is not replaced at once
		l := s.status().serving()[0]
		s.killWorker(l.PID)
		s.successor(l.Slot, l.PID)
	}
	l := s.status().serving()[0]
	s.killWorker(l.PID)
	s.setup.backends = s.setup.backends[:2]
	s.setup.tables = "[limits]\nbody_bytes = 50\n"
	s.write(s.text())
	a := s.lb("reload")
	s.until("all workers to be back", func(st status) bool { return len(st.serving()) == 2 })
	if !s.applied(s.status()) {
		t.Errorf("lb reload said %d, %q and %q, and nothing has changed", a.code, a.out, a.err)
	}
	for range 20 {
		c := dial(t, s.addr)
		resp, _, err := c.ask("POST /1/100/length HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + string(bodyOf(1, 100)))
		if err != nil || resp.StatusCode != 413 {
			t.Errorf("a worker has an old configuration: %v, %v", resp, err)
		}
		c.Close()
	}
	stopped := s.status().serving()[1]
	if err := syscall.Kill(stopped.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.setup.tables = ""
	s.write(s.text())
	a = s.lb("reload")
	if a.code != 1 || !strings.Contains(a.err, fmt.Sprint(stopped.Slot)) || a.took > promptly && !raceOn {
		t.Errorf("with a worker that does not turn: %d, %q and %q after %v; want 1 and its number within a second", a.code, a.out, a.err, a.took)
	}
	if err := syscall.Kill(stopped.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// It may accept waiting conns before it reads the order.
	testkit.Until(t, "all workers to have the new configuration", func() bool {
		for range 20 {
			c := dial(t, s.addr)
			resp, _, err := c.ask("POST /1/100/length HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + string(bodyOf(1, 100)))
			c.Close()
			if err != nil || resp.StatusCode != 200 {
				return false
			}
		}
		return true
	})
}

// The old process is killed during an upgrade. The new process serves, or one that is
// started then, and nothing holds the port.
func TestOldKilledDuringUpgrade(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		for _, delay := range []time.Duration{0, 10 * time.Millisecond, 40 * time.Millisecond, 100 * time.Millisecond} {
			s := begin(t, mode, setup{backends: to(checked(t)), tables: "[timeouts]\ndrain = \"1s\"\n"})
			old := s.pid
			s.kill(syscall.SIGUSR2)
			pause(delay, nil)
			syscall.Kill(s.pid, syscall.SIGKILL) // unless it has left by itself
			testkit.Wait(t, s.Exited, "it to be gone")
			// Either the new one goes on, or none does.
			testkit.Until(t, "an end or a beginning", func() bool {
				s.reap(s.process)
				if s.GroupGone() {
					s.over = true
					return true
				}
				st, err := s.tryStatus()
				s.pid = st.PID
				return err == nil && st.PID != old && st.State == "serving" && s.pidFile() == st.PID
			})
			t.Logf("killed after %v: over %v", delay, s.over)
			if !s.over {
				for range 20 {
					c := dial(t, s.addr)
					if err := c.want200("GET /1/0/length HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
						t.Error(err)
					}
					c.Close()
				}
				s.stop()
			}
		}
	})
}
