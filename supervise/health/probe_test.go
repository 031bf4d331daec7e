package health

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

// rawBackend answers every connection with answer, once it has read a head,
// and keeps it open until the test ends if hold says so.
func rawBackend(t *testing.T, answer string, hold bool) location {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				http.ReadRequest(bufio.NewReader(c))
				c.Write([]byte(answer))
				if hold {
					<-done
				}
			})
		}
	})
	t.Cleanup(func() { close(done); l.Close(); all.Wait() })
	return location{"tcp", l.Addr().String()}
}

// refusing is an address that refuses connections until the end of the test: a socket that
// does not listen is bound to it.
func refusing(t *testing.T) location {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return location{"tcp", fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)}
}

// silentAddr is an address that takes connections into its queue and never accepts.
func silentAddr(t *testing.T) location {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return location{"tcp", l.Addr().String()}
}

func TestProbeAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	const quick = 30 * time.Millisecond
	hasty := func(h *config.Health) { h.Timeout = quick }
	for _, tc := range []struct {
		name   string
		answer string
		hold   bool // the backend leaves the connection open
		set    func(*config.Health)
		good   bool
		why    board.Reason
		detail uint64
		cause  string
	}{
		{"200", ok, true, nil, true, board.ReasonOK, 200, "status 200"},
		{"204 without a body", "HTTP/1.1 204 No Content\r\n\r\n", true, nil, true, board.ReasonOK, 204, "status 204"},
		{"HTTP/1.0 up to its close", "HTTP/1.0 200 OK\r\n\r\nhello", false, nil, true, board.ReasonOK, 200, "status 200"},
		{"a redirect is an answer", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", true, nil,
			true, board.ReasonOK, 302, "status 302"},
		{"1xx before it", "HTTP/1.1 103 Early Hints\r\n\r\n" + ok, true, nil, true, board.ReasonOK, 200, "status 200"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, func(h *config.Health) { h.Method = "HEAD" },
			true, board.ReasonOK, 200, "status 200"},
		{"a long body", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat("x", headMax), true, nil,
			true, board.ReasonOK, 200, "status 200"},
		{"no length and no end", "HTTP/1.1 200 OK\r\n\r\nhello", true, nil, true, board.ReasonOK, 200, "status 200"},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false, nil, true, board.ReasonOK, 200, "status 200"},
		{"no reason, two spaces, lower case", "\r\nhttp/1.1  200\r\n\r\n", true, nil, true, board.ReasonOK, 200, "status 200"},
		{"lines without CR", "HTTP/1.1 200 OK\nA: b\n\n", true, nil, true, board.ReasonOK, 200, "status 200"},
		{"fields that no proxy would take", "HTTP/1.1 200 OK\r\nTransfer-Encoding: odd\r\nContent-Length: x\r\n: \r\n\r\n", true, nil,
			true, board.ReasonOK, 200, "status 200"},
		{"many 1xx", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20) + ok, true, nil, true, board.ReasonOK, 200, "status 200"},

		{"503", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", true, nil,
			false, board.ReasonStatus, 503, "status 503, want 200-399"},
		{"one that others would take", ok, true, func(h *config.Health) { h.Expect = []config.Statuses{{Low: 201, High: 299}, {Low: 404, High: 404}} },
			false, board.ReasonStatus, 200, "status 200, want 201-299, 404"},
		{"closed without a word", "", false, nil, false, board.ReasonReset, 0, "response: connection closed"},
		{"a head cut short", "HTTP/1.1 200 OK\r\n", false, nil, false, board.ReasonReset, 0, "response: connection closed"},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", true, nil,
			false, board.ReasonBadAnswer, 0, `response: malformed HTTP response "SSH-2.0-OpenSSH"`},
		{"a head without end", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*headMax), true, nil,
			false, board.ReasonBadAnswer, 0, "response: "},
		{"no answer", "", true, hasty, false, board.ReasonTimeout, 0, "response: timeout after "},
		{"half a head", "HTTP/1.1 200 OK\r\n", true, hasty, false, board.ReasonTimeout, 0, "response: timeout after "},
		{"half a line", "HTTP/1.1 200", true, hasty, false, board.ReasonTimeout, 0, "response: timeout after "},
		{"1xx alone", "HTTP/1.1 100 Continue\r\n\r\n", true, hasty, false, board.ReasonTimeout, 0, "response: timeout after "},
		{"tcp takes any", "", true, func(h *config.Health) { h.Type = config.CheckTCP }, true, board.ReasonOK, 0, "connected"},
	} {
		h := config.NewHealth()
		h.Timeout = testkit.Patience
		if tc.set != nil {
			tc.set(&h)
		}
		addrs := rawBackend(t, tc.answer, tc.hold)
		r := probe(t.Context(), &h, "x", "", addrs, nil)
		// On a busy machine, less than usual may have arrived in so short a time.
		for strings.HasSuffix(tc.cause, "after ") && !strings.HasPrefix(r.cause, tc.cause) && h.Timeout < testkit.Patience {
			h.Timeout *= 2
			r = probe(t.Context(), &h, "x", "", addrs, nil)
		}
		want := tc.cause
		if strings.HasSuffix(want, "after ") {
			want += h.Timeout.String()
		}
		whole := r.cause == want || strings.HasSuffix(want, ": ") && strings.HasPrefix(r.cause, want)
		if r.good != tc.good || r.ours || r.why != tc.why || r.detail != tc.detail || !whole || len(r.cause) > causeMax+20 {
			t.Errorf("%s: %+v; want good %v, %v %d, %q", tc.name, r, tc.good, tc.why, tc.detail, tc.cause)
		}
	}
}

