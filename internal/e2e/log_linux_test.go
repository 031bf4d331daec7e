package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// TestLogFormats: without a terminal the log is JSON, with priorities for journald, from every
// process. lb log-level reaches all of them, and a reload gives back the level of the file.
func TestLogFormats(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		set := setup{backends: to(plainBackend(t))}.withCert(t, dir)
		testkit.WriteFile(t, filepath.Join(dir, "lb.toml"), set.text(mode, ""))
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		info, _ := log.Stat()
		stat := info.Sys().(*syscall.Stat_t)
		cmd := exec.Command(lbExe, "serve")
		cmd.Dir, cmd.Stderr = dir, log
		cmd.Env = append(environment(dir), fmt.Sprintf("JOURNAL_STREAM=%d:%d", uint64(stat.Dev), uint64(stat.Ino)))
		p := &process{Process: testkit.Start(t, cmd)}
		text := func() string { b, _ := os.ReadFile(log.Name()); return string(b) }
		serving := regexp.MustCompile(`(?m)^<6>{"time":"[^"]+","level":"INFO","msg":"serving","address":"([^"]+)"`)
		testkit.Until(t, "lb to serve", func() bool { return serving.MatchString(text()) || p.Ended() })
		p.addr = serving.FindStringSubmatch(text())[1]
		level := func(args ...string) string {
			cmd := exec.Command(lbExe, append([]string{"log-level"}, args...)...)
			cmd.Dir, cmd.Env = dir, environment(dir)
			out, _ := cmd.CombinedOutput()
			return string(out)
		}
		failed := func() int { return strings.Count(text(), `"level":"DEBUG","msg":"handshake failed"`) }
		broken := func() { // a handshake
			c := dial(t, p.addr)
			fmt.Fprintf(c, "\x16\x03\x01\x00\x05hello")
			io.Copy(io.Discard, c)
			c.Close()
		}
		broken()
		if got := level(); got != "info\n" {
			t.Errorf("the level is %q", got)
		}
		if got := level("debug"); got != "debug\n" {
			t.Errorf("the level is %q", got)
		}
		testkit.Until(t, "a line of a loop at the new level", func() bool { broken(); return failed() > 0 })
		if mode == "mp" && !regexp.MustCompile(`(?m)^<7>{.*"handshake failed","worker":`).MatchString(text()) {
			t.Errorf("the log has\n%s", text())
		}
		if got := level("loud"); !strings.Contains(got, "there are debug, info, warn, error") {
			t.Errorf("lb says %q", got)
		}
		cmd = exec.Command(lbExe, "reload")
		cmd.Dir, cmd.Env = dir, environment(dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s, %v", out, err)
		}
		if got := level(); got != "info\n" {
			t.Errorf("after a reload the level is %q", got)
		}
		p.stop(t)
		testkit.Until(t, "the end", p.Ended)
		for line := range strings.Lines(text()) {
			if len(line) < 4 || !json.Valid([]byte(line[3:])) {
				t.Errorf("a line is %q", line)
			}
		}
	})
}
