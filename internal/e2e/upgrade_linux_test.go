package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// upgrade makes lb upgrade itself and waits until the new process serves.
func (s *service) upgrade(flags ...string) {
	s.t.Helper()
	old := s.pid
	out := s.want(append([]string{"upgrade"}, flags...)...)
	s.pid = s.status().PID
	if s.pid == old || !strings.Contains(out, fmt.Sprint(s.pid)) {
		s.t.Fatalf("lb upgrade says %q; process %d serves, before it was %d", out, s.pid, old)
	}
	if got := s.pidFile(); got != s.pid {
		s.t.Errorf("the pid file has %d, want %d", got, s.pid)
	}
}

// onlyGrows reports whether name is a counter of lb, or a part of a histogram.
func onlyGrows(name string) bool {
	base, _, _ := strings.Cut(name, "{")
	for _, suffix := range []string{"_total", "_bucket", "_count", "_sum"} {
		if strings.HasPrefix(base, "lb_") && strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return false
}

// monotone reads lb's counters again and again. The returned function ends that, and
// checks that none of them has fallen and that every scrape was answered.
func (s *service) monotone() (want func()) {
	s.t.Helper()
	admin, last := s.admin, map[string]float64{}
	w := gather(s.t, 1, func(_ int, stop <-chan struct{}) error {
		now, err := scrape(admin)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		for name, v := range now {
			if onlyGrows(name) && v < last[name] {
				return fmt.Errorf("%s fell from %v to %v", name, last[name], v)
			}
		}
		for name := range last {
			if _, there := now[name]; !there && onlyGrows(name) {
				return fmt.Errorf("%s is no longer shown", name)
			}
		}
		last = now
		pause(20*time.Millisecond, stop)
		return nil
	})
	return func() {
		s.t.Helper()
		w.leave()
		if w.done.Load() < 2 {
			s.t.Error("nobody has looked at the metrics")
		}
	}
}

// Upgrade after upgrade under load: no conn is refused or broken, totals go on, and each
// old process ends well. LB_LONG=1 does 10 of them.
func TestUpgradesUnderLoad(t *testing.T) {
	testkit.Long(t)
	eachListenerProcess(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, backends: to(checkedMany(t, 3)...)})
		w := s.send(8, 6)
		w.more(t, 200)
		want := s.monotone()
		upgrades := 4
		if long() {
			upgrades = 10
		}
		for n := range upgrades {
			old := s.pid
			if n%2 == 0 {
				s.upgrade()
			} else {
				s.kill(syscall.SIGUSR2)
				s.pid = s.until("another process to serve", func(st status) bool { return st.PID != old }).PID
				testkit.Until(t, "the pid file to follow", func() bool { return s.pidFile() == s.pid })
			}
			w.more(t, 200)
			s.wantExitOf(old, 0)
			if st := s.status(); st.State != "serving" || len(st.serving()) != 2 || st.Mode != s.mode {
				t.Errorf("upgrade %d: %+v", n, st)
			}
		}
		want()
		w.wantNone(t)
		s.wantCounted(w, 0)
		m := s.metrics(t)
		if m["lb_upgrades_total"] != float64(upgrades) || m["lb_loops"] != 2 {
			t.Errorf("%v upgrades and %v loops, want %d and 2", m["lb_upgrades_total"], m["lb_loops"], upgrades)
		}
		processes := map[string]int{"mt": 1, "mp": 3}[s.mode]
		testkit.Until(t, fmt.Sprintf("%d processes", processes), func() bool { s.reap(s.process); return len(s.processes(t)) == processes })
	})
}

// What lb knows of backends, and what was changed at run time, stays over an upgrade.
func TestUpgradeKeepsKnowledge(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s, sick, well := ejected(t, mode)
		before := s.metrics(t)
		number := s.status().Config.Number
		s.reload()
		s.setup.keys = "via = \"x\"\n"
		s.reload()
		old := s.pid
		s.upgrade()
		s.wantExitOf(old, 0) // it may still accept
		s.wantStillEjected(sick, well, before)
		if n := s.status().Config.Number; n <= number {
			t.Errorf("configuration %d behind the upgrade, and %d before it", n, number)
		}
	})
}

