package e2e

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// trace is what lb has open and running when nothing is to be done.
type trace struct {
	processes   []stat
	descriptors int
}

// keepNothing has conns to backends closed soon when nobody uses them. A client
// that has asked and then ended its stream may still read: lb finds out when the
// answer comes, or does not.
const keepNothing = "[timeouts]\nbackend_idle = \"100ms\"\nresponse = \"500ms\"\n"

// atRest waits until lb has no conns and no exchanges, and returns what it has then.
func (p *process) atRest(t *testing.T) trace {
	t.Helper()
	for _, gauge := range []string{"client_connections", "exchanges", "tunnels", "backend_idle_connections", "backend_connections"} {
		until(t, gauge+" to be 0", func() bool { return p.metrics(t)["lb_"+gauge] == 0 })
	}
	return trace{p.processes(t), p.descriptors(t)}
}

// wantTrace wants lb to come back to what it had open and running before.
func (p *process) wantTrace(t *testing.T, before trace) {
	t.Helper()
	p.atRest(t)
	now := 0
	until(t, fmt.Sprintf("%d descriptors", before.descriptors), func() bool {
		now = p.descriptors(t)
		return now <= before.descriptors
	})
	if got := p.processes(t); !slices.Equal(got, before.processes) {
		t.Errorf("processes %v, want those from before, %v", got, before.processes)
	}
	if n := p.metrics(t)["lb_panics_total"]; n != 0 {
		t.Errorf("%v panics", n)
	}
}

// aborts are what a client does before it leaves without a word.
var aborts = map[string]func(c net.Conn) error{
	"no byte":           func(net.Conn) error { return nil },
	"part of a head":    says("GET / HTTP/1.1\r\nHo"),
	"part of a body":    says("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 50000)),
	"part of chunks":    says("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nff\r\nhel"),
	"no answer yet":     says("GET /delay/1h HTTP/1.1\r\nHost: x\r\n\r\n"),
	"several asked":     says(strings.Repeat("GET /bytes/100000 HTTP/1.1\r\nHost: x\r\n\r\n", 20)),
	"not HTTP":          says("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	"part of an answer": says("GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n", 100000),
	"in a tunnel": says("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82", 100),
}

// says returns what sends text and, if it is to, reads so many bytes of an answer.
func says(text string, read ...int64) func(c net.Conn) error {
	return func(c net.Conn) error {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		for _, n := range read {
			if _, err := io.CopyN(io.Discard, c, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// abortsMemoryMax is how many bytes lb may grow by for another 1,000 of them: what
// Go's collector lets lie, but not a slab of each.
const abortsMemoryMax = 6 << 20

// 1,000 clients that leave in the middle, with an end of the stream or a reset,
// leave nothing behind, and nobody else suffers.
func TestAbortsLeaveNothing(t *testing.T) {
	eachModeAlone(t, func(t *testing.T, mode string) {
		backend := demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(backend.Addr()), admin: true, tables: keepNothing})
		round := func(n int) {
			for how, act := range aborts {
				var all sync.WaitGroup
				for i := range n {
					all.Go(func() {
						if err := leave(p.addr, act, i%2 == 0); err != nil {
							t.Errorf("%s: %v", how, err)
						}
					})
				}
				all.Wait()
				client := newClient(t)
				resp, _ := get(t, client, p.url("/"))
				want200(t, resp, "b")
				client.CloseIdleConnections()
			}
		}
		const clients = 1000
		round(clients / len(aborts)) // slabs and the like, for so many at once, are kept for a while
		before := p.atRest(t)
		memory := p.memory(t)
		round(clients/len(aborts) + 1)
		p.wantTrace(t, before)
		if n := p.metrics(t)["lb_client_aborts_total"]; n == 0 {
			t.Error("no client is counted that went away")
		}
		grown := p.memory(t) - memory
		t.Logf("memory grew by %d KiB", grown>>10)
		if grown > abortsMemoryMax && !raceOn {
			t.Errorf("memory grew by %d bytes, want %d at most", grown, abortsMemoryMax)
		}
	})
}

// leave dials, acts, and is gone.
func leave(addr string, act func(c net.Conn) error, reset bool) error {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if reset {
		c.(*net.TCPConn).SetLinger(0)
	}
	return act(c)
}

// Backends that break off, anywhere in an answer, leave nothing behind either. A
// client gets an answer of lb's, or one that does not look whole.
func TestBrokenBackendsLeaveNothing(t *testing.T) {
	answers := []string{
		"",
		"HTTP/1.1 20",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
		"SSH-2.0-OpenSSH_9.2\r\n",
	}
	eachMode(t, func(t *testing.T, mode string) {
		var n atomic.Int64
		p := start(t, mode, setup{admin: true, tables: keepNothing, backends: to(script(t, func(c net.Conn) {
			if readHead(c) == "" {
				return
			}
			i := int(n.Add(1))
			io.WriteString(c, answers[i%len(answers)])
			if i/len(answers)%2 == 0 {
				c.(*net.TCPConn).SetLinger(0)
			}
		}))})
		client := newClient(t)
		round := func(n int) {
			for range n {
				resp, body, err := tryGet(client, p.url("/"))
				if resp == nil {
					t.Fatal(err)
				}
				if resp.StatusCode != 502 && err == nil {
					t.Errorf("%s with %q looks whole", resp.Status, body)
				}
			}
			client.CloseIdleConnections()
		}
		round(2 * len(answers))
		before := p.atRest(t)
		round(20 * len(answers))
		p.wantTrace(t, before)
	})
}

// Many clients that come and go as they should leave nothing behind.
func TestManyConnsLeaveNothing(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{backends: to(demo(t, "127.0.0.1:0", "b").Addr()), admin: true, tables: keepNothing})
		round := func(n int) {
			conns, err := openIdle(p.addr, n)
			for _, c := range conns {
				c.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		round(100)
		before := p.atRest(t)
		for range 4 {
			round(500)
		}
		p.wantTrace(t, before)
		if got := p.metrics(t)["lb_client_connections_accepted_total"]; got != 2100 {
			t.Errorf("%v conns were accepted, want 2100", got)
		}
	})
}
