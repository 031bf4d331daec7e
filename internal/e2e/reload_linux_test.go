package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// drawn returns some of the addresses in random order, with random weights.
func drawn(addrs []string) (list []backend) {
	addrs = slices.Clone(addrs)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	for _, a := range addrs[:2+rand.IntN(len(addrs)-1)] {
		list = append(list, backend{addr: a, weight: 1 + rand.IntN(5)})
	}
	return list
}

// reloadMemoryMax is how many bytes lb may grow by in 100 reloads: garbage that Go has
// not collected yet, but not the configuration of each.
const reloadMemoryMax = 12 << 20

// Reload after reload adds, removes and reweights backends, and at times a pool and a
// route. No request is lost or answered wrongly, a WebSocket lives through all of them,
// the processes stay the same, and nothing piles up. LB_LONG=1 does 100 in 10 s.
func TestReloadsUnderLoad(t *testing.T) {
	testkit.Long(t)
	eachListenerProcess(t, func(t *testing.T, mode string) {
		addrs, ws := checkedMany(t, 6), echoes(t)
		s := begin(t, mode, setup{workers: 2, admin: true, backends: to(addrs...), tables: wsRoute(ws) + keepNothing})
		quiet := s.setup
		for range 10 { // lb has made now what it makes only once
			s.setup.backends = drawn(addrs)
			s.reload()
		}
		warm := s.send(8, 4)
		warm.more(t, 500)
		warm.wantNone(t)
		s.setup = quiet
		s.reload()
		before, memory := s.atRest(t), s.memory(t)

		c := talk(t, s.addr)
		c.more(t, 3)
		w := s.send(8, 4)
		w.more(t, 50)
		rounds := 25
		if long() {
			rounds = 100
		}
		number, next := s.status().Config.Number, time.NewTicker(100*time.Millisecond)
		defer next.Stop()
		begun, hangups := time.Now(), 0
		for n := range rounds {
			s.setup.backends = drawn(addrs)
			s.setup.tables = keepNothing
			if n%4 != 3 {
				s.setup.tables = wsRoute(ws) + keepNothing
			}
			if n%5 == 4 {
				s.write(s.text())
				s.kill(syscall.SIGHUP)
				hangups++
				s.until("the signal to be heard", func(st status) bool { return s.applied(st) })
			} else {
				s.reload()
			}
			testkit.Wait(t, next.C, "the next reload")
		}
		took := time.Since(begun)
		if st := s.status(); !s.applied(st) || st.Config.Number < number+uint64(rounds)/2 {
			t.Errorf("after %d reloads: configuration %d, before it was %d; backends %+v", rounds, st.Config.Number, number, st.Pools)
		}
		w.more(t, 100)
		w.wantNone(t)
		c.hangUp(t)
		s.setup = quiet
		s.reload()
		s.wantCounted(warm.with(w), 1) // the WebSocket
		s.wantTrace(t, before)
		grown := s.memory(t) - memory
		t.Logf("%d reloads in %v, %d by SIGHUP; memory grew by %d KiB", rounds, took, hangups, grown>>10)
		if grown > reloadMemoryMax && !raceOn {
			t.Errorf("memory grew by %d bytes, want %d at most", grown, reloadMemoryMax)
		}
	})
}

// with returns the sum of w and other.
func (w *traffic) with(other *traffic) *traffic {
	sum := &traffic{}
	sum.whole.Store(w.whole.Load() + other.whole.Load())
	return sum
}

// applied reports whether lb has the backends of the setup, with their weights.
func (s *service) applied(st status) bool {
	if len(st.Pools) == 0 || len(st.Pools[0].Backends) != len(s.setup.backends) {
		return false
	}
	for i, b := range s.setup.backends {
		if got := st.Pools[0].Backends[i]; got.Address != b.addr || got.ConfiguredWeight != max(1, b.weight) {
			return false
		}
	}
	return true
}

// The ways of TestFileChanges use these to put files and links below s.dir.

func (s *service) overwrite(name, text string) {
	s.t.Helper()
	testkit.WriteFile(s.t, s.file(name), text)
}

// link makes name a symbolic link to to, in one step.
func (s *service) link(to, name string) {
	s.t.Helper()
	os.Remove(s.file("link"))
	if err := os.Symlink(to, s.file("link")); err != nil {
		s.t.Fatal(err)
	}
	testkit.Rename(s.t, s.file("link"), s.file(name))
}