// A WebSocket lives on in the old process, which ends after it; the new process serves
// everything else.
func TestUpgradeLeavesWebSockets(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, backends: to(checked(t)), tables: wsRoute(echoes(t))})
		c := talk(t, s.addr)
		c.more(t, 3)
		old := s.pid
		s.upgrade()
		w := s.send(4, 2)
		w.more(t, 50)
		c.more(t, 3)
		if !s.alive(old) {
			t.Error("the old process has left, and the WebSocket lives")
		}
		s.setup.backends = to(checkedMany(t, 2)...) // only the new process reloads
		s.reload()
		w.more(t, 50)
		if n := s.metrics(t)["lb_tunnels"]; n != 1 {
			t.Errorf("%v tunnels are shown, want the one of the old process", n)
		}
		c.hangUp(t)
		s.wantExitOf(old, 0)
		w.wantNone(t)
	})
}

// An upgrade changes the mode, and no request is lost.
func TestUpgradeChangesMode(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		w := s.send(6, 4)
		w.more(t, 100)
		want := s.monotone()
		for range 2 {
			s.mode = map[string]string{"mt": "mp", "mp": "mt"}[s.mode]
			s.write(s.text())
			old := s.pid
			s.upgrade()
			w.more(t, 200)
			s.wantExitOf(old, 0)
			if st := s.status(); st.Mode != s.mode || len(st.serving()) != 2 {
				t.Errorf("after the upgrade: %+v, want mode %s", st, s.mode)
			}
		}
		want()
		w.wantNone(t)
		s.wantCounted(w, 0)
	})
}

// If an upgrade fails, for whatever reason, the old process goes on serving and says
// why. A later upgrade to a good binary succeeds.
func TestUpgradeFails(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		w := s.send(4, 3)
		w.more(t, 50)
		want := s.monotone()
		for _, tc := range []struct {
			name string
			text string
			mode os.FileMode
			says string
		}{
			{"missing", "", 0, "no such file"},
			{"not executable", "#!/bin/sh\n", 0o600, "permission denied"},
			{"no program", "\x00\x01\x02", 0o700, "exec format error"},
			{"exits", "#!/bin/sh\nexit 7\n", 0o700, "7"},
			{"ends well", "#!/bin/sh\nexit 0\n", 0o700, ""},
			{"is killed", "#!/bin/sh\nkill -9 $$\n", 0o700, "killed"},
		} {
			path := s.file(tc.name)
			if tc.mode != 0 {
				testkit.WriteFileMode(t, path, tc.text, tc.mode)
			}
			s.failUpgrade(path, tc.says)
			w.more(t, 20)
		}
		s.write(s.text() + "[timeouts]\nresponze = \"1s\"\n") // the new process refuses it
		s.failUpgrade(lbExe, "responze")
		s.write(s.text())
		if long() {
			s.failUpgrade(otherBoard(t), "board")
		}
		s.setup.backends[0].weight = 3
		s.reload() // commands are heard as before
		s.upgrade("--binary", lbExe)
		w.more(t, 50)
		want()
		w.wantNone(t)
		s.wantCounted(w, 0)
	})
}

// failUpgrade checks that an upgrade is refused with a text that contains says, and that
// it changes nothing.
func (s *service) failUpgrade(binary, says string) {
	s.t.Helper()
	before, told := s.status(), s.told("upgrade")
	s.refuses([]string{"upgrade", "--binary", binary}, says)
	st := s.status()
	if st.PID != before.PID || st.State != "serving" || len(st.serving()) != 2 || s.pidFile() != s.pid {
		s.t.Errorf("after an upgrade to %s: %+v", binary, st)
	}
	if !strings.Contains(st.UpgradeFault, says) || st.UpgradeFault == "" {
		s.t.Errorf("an upgrade to %s: status shows %q, want %q in it", binary, st.UpgradeFault, says)
	}
	testkit.Until(s.t, "the log to tell that an upgrade to "+binary+" failed", func() bool { return s.told("upgrade") > told })
	pids := []int{st.PID}
	for _, l := range st.Loops {
		pids = append(pids, l.PID)
	}
	testkit.Until(s.t, "what the upgrade began to end", func() bool {
		s.reap(s.process)
		return !slices.ContainsFunc(s.processes(s.t), func(p stat) bool { return !slices.Contains(pids, p.pid) })
	})
}

