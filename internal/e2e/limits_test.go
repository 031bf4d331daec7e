package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lb/internal/testkit"
)

// short is a timeout that a test waits for. After late, some other timeout must have
// passed; the others are ten seconds at least.
const short, late = 300 * time.Millisecond, 9 * time.Second

// The timeouts of lb.toml pass when they should, not before, and the answer says which
// side was late. Where the conn is closed without an answer, the status is 0.
func TestTimeouts(t *testing.T) {
	testkit.Long(t)
	silent := func(c net.Conn) { io.Copy(io.Discard, c) }
	for _, tc := range []struct {
		name, key string
		send      string
		drip      string // sent over and over, faster than the deadline
		backend   func(c net.Conn)
		status    int
	}{
		{"part of a head", "client_header", "GET / HTTP/1.1\r\n", "", silent, 408},
		{"a head in small pieces", "client_header", "GET / HTTP/1.1\r\nA: ", "b", silent, 408},
		{"part of a body", "client_body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", "", silent, 408},
		{"no answer", "response", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", silent, 504},
		{"no request", "client_idle", "", "", silent, 0},
		{"part of an answer", "backend_body", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
			silent(c)
		}, 200},
		{"silence in a tunnel", "tunnel_idle", upgradeRequest, "", func(c net.Conn) {
			io.WriteString(c, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: shout"))
			silent(c)
		}, 101},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachListener(t, func(t *testing.T, mode string) {
				p := start(t, mode, setup{
					backends: to(script(t, tc.backend)),
					tables:   fmt.Sprintf("[timeouts]\n%s = %q\n", tc.key, short),
				})
				begun := time.Now() // before the dial, because the deadline may count from the accept
				c := dial(t, p.addr)
				c.send(t, tc.send)
				if tc.drip != "" {
					defer drip(c, tc.drip)()
				}
				status := 0
				resp, body, err := c.try()
				if resp != nil {
					status = resp.StatusCode
				}
				if status != tc.status {
					t.Errorf("status %d, %q, %v; want %d", status, body, err, tc.status)
				}
				if status == 200 && err == nil {
					t.Errorf("a part of an answer, %q, looks whole", body)
				}
				if tc.status != 504 { // a 504 is not the client's doing, and keeps its conn
					io.Copy(io.Discard, c.in) // up to the end of the conn
				}
				if took := time.Since(begun); took < short || took > late {
					t.Errorf("it took %v, want %v", took, short)
				}
			})
		})
	}
}

// drip sends text again and again until stop is closed.
func drip(c net.Conn, text string) (stop func()) {
	end := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		again := time.NewTicker(short / 20)
		defer again.Stop()
		for {
			select {
			case <-end:
				return
			case <-again.C:
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}()
	return func() { close(end); <-done }
}

func TestSizes(t *testing.T) {
	const limit = 1000
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n)) }
	for name, tc := range map[string]struct {
		head, body string
		status     int
	}{
		"body of the limit":      {fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", limit), strings.Repeat("x", limit), 200},
		"body above the limit":   {fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", limit+1), "", 413},
		"chunks up to the limit": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(limit/2) + chunk(limit/2) + "0\r\n\r\n", 200},
		"chunks above the limit": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(limit/2) + chunk(limit/2+1), 413},
		"long head":              {"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("x", 2<<10) + "\r\n\r\n", "", 431},
		"many fields":            {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 10) + "\r\n", "", 431},
		"long target":            {"GET /" + strings.Repeat("x", 200) + " HTTP/1.1\r\nHost: x\r\n\r\n", "", 414},
	} {
		t.Run(name, func(t *testing.T) {
			eachListener(t, func(t *testing.T, mode string) {
				p := start(t, mode, setup{
					backends: to(serve(t, echo)),
					tables:   fmt.Sprintf("[limits]\nbody_bytes = %d\nheader_bytes = \"2KiB\"\nfields = 10\ntarget_bytes = 200\n", limit),
				})
				c := dial(t, p.addr)
				c.send(t, tc.head+tc.body)
				resp, body := c.answer(t)
				if resp.StatusCode != tc.status {
					t.Errorf("%s, want %d", resp.Status, tc.status)
				}
				if tc.status == 200 && len(body) != limit {
					t.Errorf("%d bytes came back, want %d", len(body), limit)
				}
				if tc.status != 200 && !resp.Close {
					t.Errorf("%s, and the conn goes on: nobody knows where", resp.Status)
				}
			})
		})
	}
}

// Above the limit a client is served only after another one has left, but then it is.
func TestConnectionLimit(t *testing.T) {
	for _, loops := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d loops", loops), func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) { limitConnections(t, mode, loops) })
		})
	}
}

func limitConnections(t *testing.T, mode string, loops int) {
	const limit, clients = 4, 32
	var served, most atomic.Int64 // requests at the backend
	release := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := served.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		served.Add(-1)
	})
	p := start(t, mode, setup{
		workers: loops, backends: to(addr),
		tables: fmt.Sprintf("[limits]\nconnections = %d\n", limit),
	})
	results := make(chan error, clients)
	for range clients {
		c := dial(t, p.addr)
		c.send(t, lines("GET / HTTP/1.1", "Host: x"))
		go func() {
			resp, _, err := c.try()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("got %s", resp.Status)
			}
			c.Close()
			results <- err
		}()
	}
	for left := clients; left > 0; left-- {
		want := int64(min(left, limit)) // whatever loop they are at
		testkit.Until(t, "clients up to the limit", func() bool { return served.Load() == want })
		select {
		case release <- struct{}{}:
		case <-time.After(testkit.Patience):
			t.Fatalf("%d clients are lost", left)
		}
	}
	for range clients {
		if err := testkit.Wait(t, results, "the clients to end"); err != nil {
			t.Error(err)
		}
	}
	if n := most.Load(); n > limit {
		t.Errorf("%d clients were served at once, want %d at most", n, limit)
	}
}
