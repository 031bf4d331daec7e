package testkit

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// Redis is Debian's redis-server, at one address of loopback as long as the test runs.
type Redis struct {
	Addr    string
	path    string
	args    []string
	process *Process // or nil
}

// NewRedis starts redis-server with a password, or without one if it is empty. Without the
// program it skips the test, but with LB_CI set it fails.
func NewRedis(t testing.TB, password string) *Redis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("LB_CI") != "" {
			t.Fatal("redis-server is missing; .ci/run installs it")
		}
		t.Skip("redis-server is missing: apt-get install redis-server")
	}
	port := strconv.Itoa(HoldPort(t)) // held, so that no other test gets it while redis is away
	r := &Redis{Addr: net.JoinHostPort("127.0.0.1", port), path: path}
	r.args = []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", t.TempDir()}
	if password != "" {
		r.args = append(r.args, "--requirepass", password)
	}
	r.Start(t)
	return r
}

// Start starts it again, after Kill.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	r.process = Start(t, exec.Command(r.path, r.args...))
	Until(t, "redis-server to serve", func() bool {
		c, err := net.Dial("tcp", r.Addr)
		if err == nil {
			c.Close()
		}
		return err == nil || r.process.Ended()
	})
	if r.process.Ended() {
		t.Fatalf("redis-server: %s", r.process.Out.String())
	}
}

// Kill ends it at once. What it had is lost.
func (r *Redis) Kill(t testing.TB) {
	t.Helper()
	r.process.Signal(t, syscall.SIGKILL)
	Wait(t, r.process.Exited, "redis-server to end")
}
