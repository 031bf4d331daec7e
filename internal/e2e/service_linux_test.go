package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// service is an lb with all that its operator uses: a file that changes, commands and
// their socket, and upgrades. All files are in a directory of its own. The embedded
// process is the one that the test has started; processes that an upgrade starts stay in
// its group.
type service struct {
	*process
	t      *testing.T
	dir    string
	mode   string
	secure bool // clients speak TLS
	setup  setup
	port   string // in lb.toml
	exe    string // what is started, and what an upgrade starts
	limit  int    // of descriptors; 0: as it is
	env    []string
	given  []*os.File // listening sockets, as systemd gives them
	pid    int        // of the supervisor now
	exits  map[int]syscall.WaitStatus
	calls  *http.Client // to the socket for commands

	unread sync.Mutex // while it is locked, what lb writes is not read
	stream int        // the end of the pipe into which lb writes; it does not block
}

// patient begins to read only while the mutex is free.
type patient struct {
	io.Reader
	unread *sync.Mutex
}

func (p patient) Read(b []byte) (int, error) {
	p.unread.Lock()
	//lint:ignore SA2001 a read that waits must not hold it
	p.unread.Unlock()
	return p.Reader.Read(b)
}

// adopt makes this process the parent of the processes that lb leaves behind, so that it
// can wait for them.
var adopt = sync.OnceValue(func() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// newService returns a service that does not run yet.
func newService(t *testing.T, mode string, s setup) *service {
	t.Helper()
	if err := adopt(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "lb-") // a short path: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	mode, secure := listenerOf(mode)
	v := &service{t: t, dir: dir, mode: mode, secure: secure, setup: s, port: "0", exe: lbExe, exits: map[int]syscall.WaitStatus{}}
	v.calls = &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{
		DisableKeepAlives: true, // which would count as lb's descriptors
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", v.file("lb.sock"))
		},
	}}
	return v
}

// begin returns a service that serves. At the end of the test it is stopped, unless
// the test does that.
func begin(t *testing.T, mode string, s setup) *service {
	t.Helper()
	v := newService(t, mode, s)
	v.start()
	return v
}

// start returns when lb serves.
func (s *service) start() {
	s.t.Helper()
	s.launch()
	if s.addr = s.Serving(s.t); s.addr == "" {
		s.t.Fatal("lb did not begin")
	}
	noteListener(s.t, s.addr, s.secure)
}

