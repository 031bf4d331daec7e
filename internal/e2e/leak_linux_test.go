package e2e

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"lb/internal/testkit"
)

// trace is what lb has open and running while it has nothing to do.
type trace struct {
	processes   []stat
	descriptors int
}

// keepNothing makes lb close idle conns to backends soon. A client that has ended its
// stream after a request may still read, which lb only learns when it answers.
const keepNothing = "[timeouts]\nbackend_idle = \"100ms\"\nresponse = \"5s\"\n"

// atRest waits until lb has no conns and no exchanges, and returns its trace then.
func (p *process) atRest(t *testing.T) trace {
	t.Helper()
	for _, gauge := range []string{"client_connections", "exchanges", "tunnels", "backend_idle_connections", "backend_connections"} {
		testkit.Until(t, gauge+" to be 0", func() bool { return p.metrics(t)["lb_"+gauge] == 0 })
	}
	return trace{p.processes(t), p.descriptors(t)}
}

// wantTrace waits until lb has no more open and running than before.
func (p *process) wantTrace(t *testing.T, before trace) {
	t.Helper()
	p.atRest(t)
	now := 0
	testkit.Until(t, fmt.Sprintf("%d descriptors", before.descriptors), func() bool {
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

// abortsMemoryMax is how many bytes lb may grow by after another 1,000 aborts: garbage
// that Go has not collected yet, but not a slab for each. More of them may be open at once
// than in the rounds before, and grow it by more; what leaks grows it in every round.
const abortsMemoryMax = 10 << 20

// 1,000 clients that leave in the middle, with an end of the stream or a reset,
// leave nothing behind, and other clients are served.
func TestAbortsLeaveNothing(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
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
		round(clients / len(aborts)) // lb keeps slabs and the like, for that many at once, for a while
		before := p.atRest(t)
		grown := int64(abortsMemoryMax + 1)
		for rounds := 0; grown > abortsMemoryMax && rounds < 4; rounds++ {
			memory := p.memory(t)
			round(clients/len(aborts) + 1)
			p.wantTrace(t, before)
			grown = p.memory(t) - memory
			t.Logf("memory grew by %d KiB", grown>>10)
			if raceOn {
				break
			}
		}
		if n := p.metrics(t)["lb_client_aborts_total"]; n == 0 {
			t.Error("no client is counted that went away")
		}
		if grown > abortsMemoryMax && !raceOn {
			t.Errorf("memory grew by %d bytes, want %d at most", grown, abortsMemoryMax)
		}
	})
}

// After backends that break off, anywhere in an answer, nothing is left in lb either. A
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

// After many clients that come and go as they should, nothing of them is left in lb.
func TestManyConnsLeaveNothing(t *testing.T) {
	testkit.Long(t)
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
