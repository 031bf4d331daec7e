package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// Standard error is a full pipe that is no longer read: requests, reloads, commands, health and
// the end go on.
func TestLogIsNotRead(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, backends: to(checked(t), testkit.RefusingAddr(t))})
		readOn := s.fillStream()
		for range 30 { // some find the backend that refuses, and its ejection is logged by the loop
			resp, _ := get(t, newClient(t), s.url("/1/100/length"))
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
		}
		for range 3 {
			s.reload()
		}
		if code := s.health(t); code != 200 {
			t.Errorf("health is %d", code)
		}
		s.kill(syscall.SIGTERM)
		testkit.Wait(t, s.Exited, "the end of lb")
		readOn()
		s.wantExit(0)
	})
}

// fillStream stops reading what lb writes, and fills the pipe.
func (s *service) fillStream() (readOn func()) {
	s.t.Helper()
	s.unread.Lock()
	readOn = sync.OnceFunc(s.unread.Unlock)
	s.t.Cleanup(readOn)
	unix.Write(s.stream, []byte("the last that is read\n")) // ends a read that waits
	s.untilTold(1, "the last that is read")
	for _, size := range []int{4096, 1} {
		for {
			if _, err := unix.Write(s.stream, []byte(strings.Repeat("x", size))); err != nil {
				break
			}
		}
	}
	return readOn
}

// Standard error is a pipe whose reader is gone: lb lives, and its exit code is that of its
// work.
func TestLogHasNoReader(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		dir, addr := t.TempDir(), testkit.FreePort(t)
		testkit.WriteFile(t, filepath.Join(dir, "lb.toml"), setup{backends: to(checked(t))}.text(mode, ""))
		cmd := exec.Command(lbExe, "serve", "--log-format", "text", "--port", addr[strings.LastIndexByte(addr, ':')+1:])
		cmd.Dir, cmd.Env, cmd.Stderr = dir, environment(dir), w
		p := &process{Process: testkit.Start(t, cmd), addr: addr}
		w.Close()
		testkit.Until(t, "lb to serve", func() bool { return !refused(addr) })
		r.Close()
		for range 3 {
			p.Signal(t, syscall.SIGHUP)
			resp, _ := get(t, newClient(t), p.url("/1/100/length"))
			if resp.Body.Close(); resp.StatusCode != 200 {
				t.Errorf("status %d", resp.StatusCode)
			}
		}
		p.stop(t)
	})
}

// The address of metrics moves on its port, and back.
func TestAdminMoves(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(checked(t))})
		_, port, _ := net.SplitHostPort(s.admin)
		for _, host := range []string{"0.0.0.0", "127.0.0.1", "", "127.0.0.1"} {
			s.admin = net.JoinHostPort(host, port)
			s.reload()
			s.admin = net.JoinHostPort("127.0.0.1", port)
			if code := s.health(t); code != 200 {
				t.Errorf("at %q: health is %d", host, code)
			}
		}
		s.upgrade()
		if code := s.health(t); code != 200 {
			t.Errorf("after an upgrade: health is %d", code)
		}
		s.stop()
	})
}