func TestProbeConnects(t *testing.T) {
	well := rawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true)
	for _, tc := range []struct {
		name  string
		at    location
		why   board.Reason
		cause string
	}{
		{"nobody listens", refusing(t), board.ReasonConnect, "connect: connection refused"},
		{"no socket", location{"unix", filepath.Join(t.TempDir(), "a")}, board.ReasonConnect, "connect: no such file or directory"},
		{"well", well, board.ReasonOK, "status 200"},
	} {
		for _, kind := range []string{config.CheckHTTP, config.CheckTCP} {
			h := config.NewHealth()
			h.Type, h.Timeout = kind, testkit.Patience
			want := tc.cause
			if kind == config.CheckTCP && tc.why == board.ReasonOK {
				want = "connected"
			}
			if r := probe(t.Context(), &h, "x", "", tc.at, nil); r.why != tc.why || r.cause != want {
				t.Errorf("%s, %s: %+v; want %v, %q", tc.name, kind, r, tc.why, want)
			}
		}
	}
}

// TestProbeRequest: what the backend is asked, over TCP and a unix socket.
func TestProbeRequest(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- fmt.Sprintf("%s %s Host:%s UA:%s close:%v fields:%d", r.Method, r.RequestURI, r.Host, r.UserAgent(), r.Close, len(r.Header))
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	for _, tc := range []struct {
		backend config.Backend
		host    string
		method  string
		path    string
		want    string
	}{
		{config.Backend{Socket: "/a"}, "", "GET", "/", "GET / Host:localhost UA:lb-health close:true fields:2"},
		{config.Backend{Host: "::1", Port: 8080}, "", "GET", "/up?a=%20b", "GET /up?a=%20b Host:[::1]:8080 UA:lb-health close:true fields:2"},
		{config.Backend{Host: "app", Port: 80}, "www.example.com", "HEAD", "//x/%2e",
			"HEAD //x/%2e Host:www.example.com UA:lb-health close:true fields:2"},
	} {
		h := config.NewHealth()
		h.Host, h.Method, h.Path, h.Timeout = tc.host, tc.method, tc.path, testkit.Patience
		r := probe(t.Context(), &h, hostOf(h, tc.backend), "", location{"unix", l.Addr().String()}, nil)
		if !r.good {
			t.Fatalf("%+v", r)
		}
		if g := <-got; g != tc.want {
			t.Errorf("the backend got %q, want %q", g, tc.want)
		}
	}
}

// A server that sends its body after the head is not cut off.
func TestProbeReadsBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		http.ReadRequest(in)
		// In one call: the probe waits only for bodyTimeout, and the server may have to wait longer for a CPU.
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+strings.Repeat("x", bodyMax/2))
		c.(*net.TCPConn).CloseWrite()
		_, err = in.ReadByte()
		ended <- err
	}()
	h := config.NewHealth()
	h.Timeout = testkit.Patience
	if r := probe(t.Context(), &h, "x", "", location{"tcp", l.Addr().String()}, nil); !r.good {
		t.Errorf("%+v", r)
	}
	if err := testkit.Wait(t, ended, "the end of the conn"); err != io.EOF {
		t.Errorf("the server sees %v, want the end", err)
	}
}

// A lack of this machine says nothing about the backend.
func TestOursIsNoVerdict(t *testing.T) {
	for _, err := range ourErrors {
		wrapped := &net.OpError{Op: "dial", Err: fmt.Errorf("socket: %w", err)}
		if r := failed("connect", wrapped, board.ReasonConnect, time.Second); !r.ours || r.good {
			t.Errorf("%v: %+v, want it to be ours", err, r)
		}
	}
	if r := failed("connect", syscall.ECONNREFUSED, board.ReasonConnect, time.Second); r.ours {
		t.Errorf("%+v, want it to be the backend's", r)
	}
}

// Close ends a running probe at once.
func TestProbeIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := config.NewHealth()
	h.Timeout = time.Hour
	done := make(chan result, 1)
	addr := silentAddr(t)
	go func() { done <- probe(ctx, &h, "x", "", addr, nil) }()
	cancel()
	select {
	case r := <-done:
		if r.good {
			t.Errorf("%+v of a backend that says nothing", r)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("the probe goes on")
	}
}
