package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

// options returns a board of two loops and the backends of two pools.
func options(address string) Options {
	cfg := &config.Config{
		Pools: []config.Pool{
			{Name: "default", Backends: []config.Backend{
				{Host: "10.0.0.1", Port: 9001, Weight: 1},
				{Socket: "/run/app.sock", Weight: 1},
			}},
			{Name: "api", Backends: []config.Backend{{Host: "::1", Port: 80, Weight: 1, TLS: true}}},
		},
	}
	now := func() int64 { return int64(time.Hour) }
	view := View{Config: cfg, IDs: [][]int{{0, 1}, {2}}, Number: 7}
	return Options{Address: address, Board: board.New(2, 3), Now: now, View: func() View { return view }, Version: "1.2.3"}
}

// start returns a server that listens on a port of the kernel's choice, and
// where. It is closed when the test ends.
func start(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	s := New(o)
	ln, err := s.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(ln)
	t.Cleanup(func() { closeServer(t, s) })
	return s, "http://" + ln.Addr().String()
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// fetch makes one request on a connection of its own.
func fetch(t *testing.T, method, url string) (resp *http.Response, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err = transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestRoutes(t *testing.T) {
	_, url := start(t, options("127.0.0.1:0"))
	for _, tc := range []struct {
		method, path string
		status       int
		body         string // begins with
	}{
		{"GET", "/healthz", 200, "ok"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/healthz?x=1", 200, "ok"},
		{"POST", "/healthz", 405, ""},
		{"GET", "/metrics", 200, "# HELP "},
		{"HEAD", "/metrics", 200, ""},
		{"DELETE", "/metrics", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/healthz/", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"POST", "/nowhere", 404, ""},
	} {
		resp, body := fetch(t, tc.method, url+tc.path)
		if resp.StatusCode != tc.status || !strings.HasPrefix(body, tc.body) {
			t.Errorf("%s %s: %d %.20q, want %d %q", tc.method, tc.path, resp.StatusCode, body, tc.status, tc.body)
		}
		if tc.method == "HEAD" && body != "" {
			t.Errorf("HEAD %s has a body: %.20q", tc.path, body)
		}
		if allow := resp.Header.Get("Allow"); tc.status == 405 && allow != "GET, HEAD" { // RFC 9110 §15.5.6
			t.Errorf("%s %s: Allow is %q", tc.method, tc.path, allow)
		}
	}
}

func TestDraining(t *testing.T) {
	s, url := start(t, options("127.0.0.1:0"))
	for _, tc := range []struct {
		draining bool
		status   int
		body     string
	}{{false, 200, "ok"}, {true, 503, "draining"}, {false, 200, "ok"}} {
		s.SetDraining(tc.draining)
		if resp, body := fetch(t, "GET", url+"/healthz"); resp.StatusCode != tc.status || body != tc.body {
			t.Errorf("draining %v: %d %q, want %d %q", tc.draining, resp.StatusCode, body, tc.status, tc.body)
		}
	}
}

// TestOff: an empty address opens nothing, and Close has nothing to do.
func TestOff(t *testing.T) {
	s := New(options(""))
	if ln, err := s.Listen(nil); ln != nil || err != nil {
		t.Errorf("Listen: %v, %v, want nothing", ln, err)
	}
	closeServer(t, s)
}

// TestNeverServed: Close lets go of what Listen opened.
func TestNeverServed(t *testing.T) {
	s := New(options(testkit.FreePort(t)))
	ln, err := s.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	closeServer(t, s)
	again, err := net.Listen("tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	again.Close()
}

// TestServeAnotherListener: one that another process opened is served, and a
// connection that waited in it from before is answered.
func TestServeAnotherListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	s := New(options("192.0.2.1:1")) // where it would listen does not matter
	s.Serve(ln)
	defer closeServer(t, s)
	waiting.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(waiting, "GET /healthz HTTP/1.0\r\n\r\n")
	if b, err := io.ReadAll(waiting); err != nil || !strings.HasSuffix(string(b), "ok") {
		t.Errorf("the answer is %q, %v", b, err)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tc := range []struct{ address, want string }{
		{taken.Addr().String(), ": address already in use ("},
		{"127.0.0.1:99999", ""},
		{"127.0.0.1", ""},
		{"192.0.2.1:0", ""}, // TEST-NET-1, no address of this machine
	} {
		ln, err := New(options(tc.address)).Listen(nil)
		if err == nil {
			t.Errorf("%s: listens on %v", tc.address, ln.Addr())
			continue
		}
		prefix, suffix := "admin: cannot listen on "+tc.address+": ", " (set [admin] address)"
		got := err.Error()
		if !strings.HasPrefix(got, prefix) || !strings.HasSuffix(got, suffix) || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.address, got, prefix+tc.want+suffix)
		}
		if strings.Contains(got, "\n") {
			t.Errorf("%s: an error of several lines: %q", tc.address, got)
		}
	}
}

// TestClose: a server with an idle connection and one that never says a word
// ends, and leaves no goroutine and no open port.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	s := New(options(testkit.FreePort(t)))
	s.http.ReadHeaderTimeout, s.http.ReadTimeout = time.Hour, time.Hour // so that Close, and not a timeout, ends the silent one
	listener, err := s.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(listener)
	addr := listener.Addr()
	silent, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	idle := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{}}
	resp, err := idle.Get("http://" + addr.String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Close(ctx) // its error depends on whether the silent one was reached in time
	idle.CloseIdleConnections()

	silent.SetReadDeadline(time.Now().Add(testkit.Patience))
	if n, err := silent.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Errorf("the silent connection is still open")
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the silent connection was not closed")
	}
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Errorf("the port is not free again: %v", err)
	} else {
		ln.Close()
	}
	if !testkit.Happens(func() bool { return runtime.NumGoroutine() <= before }) {
		buf := make([]byte, 1<<16)
		t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
	}
}

