package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lb/backends"
	"lb/internal/testkit"
)

// TestMain checks that the tests leave no goroutine and no descriptor.
func TestMain(m *testing.M) {
	net.LookupHost("localhost")                         // opens descriptors that the runtime keeps
	if ln, err := net.Listen("tcp", ":0"); err == nil { // the same
		ln.Close()
	}
	goroutines, descriptors := runtime.NumGoroutine(), testkit.OpenFDs()
	code := m.Run()
	if !testkit.Happens(func() bool { return runtime.NumGoroutine() <= goroutines && testkit.OpenFDs() <= descriptors }) {
		fmt.Fprintf(os.Stderr, "left over: %d goroutines, %d descriptors\n",
			runtime.NumGoroutine()-goroutines, testkit.OpenFDs()-descriptors)
		code = 1
	}
	os.Exit(code)
}

// finished is Run with a limit on the time.
func finished(t testing.TB, o Options) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cut {
		t.Fatalf("the run did not end by itself: %+v", *r)
	}
	checkSums(t, r)
	return r
}

// checkSums reports whether the numbers of r agree with each other.
func checkSums(t testing.TB, r *Result) {
	t.Helper()
	s := r.Status
	byStatus := s.S2xx + s.S3xx + s.S4xx + s.S5xx + s.Other
	if e := &r.Errors; r.Requests != r.Answers+e.Connect+e.Handshake+e.Timeout+e.Reset+e.Protocol ||
		r.Answers != byStatus || r.Answers != r.Latency.TotalCount() || e.Status != s.S4xx+s.S5xx+s.Other {
		t.Errorf("the numbers disagree: %+v, %d latencies", *r, r.Latency.TotalCount())
	}
}

// backend starts a demo backend until the end of the test.
func backend(t testing.TB, addr string) *backends.Server {
	t.Helper()
	s, err := backends.Start(backends.Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// scripted is a server with the behaviour that a test gives it.
type scripted struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]bool
	tasks sync.WaitGroup
}

// serve runs do on every connection, until the end of the test. The connection ends
// with do.
func serve(t testing.TB, do func(c *peer)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{Listener: ln, conns: map[net.Conn]bool{}}
	s.tasks.Go(func() { s.accept(do) })
	t.Cleanup(s.stop)
	return "http://" + ln.Addr().String() + "/"
}

func (s *scripted) accept(do func(c *peer)) {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.tasks.Go(func() {
			do(&peer{Conn: c, r: bufio.NewReader(c)})
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *scripted) stop() {
	s.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

// peer is the server's side of one connection.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// request reads one request and returns its head, and false at the end.
func (p *peer) request() (head string, ok bool) {
	length := 0
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return "", false
		}
		head += line
		if line == "\r\n" {
			break
		}
		if v, found := strings.CutPrefix(line, "Content-Length: "); found {
			length, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	_, err := io.CopyN(io.Discard, p.r, int64(length))
	return head, err == nil
}

// say writes text and returns false when that fails.
func (p *peer) say(text string) bool {
	_, err := io.WriteString(p, text)
	return err == nil
}

// reset makes the connection end with a reset.
func (p *peer) reset() { p.Conn.(*net.TCPConn).SetLinger(0) }

// wait waits for the end of the other side.
func (p *peer) wait() { io.Copy(io.Discard, p.r) }

// ok is an answer with a body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// serveAll answers every request with text.
func serveAll(text string) func(*peer) {
	return func(p *peer) {
		for {
			if _, more := p.request(); !more || !p.say(text) {
				return
			}
		}
	}
}
