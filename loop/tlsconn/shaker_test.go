package tlsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// within waits until ok holds.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// hello returns the first flight of a client.
func hello(t testing.TB) []byte {
	client, server := net.Pipe()
	defer server.Close()
	go tls.Client(client, clientConfig()).Handshake()
	b := make([]byte, 4096)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// TestBusy: while the thread is held up, handshakes wait up to a bound; more are refused,
// and those whose conns are closed are not begun at all.
func TestBusy(t *testing.T) {
	r := newRig(t)
	first := hello(t)
	held, begun := make(chan struct{}), 0
	cfg := serverConfig()
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		begun++
		<-held
		return nil, errors.New("enough")
	}
	const more = 30
	var sides []*side
	busy := 0
	for range 1 + waitingMax + more {
		fd, raw := pair(t)
		raw.Close()
		s := &side{r: r, shaken: make(chan error, 1)}
		r.do(func() {
			if err := r.l.Adopt(&s.Conn, s, fd); err != nil {
				t.Error(err)
				return
			}
			var err error
			if s.tls, err = r.s.Server(&s.Conn, s, cfg, first); errors.Is(err, ErrBusy) {
				busy++
				s.Close(true)
			} else if err != nil {
				t.Error(err)
			}
		})
		if len(sides) == 0 {
			within(t, "the first handshake is not begun", func() (ok bool) {
				r.s.mu.Lock()
				defer r.s.mu.Unlock()
				return len(r.s.fresh) == 0
			})
		}
		sides = append(sides, s)
	}
	r.do(func() {
		if busy != more {
			t.Errorf("%d are refused, want %d", busy, more)
		}
		for _, s := range sides {
			s.Close(true)
		}
	})
	close(held)
	within(t, "they are not dropped", func() bool {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		return len(r.s.fresh) == 0
	})
	r.do(r.s.Close)
	if begun != 1 {
		t.Errorf("%d handshakes were begun, want 1", begun)
	}
}

// TestContinuedFirst: a handshake that has begun goes before those that have not, and one with
// a server before those with clients, also if as many of these wait as may.
func TestContinuedFirst(t *testing.T) {
	s := NewShaker(nil, nil)
	s.ended = make(chan struct{}) // no thread
	fresh, begun := &handshake{}, &handshake{begun: true}
	s.push(fresh)
	s.push(begun)
	if s.next() != begun || s.next() != fresh {
		t.Error("not in this order")
	}
	for range waitingMax {
		s.push(&handshake{})
	}
	server := &handshake{client: true}
	if s.push(&handshake{}) || !s.push(server) || s.next() != server {
		t.Error("clients keep back a server")
	}
}

// TestStalled: what clients cost that send a hello and nothing more, and that all of
// it goes when their conns are closed.
func TestStalled(t *testing.T) {
	const clients = 200 // of a test; each of 2,000 costs as much
	r := newRig(t)
	first := hello(t)
	goroutines := runtime.NumGoroutine()
	var sides []*side
	before := memory()
	cfg := serverConfig()
	for range clients {
		fd, _ := pair(t)
		s := &side{r: r, shaken: make(chan error, 1)}
		r.do(func() {
			if err := r.l.Adopt(&s.Conn, s, fd); err != nil {
				t.Error(err)
				return
			}
			s.tls, _ = r.s.Server(&s.Conn, s, cfg, first)
		})
		sides = append(sides, s)
	}
	within(t, "they are not all answered", func() (ok bool) {
		r.do(func() {
			ok = true
			for _, s := range sides {
				ok = ok && s.tls.hand.begun && !s.tls.hand.away
			}
		})
		return ok
	})
	per := int(memory()-before) / clients
	t.Logf("%d bytes of heap and stack for each", per)
	if per > 40<<10 {
		t.Errorf("a stalled handshake holds %d bytes", per)
	}
	r.do(func() {
		for _, s := range sides {
			s.Close(false)
		}
	})
	within(t, "the coroutines stay", func() bool { return runtime.NumGoroutine() <= goroutines+1 })
}