// otherBoard builds an lb whose board has another layout version.
func otherBoard(t *testing.T) (path string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	layout, err := os.ReadFile(filepath.Join(root, "board/layout.go"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other := strings.Replace(string(layout), "layoutVersion = ", "layoutVersion = 100 + ", 1)
	if other == string(layout) {
		t.Fatal("board/layout.go has no layoutVersion")
	}
	overlay := fmt.Sprintf("{\"Replace\": {%q: %q}}", filepath.Join(root, "board/layout.go"), filepath.Join(dir, "layout.go"))
	for name, text := range map[string]string{"layout.go": other, "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(dir, "lb")
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", path, "lb").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A new binary that hangs is given ten seconds, in which everything goes on and commands
// are answered; then it is killed, and the old process says why.
func TestUpgradeHangs(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		w := s.send(2, 2)
		path := s.file("hangs")
		testkit.WriteFileMode(t, path, "#!/bin/sh\nexec sleep 1000\n", 0o700)
		begun, failed := time.Now(), make(chan said, 1)
		go func() {
			a, err := s.tryLB("upgrade", "--binary", path)
			if err != nil {
				t.Error(err)
			}
			failed <- a
		}()
		s.until("the upgrade to begin", func(st status) bool { return st.State == "upgrading" })
		s.refuses([]string{"reload"}, "upgrade")
		s.refuses([]string{"upgrade"}, "upgrade")
		if out := s.want("status"); !strings.Contains(out, "upgrading") {
			t.Errorf("lb status says nothing of the upgrade:\n%s", out)
		}
		w.more(t, 50)
		a := testkit.Wait(t, failed, "the upgrade to fail")
		if took := time.Since(begun); a.code != 1 || !strings.Contains(a.err, "10") || took < 9*time.Second || took > 40*time.Second {
			t.Errorf("after %v: exit code %d and %q; want 1 and why, after 10s", took, a.code, a.err)
		}
		if st := s.status(); st.State != "serving" || st.PID != s.pid || st.UpgradeFault == "" {
			t.Errorf("after an upgrade that hangs: %+v", st)
		}
		s.reload()
		w.more(t, 50)
		w.wantNone(t)
	})
}

// lb stops on a signal while an upgrade hangs.
func TestStopDuringUpgrade(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{backends: to(checked(t))})
		path := s.file("hangs")
		testkit.WriteFileMode(t, path, "#!/bin/sh\nexec sleep 1000\n", 0o700)
		told := make(chan struct{})
		go func() { defer close(told); s.tryLB("upgrade", "--binary", path) }()
		s.until("the upgrade to begin", func(st status) bool { return st.State == "upgrading" })
		s.stop()
		if s.told("upgrade failed, this process goes on") > 0 {
			t.Error("it has waited for the upgrade")
		}
		testkit.Wait(t, told, "the one who asked for the upgrade to hear of its end")
	})
}

// An upgrade starts the binary at the path that lb was started from, even if that is
// another file now.
func TestUpgradeTakesNewFile(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{backends: to(checked(t))})
		s.exe = s.file("lb")
		place := func(text string) {
			t.Helper()
			os.Remove(s.exe)
			if text != "" {
				testkit.WriteFileMode(t, s.exe, text, 0o700)
			} else if err := os.Link(lbExe, s.exe); err != nil {
				t.Fatal(err)
			}
		}
		place("")
		s.start()
		place("#!/bin/sh\nexit 9\n")
		s.refuses([]string{"upgrade"}, "9")
		place("#!/bin/sh\necho through the new file >&2\nexec " + lbExe + " \"$@\"\n")
		s.upgrade()
		s.untilTold(1, "through the new file")
	})
}

// Signals and files after an upgrade: SIGTERM to the process in the pid file drains lb,
// and the port is free afterwards.
func TestUpgradedStops(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{backends: to(checked(t))})
		_, s.port, _ = net.SplitHostPort(testkit.FreePort(t))
		s.start()
		first := s.pid
		s.upgrade()
		s.wantExitOf(first, 0)
		s.stop()
		ln, err := net.Listen("tcp", s.addr)
		if err != nil {
			t.Fatalf("something holds the port: %v", err)
		}
		ln.Close()
	})
}
