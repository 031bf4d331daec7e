package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// manager receives the notices of a service, as systemd does.
type manager struct {
	mu      sync.Mutex
	notices []string
	path    string
}

func newManager(t *testing.T, path string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: path}
	over := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-over })
	go func() {
		defer close(over)
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.notices = append(m.notices, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	return m
}

// heard counts the notices with all of lines. A line that ends with "=" stands for any
// that begins with it.
func (m *manager) heard(lines ...string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, notice := range m.notices {
		all := true
		for _, line := range lines {
			all = all && (strings.Contains("\n"+notice+"\n", "\n"+line+"\n") || strings.HasSuffix(line, "=") && strings.Contains("\n"+notice, "\n"+line))
		}
		if all {
			n++
		}
	}
	return n
}

// lb notifies systemd when it is ready, reloads and stops, and which process it is, and
// pings the watchdog as long as its loops turn.
func TestNotices(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		m := newManager(t, s.file("notify.sock"))
		s.env = []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=1000000"}
		s.start()
		testkit.Until(t, "READY", func() bool { return m.heard("READY=1") == 1 })
		s.setup.backends = s.setup.backends[:1]
		s.reload()
		testkit.Until(t, "RELOADING, and READY again", func() bool {
			return m.heard("RELOADING=1", "MONOTONIC_USEC=") == 1 && m.heard("READY=1") == 2
		})
		s.write("nonsense")
		s.refuses([]string{"reload"}, "lb.toml:1")
		testkit.Until(t, "READY after a reload that was refused", func() bool { return m.heard("RELOADING=1") == m.heard("READY=1")-1 })
		s.write(s.text())
		alive := m.heard("WATCHDOG=1")
		testkit.Until(t, "signs of life", func() bool { return m.heard("WATCHDOG=1") >= alive+3 })
		s.upgrade()
		testkit.Until(t, "MAINPID", func() bool { return m.heard(fmt.Sprintf("MAINPID=%d", s.pid)) > 0 })
		alive = m.heard("WATCHDOG=1")
		testkit.Until(t, "signs of life", func() bool { return m.heard("WATCHDOG=1") >= alive+3 })
		if mode == "mp" {
			worker := s.status().serving()[0].PID
			if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			since := time.Now()
			testkit.Until(t, "no sign of life with a loop that does not turn", func() bool { // one may be under way
				if n := m.heard("WATCHDOG=1"); n != alive {
					alive, since = n, time.Now()
				}
				return time.Since(since) > 1500*time.Millisecond
			})
			if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			testkit.Until(t, "signs of life again", func() bool { return m.heard("WATCHDOG=1") > alive })
		}
		s.kill(syscall.SIGTERM)
		testkit.Until(t, "STOPPING", func() bool { return m.heard("STOPPING=1") == 1 })
		s.wantExit(0)
	})
}

// A socket that systemd has opened is served by all loops, and stays open when lb ends:
// a client that comes then is answered by the next lb.
func TestSocketActivation(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checkedMany(t, 2)...)})
		_, s.port, _ = net.SplitHostPort(ln.Addr().String())
		s.given = filesOf(t, ln)
		s.start()
		if s.addr != ln.Addr().String() {
			t.Fatalf("lb serves %s, want %s, which it was given", s.addr, ln.Addr())
		}
		w := s.send(8, 4)
		w.more(t, 100)
		s.setup.backends = s.setup.backends[:1]
		s.reload()
		s.setup.workers = 3
		s.reload()
		w.more(t, 50)
		s.upgrade()
		w.more(t, 50)
		w.wantNone(t)
		s.stop()
		between := dial(t, s.addr)
		between.send(t, "GET /1/100/length HTTP/1.1\r\nHost: x\r\n\r\n")
		s.start()
		if resp, body := between.answer(t); resp.StatusCode != 200 || body != string(bodyOf(1, 100)) {
			t.Errorf("a conn from between: %s", resp.Status)
		}
	})
}

// filesOf returns listening sockets as files.
func filesOf(t *testing.T, listeners ...net.Listener) (files []*os.File) {
	t.Helper()
	for _, l := range listeners {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

// Of several sockets of systemd all are served, before and after a reload and an upgrade.
func TestSocketsOfSystemd(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		var listeners []net.Listener
		for range 3 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			listeners = append(listeners, l)
		}
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		s.given = filesOf(t, listeners...)
		s.start()
		wantAll := func() {
			t.Helper()
			for _, l := range listeners {
				resp, _ := get(t, newClient(t), "http://"+l.Addr().String()+"/1/100/length")
				if resp.Body.Close(); resp.StatusCode != 200 {
					t.Errorf("%v: status %d", l.Addr(), resp.StatusCode)
				}
			}
		}
		wantAll()
		s.setup.workers = 3
		s.reload()
		wantAll()
		s.upgrade()
		wantAll()
		s.stop()
	})
}
