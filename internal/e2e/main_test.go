package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"lb/internal/pebble"
	"lb/internal/testkit"
)

// lbExe is the path of the binary. raceOn reports whether it and the tests are built
// with the race detector.
var (
	lbExe  string
	raceOn bool
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) (exitCode int) {
	dir, err := os.MkdirTemp("", "lb-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		defer pebble.Remove()
		lbExe = filepath.Join(dir, "lb")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds lbExe with the flags that the tests were built with.
func build() error {
	args := []string{"build", "-o", lbExe}
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		switch {
		case s.Key == "-race" && s.Value == "true":
			raceOn = true
			args = append(args, "-race")
		case s.Key == "-tags":
			args = append(args, "-tags", s.Value)
		}
	}
	if err := lookAtSources("../.."); err != nil {
		return err
	}
	out, err := exec.Command("go", append(args, "lb")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// lookAtSources lists the directories of the module; doc.go says why.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

// eachMode runs f in mt and in mp, in parallel with other tests.
func eachMode(t *testing.T, f func(t *testing.T, mode string)) {
	t.Parallel()
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

// eachModeAlone is eachMode for tests that measure, or need most of the machine: they
// run one after the other, with no other test beside them.
func eachModeAlone(t *testing.T, f func(t *testing.T, mode string)) {
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) { f(t, mode) })
	}
}

// bytesOnly skips a long test under the race detector. It is for tests of what one client
// or one backend gets, byte for byte, or of counts and memory: while they run there is no
// reload, command, upgrade, check, certificate, drain or death, and what loops share
// meanwhile, tests that stay under the detector share as well, in less time.
func bytesOnly(t *testing.T) {
	t.Helper()
	if raceOn {
		t.Skip("takes long, and shows the same without the race detector")
	}
}

// backend is one of [[backends]].
type backend struct {
	addr   string // host:port, [v6]:port or unix:/path
	weight int    // 0: not given
	keys   string // more lines of its table
}

// to returns backends without a weight.
func to(addrs ...string) (list []backend) {
	for _, a := range addrs {
		list = append(list, backend{addr: a})
	}
	return list
}

// setup is the content of lb.toml for a test.
type setup struct {
	host      string   // "": 127.0.0.1
	listeners []string // addresses of [[listeners]], in the place of host; more lines may follow each
	workers   int      // 0: two
	keys      string   // more lines at the top
	backends  []backend
	tables    string // such as [timeouts] and [limits]
	admin     bool   // on a free port
}

// text returns the lb.toml. admin is the operator's address, or "" for none.
func (s setup) text(mode, admin string) string {
	var b strings.Builder
	host := s.host
	if host == "" {
		host = "127.0.0.1"
	}
	workers := s.workers
	if workers == 0 {
		workers = 2
	}
	fmt.Fprintf(&b, "mode = %q\nworkers = %d\n", mode, workers)
	if len(s.listeners) == 0 {
		fmt.Fprintf(&b, "host = %q\nport = 0\n", host)
	}
	fmt.Fprintf(&b, "admin.address = %q\n%s", admin, s.keys)
	for _, l := range s.listeners {
		address, more, _ := strings.Cut(l, "\n")
		fmt.Fprintf(&b, "[[listeners]]\naddress = %q\n%s\n", address, more)
	}
	for _, be := range s.backends {
		b.WriteString("[[backends]]\n")
		if path, ok := strings.CutPrefix(be.addr, "unix:"); ok {
			fmt.Fprintf(&b, "socket = %q\n", path)
		} else {
			host, port, _ := net.SplitHostPort(be.addr)
			fmt.Fprintf(&b, "host = %q\nport = %s\n", host, port)
		}
		if be.weight > 0 {
			fmt.Fprintf(&b, "weight = %d\n", be.weight)
		}
		b.WriteString(be.keys)
	}
	return b.String() + s.tables
}

// process is an lb that runs.
type process struct {
	*testkit.Process
	addr  string // host:port where it serves
	admin string // host:port for the operator, "" without
	over  bool   // the test has ended it
}

// start runs lb with s and returns when it serves. At the end of the test it is
// stopped, unless the test does that: see stop.
func start(t *testing.T, mode string, s setup) *process {
	t.Helper()
	p := &process{}
	if s.admin {
		p.admin = testkit.FreePort(t)
	}
	dir := t.TempDir()
	mode, secure := listenerOf(mode)
	if secure {
		s = s.withCert(t, dir)
	}
	testkit.WriteFile(t, filepath.Join(dir, "lb.toml"), s.text(mode, p.admin))
	cmd := exec.Command(lbExe, "serve", "--log-format", "text")
	cmd.Dir, cmd.Env = dir, environment(dir)
	p.Process = testkit.Start(t, cmd)
	t.Cleanup(func() { p.cleanUp(t) })
	if p.addr = p.Serving(t); p.addr == "" {
		t.Fatal("lb did not begin")
	}
	noteListener(t, p.addr, secure)
	return p
}

// environment is that of lb and its commands, with the socket for commands in dir.
func environment(dir string) []string {
	return append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "STATE_DIRECTORY="+dir,
		"GORACE=atexit_sleep_ms=0") // else each exit takes a second under -race
}

func (p *process) url(path string) string { return scheme(p.addr) + "://" + p.addr + path }

func (p *process) cleanUp(t *testing.T) {
	if !t.Failed() && !p.over {
		p.stop(t)
	}
}

// stop sends SIGTERM and checks that lb ends well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	p.wantExit(t, 0)
}

// wantExit checks that p ends with code, that no process is left, and that the log has
// no panic or data race.
func (p *process) wantExit(t *testing.T, code int) {
	t.Helper()
	p.over = true
	if got := p.ExitCode(t); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	testkit.Until(t, "all processes of lb to end", p.GroupGone)
	for _, bad := range []string{"msg=panic", "panic:", "DATA RACE"} {
		if strings.Contains(p.Log.String(), bad) {
			t.Errorf("lb tells of a %s", bad)
		}
	}
}
