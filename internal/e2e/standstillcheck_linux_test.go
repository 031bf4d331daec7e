package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// lb is stopped while a check waits for its answer, until after the deadline: the check
// does not count, and the next ones find the backend up.
func TestCheckDuringStandstill(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		asked, answer := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		var checks atomic.Int64
		addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/up" {
				return
			}
			if checks.Add(1) > 1 && first.CompareAndSwap(false, true) {
				close(asked)
				<-answer
			}
		})
		const timeout = 3 * time.Second // longer than a check takes on a busy machine
		s := begin(t, mode, setup{admin: true, backends: to(addr), tables: fmt.Sprintf(
			"[health]\npath = \"/up\"\ninterval = \"50ms\"\ntimeout = %q\nfall = 1\n", timeout)})
		testkit.Wait(t, asked, "a check")
		pid := s.pid
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		testkit.Until(t, "lb to stand still", func() bool { return stopped(pid) })
		close(answer)
		pause(timeout+timeout/2, nil) // what it is about: the deadline of the check passes, while lb can show nothing
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		before := checks.Load()
		testkit.Until(t, "more checks", func() bool { return checks.Load() > before+2 })
		if log := s.Log.String(); strings.Contains(log, "backend is down") {
			t.Error("the backend is blamed")
		}
		s.stop()
	})
}

// Without /proc, as in a bare chroot, lb serves, and workers that die are replaced.
func TestNoProc(t *testing.T) {
	probe := exec.Command("unshare", "--mount", "sh", "-c", "umount -l /proc")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("/proc cannot be unmounted here, which needs root: %v, %s", err, out)
	}
	eachMode(t, func(t *testing.T, mode string) {
		dir := t.TempDir()
		addr := testkit.FreePort(t)
		testkit.WriteFile(t, filepath.Join(dir, "lb.toml"), setup{backends: to(checked(t))}.text(mode, ""))
		cmd := exec.Command("unshare", "--mount", "sh", "-c", `umount -l /proc && exec "$0" "$@"`,
			lbExe, "serve", "--log-format", "text", "--port", addr[strings.LastIndexByte(addr, ':')+1:])
		cmd.Dir, cmd.Env = dir, environment(dir)
		p := &process{Process: testkit.Start(t, cmd)}
		p.addr = p.Serving(t)
		t.Cleanup(func() { p.cleanUp(t) })
		if mode == "mp" {
			if err := syscall.Kill(p.workers(t)[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testkit.Until(t, "a successor", func() bool { return strings.Contains(p.Log.String(), "worker started") })
		}
		resp, _ := get(t, newClient(t), p.url("/1/100/length"))
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}