// memory returns the bytes of the heap and of stacks that are in use.
func memory() uint64 {
	heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// The main thread is kept for the main goroutine: it never ends, and would keep its priority.
func init() { runtime.LockOSThread() }

// TestClose: the thread ends with Close, with its priority, and with the handshakes that
// wait in it.
func TestClose(t *testing.T) {
	none := func() bool { n, _ := lowThreads(t); return n == 0 }
	within(t, "threads of other tests stay", none)
	goroutines := runtime.NumGoroutine()
	r := newRig(t)
	fd, raw := pair(t)
	s := r.serve(fd, serverConfig(), echo())
	raw.Write(hello(t))
	within(t, "it is not begun", func() (ok bool) {
		r.do(func() { ok = s.tls.hand.begun && !s.tls.hand.away })
		return ok
	})
	if n, main := lowThreads(t); runtime.GOOS == "linux" && n != 1 && (n != 0 || !main) {
		t.Errorf("%d threads have a lower priority, want 1", n)
	}
	r.do(r.s.Close)
	within(t, "the thread stays", none)
	r.do(func() { s.Close(false) })
	within(t, "goroutines stay", func() bool { return runtime.NumGoroutine() <= goroutines+3 })
}

// lowThreads returns how many threads of the process have the lower priority, and apart from
// these whether the main one has: Go never ends that.
func lowThreads(t *testing.T) (n int, main bool) {
	stats, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		switch fields := strings.Fields(rest); {
		case fields[16] != "10":
		case filepath.Base(filepath.Dir(name)) == strconv.Itoa(os.Getpid()):
			main = true
		default:
			n++
		}
	}
	return n, main
}

// TestPanic: a panic within a handshake ends it, and no other.
func TestPanic(t *testing.T) {
	r := newRig(t)
	cfg := serverConfig()
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { panic("a mistake") }
	fd, raw := pair(t)
	s := r.serve(fd, cfg, echo())
	go tls.Client(raw, clientConfig()).Handshake()
	if err := <-s.shaken; err == nil || !strings.Contains(err.Error(), "a mistake") {
		t.Error(err)
	}
	fd, raw = pair(t)
	s = r.serve(fd, serverConfig(), echo())
	go tls.Client(raw, clientConfig()).Handshake()
	if err := <-s.shaken; err != nil {
		t.Error(err)
	}
}

// TestFailures: how handshakes fail, and which alert the client gets.
func TestFailures(t *testing.T) {
	for _, tc := range []struct {
		name          string
		server        func(*tls.Config)
		client        func(*tls.Config)
		owner, remote string
	}{
		{"version", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			"unsupported versions", "protocol version not supported"},
		{"no certificate", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, nil,
			"didn't provide a certificate", "certificate required"},
		{"not trusted", nil, func(c *tls.Config) { c.RootCAs = nil }, "bad certificate", "unknown authority"},
	} {
		r := newRig(t)
		server, client := serverConfig(), clientConfig()
		if tc.server != nil {
			tc.server(server)
		}
		if tc.client != nil {
			tc.client(client)
		}
		fd, raw := pair(t)
		s := r.serve(fd, server, echo())
		c := tls.Client(raw, client)
		c.SetDeadline(time.Now().Add(patience))
		err := c.Handshake()
		if err == nil { // with TLS 1.3 the client's part is over before the server's
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil || !strings.Contains(err.Error(), tc.remote) {
			t.Errorf("%s: the client gets %v", tc.name, err)
		}
		if err := <-s.shaken; err == nil || !strings.Contains(err.Error(), tc.owner) {
			t.Errorf("%s: the owner gets %v", tc.name, err)
		}
	}
}

// TestBadHellos: what is no handshake ends soon; what is endless is bounded.
func TestBadHellos(t *testing.T) {
	record := func(n int) string {
		return fmt.Sprintf("\x16\x03\x01%c%c%s", n>>8, n&255, strings.Repeat("\x01", n))
	}
	for name, bytes := range map[string]string{
		"HTTP":        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"long record": "\x16\x03\x01\xff\xff\x01",
		"huge hello":  strings.Repeat(string([]byte{22, 3, 1, 64, 0, 1, 255, 255, 255})+strings.Repeat("x", 16384-4), 8),
		"alerts":      strings.Repeat("\x15\x03\x01\x00\x02\x01\x00x", 1)[:7],
		"empty ones":  strings.Repeat("\x16\x03\x01\x00\x00", 100),
		"warnings":    strings.Repeat("\x15\x03\x01\x00\x02\x01\x5a", 100),
		"nonsense":    record(100),
	} {
		r := newRig(t)
		fd, raw := pair(t)
		s := r.serve(fd, serverConfig(), echo())
		go raw.Write([]byte(bytes))
		select {
		case err := <-s.shaken:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		case <-time.After(patience):
			t.Errorf("%s: it goes on", name)
		}
	}
}