func (s *service) launch() {
	s.t.Helper()
	s.process = &process{}
	if s.setup.admin {
		s.admin = testkit.FreePort(s.t)
	}
	s.write(s.text())
	// A pipe of ours, not exec's, whose end Exited would wait for: workers and upgrades hold it open.
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(s.exe, "serve", "--log-format", "text")
	if s.limit > 0 {
		cmd = exec.Command("/bin/sh", "-c", fmt.Sprintf("ulimit -n %d && exec %s serve --log-format text", s.limit, s.exe))
	} else if s.given != nil {
		cmd = exec.Command("/bin/sh", "-c", fmt.Sprintf("LISTEN_FDS=%d LISTEN_PID=$$ exec %s serve --log-format text", len(s.given), s.exe))
		cmd.ExtraFiles = s.given
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = s.dir, w, w, append(environment(s.dir), s.env...)
	p := s.process
	p.Process = testkit.Start(s.t, cmd)
	s.pid = cmd.Process.Pid
	copied := make(chan struct{})
	stream, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.stream = stream
	go func() {
		defer close(copied)
		io.Copy(&p.Log, patient{r, &s.unread})
		r.Close()
	}()
	s.t.Cleanup(func() { <-copied })
	s.t.Cleanup(func() { unix.Close(stream) }) // first: it keeps the pipe open
	s.t.Cleanup(func() { s.cleanUp(p) })
}

func (s *service) file(name string) string { return filepath.Join(s.dir, name) }

// text is lb.toml for the setup.
func (s *service) text() string {
	setup := s.setup
	if s.secure {
		setup = setup.withCert(s.t, s.dir)
	}
	text := strings.Replace(setup.text(s.mode, s.admin), "\nport = 0\n", "\nport = "+s.port+"\n", 1)
	return fmt.Sprintf("pid_file = %q\n%s", s.file("lb.pid"), text)
}

// write puts a new lb.toml in the place of the old one, in one step.
func (s *service) write(text string) {
	s.t.Helper()
	s.writeAs("lb.toml", text)
}

func (s *service) writeAs(name, text string) {
	s.t.Helper()
	testkit.SwapFile(s.t, s.file(name), text)
}

// said is the outcome of a command.
type said struct {
	out, err string
	code     int
	took     time.Duration
}

// lb runs a command of lb beside the service.
func (s *service) lb(args ...string) said {
	s.t.Helper()
	a, err := s.tryLB(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// tryLB is lb for any goroutine.
func (s *service) tryLB(args ...string) (said, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*testkit.Patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, lbExe, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = s.dir, &out, &errOut, environment(s.dir)
	begun := time.Now()
	err := cmd.Run()
	if _, exit := err.(*exec.ExitError); exit {
		err = ctx.Err()
	}
	return said{out.String(), errOut.String(), cmd.ProcessState.ExitCode(), time.Since(begun)}, err
}

// well reports whether the command has succeeded, and said nothing on standard error but that
// it has to wait, which it does on a busy machine.
func (a said) well() bool {
	return a.code == 0 && (a.err == "" || strings.HasPrefix(a.err, "lb: waiting for "))
}

// tooBusy is in lb's error about a loop that did not answer in time. On a busy machine a
// new worker may need longer than that to begin.
const tooBusy = "has not taken up configuration"

// want runs a command that has to succeed, and returns its output. It repeats a reload
// while loops are too busy for it.
func (s *service) want(args ...string) (out string) {
	s.t.Helper()
	var a said
	testkit.Until(s.t, "every loop to take it up", func() bool {
		a = s.lb(args...)
		out += a.out
		return a.code == 0 || !strings.Contains(a.err, tooBusy)
	})
	if !a.well() {
		s.t.Fatalf("lb %s: exit code %d, %q on standard error, want 0 and nothing", strings.Join(args, " "), a.code, a.err)
	}
	return out
}

// refuses runs a command that has to be refused, for a reason that contains all of parts.
func (s *service) refuses(args []string, parts ...string) {
	s.t.Helper()
	a := s.lb(args...)
	if a.code != 1 {
		s.t.Errorf("lb %s: exit code %d with %q and %q, want 1", strings.Join(args, " "), a.code, a.out, a.err)
	}
	for _, part := range parts {
		if !strings.Contains(a.err, part) {
			s.t.Errorf("lb %s: %q, want %q in it", strings.Join(args, " "), a.err, part)
		}
	}
}

// reload writes lb.toml for the setup and makes lb read it. It returns the output of lb
// reload.
func (s *service) reload() string {
	s.t.Helper()
	s.write(s.text())
	return s.want("reload")
}

// status is what the tests read of `lb status --json`.
type status struct {
	Version, Mode, Address, State string
	Listeners                     []struct{ Address, Role string }
	PID                           int
	UpgradeFault                  string `json:"upgrade_fault"`
	Troubles                      []string
	Discovery                     []struct {
		Source, Resolver  string
		Up                bool
		Backends, Changes int
	}
	Config struct {
		File     string
		Number   uint64
		Fault    string
		Watching bool
	}
	Totals struct{ Exchanges int }
	Loops  []loopStatus
	Pools  []struct {
		Name, Strategy string
		Backends       []backendStatus
	}
}

type loopStatus struct {
	Slot, PID, Restarts int
	Conns               int
	State               string
}

type backendStatus struct {
	Address          string
	Weight           int
	ConfiguredWeight int `json:"configured_weight"`
	Health           string
	Ejected          bool
	LeavingReason    string `json:"leaving_reason"`
	Admin            string
	Runtime          bool
	Attempts         uint64
}

// tryStatus returns what `lb status --json` prints, without starting a process. Any
// goroutine may call it.
func (s *service) tryStatus() (st status, err error) {
	resp, err := s.calls.Get("http://lb/v1/status")
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return st, fmt.Errorf("status: %s", resp.Status)
	}
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

func (s *service) status() status {
	s.t.Helper()
	st, err := s.tryStatus()
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// until waits for a status for which ok is true, and returns it.
func (s *service) until(what string, ok func(st status) bool) (st status) {
	s.t.Helper()
	testkit.Until(s.t, what, func() bool { st = s.status(); return ok(st) })
	return st
}

// serving returns the loops that serve.
func (st status) serving() (list []loopStatus) {
	for _, l := range st.Loops {
		if l.State == "serving" {
			list = append(list, l)
		}
	}
	return list
}

// backend returns the backend of a pool.
func (st status) backend(t *testing.T, pool, addr string) backendStatus {
	t.Helper()
	for _, p := range st.Pools {
		for _, b := range p.Backends {
			if p.Name == pool && b.Address == addr {
				return b
			}
		}
	}
	t.Fatalf("no backend %s in pool %s: %+v", addr, pool, st.Pools)
	return backendStatus{}
}

// reap collects the processes of p's group that have lost their parents and ended.
func (s *service) reap(p *process) {
	for _, z := range p.processes(s.t) {
		if !z.zombie || z.pid == p.Cmd.Process.Pid {
			continue
		}
		var ws syscall.WaitStatus
		if pid, err := syscall.Wait4(z.pid, &ws, syscall.WNOHANG, nil); err == nil && pid == z.pid {
			s.exits[pid] = ws
		}
	}
}

// alive reports whether the process is there, and not a zombie.
func (s *service) alive(pid int) bool {
	return slices.ContainsFunc(s.processes(s.t), func(p stat) bool { return p.pid == pid && !p.zombie })
}

// wantExitOf waits for a supervisor to end with code. If its parent, an older supervisor,
// has already waited for it, the code is not known and only its end is checked.
func (s *service) wantExitOf(pid, code int) {
	s.t.Helper()
	got := code
	if pid == s.Cmd.Process.Pid {
		got = s.ExitCode(s.t)
	} else {
		testkit.Until(s.t, fmt.Sprintf("process %d to end", pid), func() bool {
			s.reap(s.process)
			ws, over := s.exits[pid]
			if over {
				got = ws.ExitStatus()
			}
			return over || syscall.Kill(pid, 0) == syscall.ESRCH
		})
	}
	if got != code {
		s.t.Errorf("process %d ends with exit code %d, want %d", pid, got, code)
	}
}

// kill sends sig to the supervisor.
func (s *service) kill(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

// stop sends SIGTERM and checks that lb ends well.
func (s *service) stop() {
	s.t.Helper()
	s.kill(syscall.SIGTERM)
	s.wantExit(0)
}

// wantExit checks that the supervisor ends with code, that no process and no file of one
// is left, and that the log has no panic or data race.
func (s *service) wantExit(code int) {
	s.t.Helper()
	s.over = true
	s.wantExitOf(s.pid, code)
	s.wantGone()
	for _, name := range []string{"lb.pid", "lb.sock"} {
		if _, err := os.Lstat(s.file(name)); err == nil {
			s.t.Errorf("lb leaves its %s behind", name)
		}
	}
}

// wantGone waits until no process of lb is left.
func (s *service) wantGone() {
	s.t.Helper()
	testkit.Until(s.t, "all processes of lb to end", func() bool { s.reap(s.process); return s.GroupGone() })
	for _, bad := range []string{"msg=panic", "panic:", "DATA RACE"} {
		if strings.Contains(s.Log.String(), bad) {
			s.t.Errorf("lb tells of a %s", bad)
		}
	}
}

// cleanUp ends p and the processes that upgrades have put in its place.
func (s *service) cleanUp(p *process) {
	defer s.killGroup(p) // even if the stop fails
	if !s.t.Failed() && !p.over {
		s.stop()
	}
}

// killGroup kills whatever is left of p's group and waits until all of it is gone.
func (s *service) killGroup(p *process) {
	if !p.GroupGone() {
		syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.Exited
	testkit.Happens(func() bool {
		s.reap(p)
		return p.GroupGone()
	})
}

// pidFile returns the process number in the pid file, or 0.
func (s *service) pidFile() int {
	text, _ := os.ReadFile(s.file("lb.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// untilTold waits for n lines of the log that contain all parts. More are an error.
func (s *service) untilTold(n int, parts ...string) {
	s.t.Helper()
	testkit.Until(s.t, fmt.Sprintf("%d lines of the log with %q", n, parts), func() bool { return s.told(parts...) >= n })
	if got := s.told(parts...); got > n {
		s.t.Errorf("%d lines of the log with %q, want %d", got, parts, n)
	}
}

// promptly is how long a busy machine may take for something that takes an idle one a
// second or two.
const promptly = 10 * time.Second

// long reports whether LB_LONG asks for much longer tests.
func long() bool { return os.Getenv("LB_LONG") != "" }
