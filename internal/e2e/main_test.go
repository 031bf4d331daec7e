package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come: it matters only when a
// test fails, and a busy machine takes its time.
const patience = time.Minute

// lbExe is the binary, and raceOn whether it and the tests have the race detector.
var (
	lbExe  string
	raceOn bool
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) (exitCode int) {
	dir, err := os.MkdirTemp("", "lb-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		lbExe = filepath.Join(dir, "lb")
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes lbExe as the tests were made.
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

// eachMode runs f in mt and in mp, beside other tests.
func eachMode(t *testing.T, f func(t *testing.T, mode string)) {
	t.Parallel()
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f(t, mode)
		})
	}
}

// eachModeAlone is eachMode for what measures or needs most of the machine: one
// after the other, with no test beside it.
func eachModeAlone(t *testing.T, f func(t *testing.T, mode string)) {
	for _, mode := range []string{"mt", "mp"} {
		t.Run(mode, func(t *testing.T) { f(t, mode) })
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

// setup is what a test wants in lb.toml.
type setup struct {
	host     string // "": 127.0.0.1
	workers  int    // 0: two
	keys     string // more lines at the top
	backends []backend
	tables   string // such as [timeouts] and [limits]
	admin    bool   // on a free port
}

// text returns the lb.toml; admin is an address or empty.
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
	fmt.Fprintf(&b, "mode = %q\nworkers = %d\nhost = %q\nport = 0\nadmin.address = %q\n%s", mode, workers, host, admin, s.keys)
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

// process is an lb at work. It leads a process group, to which its workers belong.
type process struct {
	addr   string // host:port where it serves
	admin  string // host:port for the operator, "" without
	cmd    *exec.Cmd
	log    *logged
	exited chan struct{}
	over   bool // the test has seen to its end
}

// logged is the standard error of a process.
type logged struct {
	mu      sync.Mutex
	text    []byte
	serving chan string // the address, once there is one
}

var servingLine = regexp.MustCompile(`msg=serving address=(\S+)`)

// Write implements io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := servingLine.Match(l.text)
	l.text = append(l.text, b...)
	if m := servingLine.FindSubmatch(l.text); m != nil && !before {
		l.serving <- string(m[1])
	}
	return len(b), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// start runs lb with s and returns when it serves. At the end of the test it is
// stopped, unless the test does that: see stop.
func start(t *testing.T, mode string, s setup) *process {
	t.Helper()
	for range 3 { // where ports cannot be kept, somebody may take the operator's before lb does
		p := launch(t, mode, s)
		select {
		case p.addr = <-p.log.serving:
			return p
		case <-p.exited:
			p.over = true
			if !strings.Contains(p.log.String(), "admin: cannot listen") {
				t.Fatalf("lb did not begin: %s", p.log)
			}
		case <-time.After(patience):
			t.Fatal("lb does not say where it serves")
		}
	}
	t.Fatal("no port for the operator")
	return nil
}

func launch(t *testing.T, mode string, s setup) *process {
	t.Helper()
	p := &process{log: &logged{serving: make(chan string, 1)}, exited: make(chan struct{})}
	if s.admin {
		p.admin = freePort(t)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lb.toml"), []byte(s.text(mode, p.admin)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(lbExe, "serve")
	p.cmd.Dir, p.cmd.Stderr = dir, p.log
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", // else each exit takes a second under -race
		"XDG_RUNTIME_DIR="+dir) // where the socket for commands is
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
	}()
	t.Cleanup(func() { p.cleanUp(t) })
	return p
}

func (p *process) url(path string) string { return "http://" + p.addr + path }

// groupGone reports whether no process of the group is left, not even a zombie.
func (p *process) groupGone() bool { return syscall.Kill(-p.cmd.Process.Pid, 0) == syscall.ESRCH }

func (p *process) cleanUp(t *testing.T) {
	if !t.Failed() && !p.over {
		p.stop(t)
	}
	if t.Failed() {
		t.Logf("standard error of lb:\n%s", p.log)
	}
	if !p.groupGone() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.exited
}

// stop sends SIGTERM and wants all to end well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.wantExit(t, 0)
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// wantExit waits for p to end with code. No process may be left, and no panic or
// data race may have been told of.
func (p *process) wantExit(t *testing.T, code int) {
	t.Helper()
	p.over = true
	wait(t, p.exited, "lb to end")
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	until(t, "all processes of lb to end", p.groupGone)
	for _, bad := range []string{"msg=panic", "panic:", "DATA RACE"} {
		if strings.Contains(p.log.String(), bad) {
			t.Errorf("lb tells of a %s", bad)
		}
	}
}

// wait waits for c, and fails the test when that takes too long.
func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}

// until waits for ok to be true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !happens(ok) {
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// happens waits for ok to be true; false when that takes too long.
func happens(ok func() bool) bool {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			return false
		}
	}
	return true
}