// TestNoTimeoutUnset: a slow or silent peer of the server holds it for a bounded time.
func TestNoTimeoutUnset(t *testing.T) {
	h := New(options("127.0.0.1:0")).http
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": h.ReadHeaderTimeout, "ReadTimeout": h.ReadTimeout,
		"WriteTimeout": h.WriteTimeout, "IdleTimeout": h.IdleTimeout,
	} {
		if d <= 0 {
			t.Errorf("%s is unset", name)
		}
	}
}

// However many connections there are, a new one is answered: the oldest that has no request
// makes room. Those that have one stay.
func TestConnsAreBounded(t *testing.T) {
	s, url := start(t, options("127.0.0.1:0"))
	addr := strings.TrimPrefix(url, "http://")
	var held []net.Conn
	for range 3 * connsMax {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	if resp, _ := fetch(t, "GET", url+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("health is %d", resp.StatusCode)
	}
	s.http.mu.Lock()
	n := len(s.http.conns)
	s.http.mu.Unlock()
	if n > connsMax {
		t.Errorf("%d connections are held, want %d at most", n, connsMax)
	}
	held[0].SetReadDeadline(time.Now().Add(testkit.Patience))
	if _, err := held[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest: %v, want it closed", err)
	}
}

// With as many requests as there may be connections, another one is refused.
func TestConnsAllBusy(t *testing.T) {
	release := make(chan struct{})
	s := newHTTP(2, nil)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-release })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(l, loggerOr(nil), "test")
	done := make(chan error, 2)
	for range 2 {
		go func() {
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(must(http.NewRequest("GET", "http://"+l.Addr().String(), nil)))
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
	}
	testkit.Until(t, "both to run", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		active := 0
		for _, c := range s.conns {
			if c.ConnState == http.StateActive {
				active++
			}
		}
		return active == 2
	})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(testkit.Patience))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a third connection: %v, want it closed", err)
	}
	close(release)
	for range 2 {
		if err := testkit.Wait(t, done, "an answer"); err != nil {
			t.Errorf("a request that ran: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	s.close(ctx)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The address moves from one of the machine to all of them and back, on the same port,
// while both are open. Another lb's port is taken.
func TestListenBeside(t *testing.T) {
	first := must(New(options(testkit.FreePort(t))).Listen(nil))
	defer func() { first.Close() }()
	_, port, _ := net.SplitHostPort(first.Addr().String())
	for _, host := range []string{"0.0.0.0", "127.0.0.1", "", "127.0.0.1"} {
		next, err := New(options(net.JoinHostPort(host, port))).Listen(first.Addr())
		if err != nil {
			t.Fatalf("to %q: %v", host, err)
		}
		first.Close()
		first = next
	}
	if l, err := New(options("127.0.0.1:" + port)).Listen(nil); err == nil {
		l.Close()
		t.Error("two lbs listen on the same address")
	}
}

// lateListener accepts nothing until something has looked at its socket.
type lateListener struct {
	*net.TCPListener
	looked chan struct{}
	once   sync.Once
}

func (l *lateListener) SyscallConn() (syscall.RawConn, error) {
	l.once.Do(func() { close(l.looked) })
	return l.TCPListener.SyscallConn()
}

func (l *lateListener) Accept() (net.Conn, error) {
	<-l.looked
	return l.TCPListener.Accept()
}

// A server that no longer listens answers what was in its queue.
func TestUnlisten(t *testing.T) {
	s := New(options(testkit.FreePort(t)))
	ln, err := s.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	var queue [10]net.Conn
	for i := range queue {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
		queue[i] = c
	}
	s.Serve(&lateListener{TCPListener: ln.(*net.TCPListener), looked: make(chan struct{})})
	s.Unlisten()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	for i, c := range queue {
		c.SetDeadline(time.Now().Add(testkit.Patience))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("conn %d: %v", i, err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Errorf("conn %d: status %d", i, resp.StatusCode)
		}
	}
	closeServer(t, s)
}
