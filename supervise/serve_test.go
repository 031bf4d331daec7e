package supervise

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/config"
	"lb/internal/testkit"
	"lb/supervise/supervisetest"
)

func TestServes(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "a").URL)
		supervisetest.AddBackend(t, cfg, supervisetest.HelloBackend(t, "b").URL)
		in := serve(t, cfg, Options{})
		const requests = 60
		seen := map[string]int{}
		for range requests {
			a := supervisetest.Get(in.addr)
			if a.Err != nil || a.Status != http.StatusOK {
				t.Fatalf("got %d, %v; want 200", a.Status, a.Err)
			}
			seen[a.Body]++
		}
		if len(seen) != 2 {
			t.Errorf("answers by backend: %v, want some of each", seen)
		}
		for i := range 2 { // the chance that one loop gets none of 60 is below 1e-17
			if in.running.Board.Loop(i).Requests.Load() == 0 {
				t.Errorf("loop %d had no request of %d", i, requests)
			}
		}
		if got := in.running.Board.Totals().Requests; got != requests {
			t.Errorf("the board has %d requests, want %d", got, requests)
		}
		in.signals <- syscall.SIGTERM
		in.wantExit(t, 0)
	})
}

func TestUnixBackend(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		path := filepath.Join(t.TempDir(), "app.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "by path")
		}))
		s.Listener.Close()
		s.Listener = l
		s.Start()
		defer s.Close()
		cfg.Pools[0].Backends = []config.Backend{{Socket: path, Weight: 1}}
		supervisetest.Get(serve(t, cfg, Options{}).addr).Want(t, "by path")
	})
}

func TestAddressFamilies(t *testing.T) {
	backend := supervisetest.HelloBackend(t, "here")
	for _, tc := range []struct {
		host string
		dial []string
	}{
		{"::1", []string{"::1"}},
		{"::", []string{"::1", "127.0.0.1"}},
		{"", []string{"::1", "127.0.0.1"}},
		{"0.0.0.0", []string{"127.0.0.1"}},
		{"localhost", []string{"127.0.0.1"}},
	} {
		t.Run(tc.host, func(t *testing.T) {
			supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
				cfg.Host = tc.host
				supervisetest.AddBackend(t, cfg, backend.URL)
				in := serve(t, cfg, Options{})
				host, port, err := net.SplitHostPort(in.addr)
				if err != nil || host != tc.host {
					t.Fatalf("served at %q, %v; want host %q", in.addr, err, tc.host)
				}
				for _, to := range tc.dial {
					supervisetest.Get(net.JoinHostPort(to, port)).Want(t, "here")
				}
			})
		})
	}
}

// A port of another program is one clear error, even if that program would share it.
func TestPortTaken(t *testing.T) {
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	for name, lc := range map[string]net.ListenConfig{"alone": {}, "shared": shared} {
		l, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
			t.Run(name+" "+host, func(t *testing.T) {
				supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
					cfg.Host, cfg.Port = host, l.Addr().(*net.TCPAddr).Port
					in := begin(t, cfg, Options{})
					wantRefusal(t, in, syscall.EADDRINUSE, net.JoinHostPort(host, strconv.Itoa(cfg.Port)))
				})
			})
		}
	}
}

// wantRefusal wants exit code 1 and an error of one line that is cause and says where.
func wantRefusal(t *testing.T, in *inside, cause error, where string) {
	t.Helper()
	testkit.Wait(t, in.done, "Serve to refuse")
	if in.code != 1 || !errors.Is(in.err, cause) {
		t.Fatalf("Serve returned %d, %v; want 1 and %v", in.code, in.err, cause)
	}
	if text := in.err.Error(); !strings.Contains(text, where) || strings.Contains(text, "\n") {
		t.Errorf("error %q, want one line with %q", text, where)
	}
}

