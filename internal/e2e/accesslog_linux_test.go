package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// logged is the part of setup.tables that turns the access log on.
func logged(path string) string { return fmt.Sprintf("[access_log]\npath = %q\n", path) }

// plainBackend answers everything with 200.
func plainBackend(t *testing.T) (addr string) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(b.Close)
	return b.Listener.Addr().String()
}

// numbered is a crowd whose every request has a path of its own.
type numbered struct {
	*crowd
	mu       sync.Mutex
	answered map[string]bool // by path
	unsure   map[string]bool // no answer came
}

// ask has n clients send requests.
func (s *service) ask(n int) *numbered {
	w := &numbered{answered: map[string]bool{}, unsure: map[string]bool{}}
	client := newClient(s.t)
	var last atomic.Int64
	w.crowd = gather(s.t, n, func(int, <-chan struct{}) error {
		path := fmt.Sprintf("/%d", last.Add(1))
		_, _, err := tryGet(client, s.url(path))
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.unsure[path] = true
		} else {
			w.answered[path] = true
		}
		return nil
	})
	return w
}

// check wants the log to have whole lines, of requests that were sent, none twice. It returns
// how many that were answered are not there.
func (w *numbered) check(t *testing.T, log string) (missing int) {
	t.Helper()
	seen := map[string]bool{}
	for text := range strings.Lines(log) {
		var line struct{ Target string }
		if err := json.Unmarshal([]byte(text), &line); err != nil || !strings.HasSuffix(text, "}\n") {
			t.Fatalf("a line is %q: %v", text, err)
		}
		if seen[line.Target] || !w.answered[line.Target] && !w.unsure[line.Target] {
			t.Fatalf("a line is there twice, or of no request: %q", text)
		}
		seen[line.Target] = true
	}
	for path := range w.answered {
		if !seen[path] {
			missing++
		}
	}
	return missing
}

// rotate renames the file at path every 50 ms until stop is called, which returns the text of
// all files, the one at path included.
func rotate(t *testing.T, path string) (stop func() string) {
	t.Helper()
	n := 0
	w := gather(t, 1, func(_ int, stop <-chan struct{}) error {
		if pause(50*time.Millisecond, stop) && os.Rename(path, fmt.Sprintf("%s.%d", path, n)) == nil {
			n++
		}
		return nil
	})
	return func() string {
		w.leave()
		if n < 2 {
			t.Errorf("%d rotations", n)
		}
		all, _ := os.ReadFile(path)
		for i := range n {
			b, err := os.ReadFile(fmt.Sprintf("%s.%d", path, i))
			if err != nil {
				t.Error(err)
			}
			all = append(all, b...)
		}
		return string(all)
	}
}

// TestAccessLogIsComplete: every request that is answered has one line, whole, in one of the
// files, while they are rotated, and over reloads, other paths and upgrades.
func TestAccessLogIsComplete(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{backends: to(plainBackend(t))})
		first, second := s.file("access.log"), s.file("other.log")
		s.setup.tables = logged(first)
		s.start()
		w := s.ask(4)
		rotated := rotate(t, first)
		w.more(t, 200)
		s.reload()
		w.more(t, 200)
		s.upgrade()
		w.more(t, 200)
		s.setup.tables = logged(second)
		s.reload()
		w.more(t, 200)
		s.upgrade()
		w.more(t, 200)
		s.setup.tables, s.setup.workers = logged(first), 1
		s.reload()
		w.more(t, 200)
		w.leave()
		s.stop()
		rest, err := os.ReadFile(second)
		if err != nil {
			t.Fatal(err)
		}
		if missing := w.check(t, rotated()+string(rest)); missing > 0 || len(w.unsure) > 0 {
			t.Errorf("%d of %d answered requests have no line; %d had no answer", missing, len(w.answered), len(w.unsure))
		}
	})
}

