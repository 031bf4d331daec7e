package e2e

import (
	"strings"
	"testing"

	"lb/internal/testkit"
)

// wantShares wants requests of one conn to be shared by the backends a and b of the
// demo, give or take one.
func (s *service) wantShares(when string, a, b int) {
	s.t.Helper()
	c := dial(s.t, s.addr)
	defer c.Close()
	got := c.answeredBy(s.t, a+b)
	if got["a"] < a-1 || got["a"] > a+1 || got["b"] < b-1 || got["b"] > b+1 {
		s.t.Errorf("%s: answered by %v, want %d by a and %d by b", when, got, a, b)
	}
}

// wantShown wants lb to show the backend at addr like this. runtime says that it was
// changed at run time.
func (s *service) wantShown(when, addr, admin string, weight int, runtime bool) {
	s.t.Helper()
	if got := s.status().backend(s.t, "default", addr); got.Admin != admin || got.Weight != weight || got.Runtime != runtime {
		s.t.Errorf("%s: %+v, want %s, weight %d, at run time: %v", when, got, admin, weight, runtime)
	}
	if list := s.want("backend", "list"); !strings.Contains(list, addr) {
		s.t.Errorf("%s: no %s in the list:\n%s", when, addr, list)
	}
}

// TestBackendCommands: a change of a backend at run time holds once the command has
// returned. It is shown as such and survives the death of all workers and an upgrade.
// A reload leaves it alone, unless the file says something else by then; lb reload
// tells that.
func TestBackendCommands(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a").Addr(), demo(t, "127.0.0.1:0", "b").Addr()
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(a, b)})
		s.want("backend", "weight", "default", a, "4")
		s.wantShown("weight", a, "enabled", 4, true)
		s.wantShares("weight", 40, 10)
		s.want("backend", "drain", "default", b)
		s.wantShown("drain", b, "draining", 1, true)
		s.wantShares("drain", 20, 0)
		s.want("backend", "enable", "default", b)
		s.wantShown("enable", b, "enabled", 1, false)
		s.wantShares("enable", 40, 10)
		s.want("backend", "disable", "default", a)
		s.wantShown("disable", a, "disabled", 4, true)
		s.wantShares("disable", 0, 20)

		kept := func(when string) {
			t.Helper()
			s.wantShown(when, a, "disabled", 4, true)
			s.wantShares(when, 0, 10)
		}
		if mode == "mp" {
			for _, l := range s.status().serving() {
				s.killWorker(l.PID)
				s.successor(l.Slot, l.PID)
			}
			kept("all workers killed")
		}
		old := s.pid
		s.upgrade()
		s.wantExitOf(old, 0) // it may still accept
		kept("an upgrade")
		s.setup.keys = "watch = false\nvia = \"x\"\n"
		s.setup.backends = to(b, a)
		s.reload()
		kept("a reload that leaves it alone")
		s.want("backend", "enable", "default", a)
		s.want("backend", "weight", "default", a, "4")
		s.wantShares("enabled again", 40, 10)
		s.setup.backends = []backend{{addr: a, weight: 2}, {addr: b}}
		if out := s.reload(); strings.Count(out, a) < 2 || !strings.Contains(out, "run") {
			t.Errorf("a reload that overwrites a weight says %q, want it to say so", out)
		}
		s.wantShown("a reload that overwrites", a, "enabled", 2, false)
		s.wantShares("a reload that overwrites", 20, 10)

		s.want("backend", "weight", "default", a, "6")
		s.want("backend", "weight", "default", a, "2") // what the file says
		s.wantShown("the weight of the file", a, "enabled", 2, false)
	})
}

// Commands about something that does not exist are refused at once, with a reason.
func TestCommandsRefuse(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a := demo(t, "127.0.0.1:0", "a").Addr()
		s := begin(t, mode, setup{backends: to(a)})
		s.refuses([]string{"backend", "drain", "nowhere", a}, "nowhere")
		s.refuses([]string{"backend", "drain", "default", "127.0.0.1:1"}, "127.0.0.1:1")
		for _, args := range [][]string{
			{"backend", "weight", "default", a, "0x"}, {"backend", "weight", "default", a, "70000"}, {"backend", "weight", "default", a, "-1"},
			{"backend", "paint", "default", a}, {"reload", "--plam"},
		} {
			if got := s.lb(args...); got.code != 2 && got.code != 1 || got.err == "" {
				t.Errorf("lb %s: exit code %d with %q and %q, want it to be refused", strings.Join(args, " "), got.code, got.out, got.err)
			}
		}
		s.refuses([]string{"status", "--socket", s.file("nothing.sock")}, "nothing.sock")
		for _, args := range [][]string{{"status"}, {"status", "--json"}, {"backend", "list"}, {"reload"}} {
			got := s.lb(args...)
			if got.code != 0 || got.took > promptly && !raceOn {
				t.Errorf("lb %s: exit code %d and %q after %v, want 0 within a second", strings.Join(args, " "), got.code, got.err, got.took)
			}
		}
	})
}

// A drained backend finishes what it has, and sticky clients still reach it; they do
// not reach a disabled one.
func TestDrainAndDisable(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a").Addr(), demo(t, "127.0.0.1:0", "b").Addr()
		s := begin(t, mode, setup{keys: "sticky = \"at\"\n", backends: to(a, b)})
		c := dial(t, s.addr)
		cookie := ""
		for cookie == "" {
			resp, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x"))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("X-Backend") == "a" {
				cookie = resp.Cookies()[0].Value
			}
		}
		for _, step := range []struct{ action, by string }{{"drain", "a"}, {"disable", "b"}, {"enable", "a"}} {
			slow := dial(t, s.addr)
			slow.send(t, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")
			s.until("it to run", func(st status) bool { return st.Totals.Exchanges == 1 })
			s.want("backend", step.action, "default", a)
			for range 5 {
				resp, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x", "Cookie: at="+cookie))
				if err != nil || resp.Header.Get("X-Backend") != step.by {
					t.Errorf("%s: the cookie of a led to %v, %v, want %s", step.action, resp, err, step.by)
				}
			}
			slow.send(t, "of it")
			if resp, body := slow.answer(t); resp.StatusCode != 200 || body != "half of it" {
				t.Errorf("%s: what ran ended with %s and %q", step.action, resp.Status, body)
			}
		}
	})
}