func TestPIDFile(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.PIDFile = filepath.Join(t.TempDir(), "lb.pid")
		in := serve(t, cfg, Options{})
		b, err := os.ReadFile(cfg.PIDFile)
		if want := strconv.Itoa(os.Getpid()); err != nil || strings.TrimSpace(string(b)) != want {
			t.Fatalf("PID file: %q, %v; want %s", b, err, want)
		}
		in.signals <- syscall.SIGTERM
		in.wantExit(t, 0)
		if _, err := os.Stat(cfg.PIDFile); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("PID file after the end: %v, want it gone", err)
		}
	})
}

// A start that fails leaves the PID file of the lb that runs alone.
func TestPIDFileOfFailedStart(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.PIDFile = filepath.Join(t.TempDir(), "lb.pid")
		testkit.WriteFile(t, cfg.PIDFile, strconv.Itoa(os.Getpid())+"\n")
		admin := &fakeAdmin{listenErr: syscall.EADDRINUSE}
		wantRefusal(t, begin(t, cfg, Options{Admin: func(*config.Config, Running) Admin { return admin }}), syscall.EADDRINUSE, "")
		if _, err := os.Stat(cfg.PIDFile); err != nil {
			t.Error(err)
		}
	})
}

func TestPIDFileNotWritable(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		cfg.PIDFile = filepath.Join(t.TempDir(), "missing", "lb.pid")
		wantRefusal(t, begin(t, cfg, Options{}), os.ErrNotExist, cfg.PIDFile)
	})
}

func TestAdminRefused(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		admin := &fakeAdmin{listenErr: &net.OpError{Op: "listen at", Net: "the-admin-address", Err: syscall.EADDRINUSE}}
		in := begin(t, cfg, Options{Admin: func(*config.Config, Running) Admin { return admin }})
		wantRefusal(t, in, syscall.EADDRINUSE, "the-admin-address")
	})
}

// lb begins even if a name does not resolve, and new addresses reach every loop. A name
// that no longer resolves keeps the old ones.
func TestNamesChange(t *testing.T) {
	supervisetest.EachMode(t, func(t *testing.T, cfg *config.Config) {
		one, two, port := twoBackendsOnOnePort(t)
		cfg.Pools[0].Backends = []config.Backend{{Host: "app.test", Port: port, Weight: 1}}
		names := &supervisetest.FakeResolver{Name: "app.test"}
		in := serve(t, cfg, Options{Resolver: names, ResolveEvery: 10 * time.Millisecond})
		if a := supervisetest.Get(in.addr); a.Status < 500 {
			t.Fatalf("before the name resolves: %d, %v; want 5xx", a.Status, a.Err)
		}
		names.Set("127.0.0.1")
		untilAnswered(t, in.addr, one)
		names.Set("127.0.0.2")
		untilAnswered(t, in.addr, two)
		names.Addr.Store(nil)
		for range 4 {
			supervisetest.Get(in.addr).Want(t, two)
		}
	})
}

// twoBackendsOnOnePort serves "one" at 127.0.0.1 and "two" at 127.0.0.2, and
// closes every connection after its answer.
func twoBackendsOnOnePort(t *testing.T) (one, two string, port int) {
	t.Helper()
	var l, m net.Listener
	testkit.Until(t, "a port that is free at both", func() bool { // clients of other tests have ports of 127.0.0.2
		var err error
		if l, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		if m, err = net.Listen("tcp4", "127.0.0.2:"+strconv.Itoa(port)); err != nil {
			l.Close()
		}
		return err == nil
	})
	for text, l := range map[string]net.Listener{"one": l, "two": m} {
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, text)
		})}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
	}
	return "one", "two", port
}

// untilAnswered waits until 20 requests in a row get body. That all of them come to the
// same of two loops has a chance of one in a million.
func untilAnswered(t *testing.T, addr, body string) {
	t.Helper()
	testkit.Until(t, "answers by "+body, func() bool {
		for range 20 {
			if supervisetest.Get(addr).Body != body {
				return false
			}
		}
		return true
	})
}