// TestAccessLogOfKilledWorker: what a worker had answered is in the log, except for the
// requests that it was at.
func TestAccessLogOfKilledWorker(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	const clients, kills = 4, 3
	s := newService(t, "mp", setup{backends: to(plainBackend(t))})
	path := s.file("access.log")
	s.setup.tables = logged(path)
	s.start()
	w := s.ask(clients)
	for n := range kills {
		w.more(t, 200)
		victim := s.until("all loops to serve", func(st status) bool { return len(st.serving()) == 2 }).serving()[n%2]
		if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	w.more(t, 200)
	w.leave()
	s.stop()
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if missing := w.check(t, string(log)); missing > clients*kills {
		t.Errorf("%d of %d answered requests have no line, want %d at most", missing, len(w.answered), clients*kills)
	}
}

// smallDisk mounts a disk of 64 KiB, or skips the test where that is not allowed.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a disk for the test cannot be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestAccessLogIsStuck: a full disk and a FIFO without a reader lose no request. The lines that
// are lost are counted, and said once; lb ends as ever.
func TestAccessLogIsStuck(t *testing.T) {
	testkit.Long(t)
	for what, path := range map[string]func(t *testing.T) string{
		"a full disk": func(t *testing.T) string { return filepath.Join(smallDisk(t), "access.log") },
		"/dev/full":   func(*testing.T) string { return "/dev/full" },
		"a FIFO without a reader": func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "fifo")
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		t.Run(what, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) {
				path := path(t)
				s := begin(t, mode, setup{admin: true, workers: 1, backends: to(plainBackend(t)), tables: logged(path)})
				client, long := newClient(t), strings.Repeat("x", 2000)
				sent := 0
				for ; sent < 2200; sent++ { // more than the ring takes
					resp, _ := get(t, client, s.url("/"+long))
					if resp.StatusCode != 200 {
						t.Fatalf("status %d", resp.StatusCode)
					}
				}
				s.untilTold(1, "are lost", "mend=")
				s.until("status to show it", func(st status) bool {
					return len(st.Troubles) == 1 && strings.HasPrefix(st.Troubles[0], "lines of the access log are lost: "+path)
				})
				now, err := scrape(s.admin)
				most := float64(sent - 1) // the first ones have room
				if path == "/dev/full" {
					most = float64(sent)
				}
				if err != nil || now["lb_access_log_lost_total"] == 0 || now["lb_access_log_lost_total"] > most {
					t.Errorf("%v lines of %d are counted as lost, %v", now["lb_access_log_lost_total"], sent, err)
				}
				s.stop()
				s.untilTold(1, "were lost", "mend=")
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
					if log, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(log), "}\n") {
						t.Errorf("the log ends with %q, %v", log[max(0, len(log)-100):], err)
					}
				}
			})
		})
	}
}

// TestAccessLogOnStdout: "-" is standard output, and nobody has to read it.
func TestAccessLogOnStdout(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		for _, read := range []bool{true, false} {
			dir := t.TempDir()
			testkit.WriteFile(t, filepath.Join(dir, "lb.toml"), setup{backends: to(plainBackend(t)), tables: logged("-")}.text(mode, ""))
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(lbExe, "serve", "--log-format", "text")
			cmd.Dir, cmd.Env, cmd.Stdout = dir, environment(dir), w
			p := &process{Process: testkit.Start(t, cmd)}
			w.Close()
			if p.addr = p.Serving(t); p.addr == "" {
				t.Fatal("lb did not begin")
			}
			if !read {
				r.Close()
			}
			client := newClient(t)
			for i := range 10 {
				if resp, _ := get(t, client, p.url(fmt.Sprintf("/%d", i))); resp.StatusCode != 200 {
					t.Fatalf("status %d", resp.StatusCode)
				}
			}
			if !read {
				testkit.Until(t, "a line in the log", func() bool {
					return strings.Contains(p.Log.String(), `"access log cannot be written, its lines wait" path=- cause="broken pipe" mend=`)
				})
			}
			p.stop(t)
			if out, _ := io.ReadAll(r); read && strings.Count(string(out), "\n") != 10 {
				t.Errorf("standard output has %s", out)
			}
		}
	})
}

// TestAccessLogInSyslog: each request is a message of syslog.
func TestAccessLogInSyslog(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{backends: to(plainBackend(t))})
		server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.file("log"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		server.SetReadDeadline(time.Now().Add(testkit.Patience))
		s.setup.tables = logged("syslog:unix:" + s.file("log"))
		s.start()
		client := newClient(t)
		for i := range 10 {
			get(t, client, s.url(fmt.Sprintf("/%d", i)))
		}
		for range 10 {
			buf := make([]byte, 8192)
			n, err := server.Read(buf)
			if err != nil || !strings.HasPrefix(string(buf[:n]), "<134>1 ") || !strings.Contains(string(buf[:n]), ` access - {"time":"`) {
				t.Fatalf("a message is %q, %v", buf[:n], err)
			}
		}
	})
}

// TestAccessLogPathIsRefused: a path that cannot be opened refuses the start and a reload, and
// says what to do.
func TestAccessLogPathIsRefused(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{backends: to(plainBackend(t))})
		s.setup.tables = logged(s.file("none/access.log"))
		s.write(s.text())
		const why = "cannot be opened: no such file or directory; make the folder "
		s.refuses([]string{"reload"}, "access_log.path", why)
		if a := s.lb("serve", "--port", "0", "--pid-file", s.file("other.pid")); a.code != 1 || !strings.Contains(a.err, why) {
			t.Errorf("lb serve: exit code %d, %q", a.code, a.err)
		}
	})
}

// TestReopenSignal: SIGUSR1 opens the log again, and ends no process.
func TestReopenSignal(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{backends: to(plainBackend(t))})
		path := s.file("access.log")
		s.setup.tables = logged(path)
		s.start()
		before := s.processes(t)
		syscall.Kill(-s.process.Process.Process.Pid, syscall.SIGUSR1) // workers, too
		s.untilTold(1, "access log is opened again")
		get(t, newClient(t), s.url("/"))
		testkit.Until(t, "a line", func() bool { b, _ := os.ReadFile(path); return len(b) > 0 })
		if after := s.processes(t); len(after) != len(before) {
			t.Errorf("%d processes, before it %d", len(after), len(before))
		}
	})
}