func (s *service) mkdir(name string) {
	s.t.Helper()
	if err := os.Mkdir(s.file(name), 0o700); err != nil {
		s.t.Fatal(err)
	}
}

// swap makes ..data a link to the new directory at, in which lb.toml has text, and
// removes the directory before, if there is one: as a ConfigMap is changed.
func (s *service) swap(before, at, text string) {
	s.t.Helper()
	s.mkdir(at)
	s.overwrite(at+"/lb.toml", text)
	s.link(at, "..data")
	if before != "" {
		os.RemoveAll(s.file(before))
	}
}

// fileWays are the ways in which a file is changed, in the order of TestFileChanges.
var fileWays = []struct {
	name   string
	change func(s *service, text string)
}{
	{"rename", (*service).write},
	{"truncate and write", func(s *service, text string) {
		s.overwrite("lb.toml", "")
		f, err := os.OpenFile(s.file("lb.toml"), os.O_WRONLY, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		half := strings.LastIndex(text, "\"") // within quotes: lb refuses this half, should it read it
		f.WriteString(text[:half])
		pause(30*time.Millisecond, nil) // as a slow editor does
		f.WriteString(text[half:])
	}},
	{"backup and write", func(s *service, text string) {
		testkit.Rename(s.t, s.file("lb.toml"), s.file("lb.toml~"))
		s.overwrite("lb.toml", text)
	}},
	{"remove and write", func(s *service, text string) {
		os.Remove(s.file("lb.toml"))
		s.overwrite("lb.toml", text)
	}},
	{"a symlink in its place", func(s *service, text string) { // as a ConfigMap has it: lb.toml -> ..data/lb.toml, ..data -> ..1
		s.swap("", "..1", text)
		s.link("..data/lb.toml", "lb.toml")
	}},
	{"a swap of what it leads to", func(s *service, text string) { s.swap("..1", "..2", text) }},
	{"another swap", func(s *service, text string) { s.swap("..2", "..3", text) }},
	{"a write to where it leads", func(s *service, text string) { s.overwrite("..3/lb.toml", text) }},
}

// TestFileChanges: a change of the file is a reload, however it is made, and while
// requests run.
func TestFileChanges(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		addrs := checkedMany(t, 3)
		s := newService(t, mode, setup{backends: to(addrs...)})
		s.start()
		w := s.send(4, 2)
		w.more(t, 20)
		for _, way := range fileWays {
			for s.applied(s.status()) {
				s.setup.backends = drawn(addrs)
			}
			way.change(s, s.text())
			s.until(way.name+" to be seen", s.applied)
		}
		st := s.status()
		if !st.Config.Watching || st.Config.Fault != "" || st.Config.Number != 9 {
			t.Errorf("after 8 changes of the file: %+v, want configuration 9", st.Config)
		}

		s.setup.keys = "watch = false\n"
		s.reload()
		if s.status().Config.Watching {
			t.Error("watch = false, and the file is watched")
		}
		s.setup.backends = to(addrs[0])
		s.write(s.text())
		pause(time.Second, nil) // nothing is to come of it, for as long
		if s.applied(s.status()) {
			t.Error("watch = false, and a change of the file was a reload")
		}
		s.want("reload")
		if !s.applied(s.status()) {
			t.Error("watch = false, and lb reload did nothing")
		}
		w.wantNone(t)
	})
}

