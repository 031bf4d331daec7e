package supervise

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/admin/api"
	"lb/config"
	"lb/internal/testkit"
)

// serveEnv marks a process in which the test binary is lb itself; its value is
// the configuration.
const serveEnv = "LB_TEST_SERVE"

// roles are what else a process of the test binary can be, by the variable of the
// environment that says so. One that is not returns.
var roles = map[string]func(value string){}

func TestMain(m *testing.M) {
	os.Setenv("STATE_DIRECTORY", "none")      // no cache of addresses
	os.Setenv("GORACE", "atexit_sleep_ms=10") // else every process built with -race takes a second to end
	if IsWorker() {
		os.Exit(Worker())
	}
	for env, role := range roles {
		if value := os.Getenv(env); value != "" {
			role(value)
		}
	}
	if text := os.Getenv(serveEnv); text != "" {
		os.Exit(serveAsProcess(text))
	}
	os.Exit(m.Run())
}

// serveAsProcess is main of a process that startLB starts: it prints where it
// serves.
func serveAsProcess(text string) (exitCode int) {
	os.Unsetenv(serveEnv)
	cfg := &config.Config{}
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	code, err := Serve(cfg, Options{Ready: func(l api.Listeners, _ net.Addr) { fmt.Println(l[0].Address) }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// inside is lb in the process of the test.
type inside struct {
	addr    string
	running Running
	control api.Control
	admin   *fakeAdmin
	signals chan os.Signal
	done    chan struct{} // closed when Serve has returned
	code    int
	err     error

	next atomic.Pointer[config.Config] // what a reload finds
}

// fakeAdmin is an operator's server that only records its calls.
type fakeAdmin struct {
	red       chan struct{} // closed when health turned red
	listenErr error
	serving   net.Listener
}

func (a *fakeAdmin) Listen(net.Addr) (net.Listener, error) {
	if a.listenErr != nil {
		return nil, a.listenErr
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func (a *fakeAdmin) Serve(l net.Listener) { a.serving = l }
func (a *fakeAdmin) SetDraining(bool)     { close(a.red) }

func (a *fakeAdmin) Unlisten() { a.serving.Close() }

func (a *fakeAdmin) Close(context.Context) error {
	if a.serving != nil {
		a.serving.Close()
	}
	return nil
}

// fakeRuntime is a server for commands that nobody can reach.
type fakeRuntime struct{}

func (fakeRuntime) Listen(path string) (*net.UnixListener, error) {
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}
func (fakeRuntime) Serve(net.Listener)          {}
func (fakeRuntime) Close(context.Context) error { return nil }

// begin calls Serve on a goroutine and returns when it serves or has returned.
// Serve is stopped with the test, if not before. A reload finds cfg, until next
// is set to another.
func begin(t *testing.T, cfg *config.Config, o Options) *inside {
	t.Helper()
	in := &inside{
		admin:   &fakeAdmin{red: make(chan struct{})},
		signals: make(chan os.Signal, 8),
		done:    make(chan struct{}),
	}
	in.next.Store(cfg)
	ready := make(chan string, 1)
	o.Signals = in.signals
	o.Ready = func(l api.Listeners, _ net.Addr) { ready <- l[0].Address }
	if o.Admin == nil {
		o.Admin = func(_ *config.Config, r Running) Admin { in.running = r; return in.admin }
	}
	if o.Runtime == nil {
		o.Runtime = func(c api.Control) Runtime { in.control = c; return fakeRuntime{} }
	}
	if o.Load == nil {
		o.Load = func() (*config.Config, error) { return in.next.Load(), nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	go func() {
		defer close(in.done)
		in.code, in.err = Serve(cfg, o)
	}()
	t.Cleanup(func() {
		select {
		case in.signals <- syscall.SIGQUIT:
		default: // it has ended, or more signals wait than it hears
		}
		testkit.Wait(t, in.done, "Serve to return")
	})
	select {
	case in.addr = <-ready:
	case <-in.done:
	case <-time.After(testkit.Patience):
		t.Fatal("neither ready nor refused")
	}
	return in
}

// serve is begin for what has to succeed.
func serve(t *testing.T, cfg *config.Config, o Options) *inside {
	t.Helper()
	in := begin(t, cfg, o)
	if in.addr == "" {
		t.Fatalf("Serve ended with code %d: %v", in.code, in.err)
	}
	return in
}

// wantExit waits for Serve to return code without an error.
func (in *inside) wantExit(t *testing.T, code int) {
	t.Helper()
	testkit.Wait(t, in.done, "Serve to return")
	if in.code != code || in.err != nil {
		t.Fatalf("Serve returned %d, %v; want %d and no error", in.code, in.err, code)
	}
}

// outside is lb in a process of its own, which leads a process group.
type outside struct {
	process *testkit.Process
	addr    string
}

func startLB(t *testing.T, cfg *config.Config) *outside {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serveEnv+"="+string(text))
	lb := &outside{process: testkit.Start(t, cmd)}
	testkit.Until(t, "lb to say where it serves", func() bool {
		line, _, whole := strings.Cut(lb.process.Out.String(), "\n")
		if !whole && testkit.IsClosed(lb.process.Exited) {
			t.Fatalf("lb did not begin: %s", lb.process.Log.String())
		}
		lb.addr = line
		return whole
	})
	return lb
}

func (lb *outside) pid() int { return lb.process.Process.Pid }

func (lb *outside) wantExit(t *testing.T, code int) {
	t.Helper()
	if got := lb.process.ExitCode(t); got != code {
		t.Fatalf("exit code %d, want %d; stderr:\n%s", got, code, lb.process.Log.String())
	}
}