// A broken file changes nothing. lb says what is wrong and where: in the answer to the
// command, in the log, and in its status.
func TestBrokenFile(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		addrs := checkedMany(t, 2)
		s := begin(t, mode, setup{keys: "watch = false\n", backends: to(addrs...), admin: true}) // else it may be read, and reported, twice
		w := s.send(4, 2)
		w.more(t, 20)
		good := s.text()
		lineOf := func(text, part string) int { return 1 + strings.Count(text[:strings.Index(text, part)], "\n") }
		for _, tc := range []struct {
			what, text string
			line       int
			parts      []string // of the message
		}{
			{"syntax", good + "[timeouts\n", 1 + strings.Count(good, "\n"), nil},
			{"unknown key", good + "[timeouts]\nresponze = \"1s\"\n", 2 + strings.Count(good, "\n"), []string{"responze", "response"}},
			{"wrong type", strings.Replace(good, "workers = 2", "workers = \"two\"", 1), lineOf(good, "workers = 2"), []string{"workers"}},
			{"bad port", strings.Replace(good, "port = 0", "port = 70000", 1), lineOf(good, "port = 0"), []string{"port", "70000"}},
			{"unknown pool", good + "[[routes]]\npath = \"/\"\npool = \"nowhere\"\n", 3 + strings.Count(good, "\n"), []string{"pool", "nowhere"}},
		} {
			before := s.status()
			s.write(tc.text)
			at := fmt.Sprintf("lb.toml:%d", tc.line)
			s.refuses([]string{"reload"}, append(tc.parts, at)...)
			st := s.until("the fault to be shown", func(st status) bool { return strings.Contains(st.Config.Fault, at) })
			for _, part := range tc.parts {
				if !strings.Contains(st.Config.Fault, part) {
					t.Errorf("%s: status shows %q, want %q in it", tc.what, st.Config.Fault, part)
				}
			}
			if out := s.lb("status"); out.code != 0 || !strings.Contains(out.out, at) {
				t.Errorf("%s: lb status ends with %d, %q and %q; want the fault to be shown", tc.what, out.code, out.out, out.err)
			}
			s.untilTold(1, append(tc.parts, "lb.toml", fmt.Sprintf("line=%d", tc.line))...)
			if st.Config.Number != before.Config.Number || st.PID != before.PID || !s.applied(st) {
				t.Errorf("%s: %+v became %+v", tc.what, before, st)
			}
			s.refuses([]string{"reload", "--plan"}, append(tc.parts, at)...)
			w.more(t, 50)
		}
		s.write(good)
		s.want("reload")
		if st := s.status(); st.Config.Fault != "" {
			t.Errorf("with the good file again, status shows %q", st.Config.Fault)
		}
		w.wantNone(t)
		if m := s.metrics(t); m["lb_reload_faults_total"] < 5 {
			t.Errorf("%v refused reloads are counted, want 5 at least", m["lb_reload_faults_total"])
		}
	})
}

// lb reload prints what lb reload --plan has printed before, a line for each backend and
// each route. The plan changes nothing.
func TestPlan(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b, c := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b"), demo(t, "127.0.0.1:0", "c")
		s := begin(t, mode, setup{keys: "watch = false\n", backends: to(a.Addr(), b.Addr())})
		if out := s.want("reload"); !strings.Contains(out, "nothing changed") {
			t.Errorf("the same file: %q, want nothing changed", out)
		}
		before := s.status()
		s.setup.backends = []backend{{addr: b.Addr(), weight: 3}, {addr: c.Addr()}}
		s.setup.tables = wsRoute(a.Addr()) + "[timeouts]\nconnect = \"5s\"\n"
		s.write(s.text())
		plan := s.want("reload", "--plan")
		for _, line := range []string{
			regexp.QuoteMeta(a.Addr()) + `.* removed`,
			regexp.QuoteMeta(b.Addr()) + `.*weight 1 -> 3`,
			regexp.QuoteMeta(c.Addr()) + `.* added`,
			`pool ws.* added`, `route .*/ws.* added`, `timeouts\.connect: 3s -> 5s`,
		} {
			if !regexp.MustCompile(`(?m)^.*` + line).MatchString(plan) {
				t.Errorf("the plan has no line with %s:\n%s", line, plan)
			}
		}
		st := s.status()
		if st.Config.Number != before.Config.Number || len(st.Pools) != 1 || st.Pools[0].Backends[0].Address != a.Addr() {
			t.Errorf("the plan has changed %+v to %+v", before, st)
		}
		client := dial(t, s.addr)
		if got := client.answeredBy(t, 40); got["a"] != 20 || got["b"] != 20 {
			t.Errorf("after a plan: answered by %v, want half by each of those from before", got)
		}
		done := s.want("reload")
		inPlan := strings.Split(strings.TrimSpace(plan), "\n")
		for line := range strings.Lines(done) {
			if line = strings.TrimSpace(line); strings.Contains(line, "->") || strings.HasSuffix(line, "removed") {
				if !slices.ContainsFunc(inPlan, func(p string) bool { return strings.TrimSpace(p) == line }) {
					t.Errorf("lb reload says %q, which was not planned:\n%s", line, plan)
				}
			}
		}
		if got := client.answeredBy(t, 40); got["b"] < 28 || got["c"] < 8 || got["a"] > 0 {
			t.Errorf("after the reload: answered by %v, want 30 by b and 10 by c", got)
		}
	})
}
