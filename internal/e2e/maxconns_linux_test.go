package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// gauge counts the running requests of a backend: their heads have come, their answers
// have not begun, and their conns are open. The requests of a killed worker end with
// its conns, perhaps long before the backend would notice.
type gauge struct {
	mu   sync.Mutex
	at   map[net.Conn]struct{}
	most int
	all  int
}

func (g *gauge) enter(t *testing.T, c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all++
	g.at[c] = struct{}{}
	if len(g.at) <= g.most {
		return
	}
	for c := range g.at {
		if over(t, c) {
			delete(g.at, c)
		}
	}
	g.most = max(g.most, len(g.at))
}

func (g *gauge) leave(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.at, c)
}

// seen returns the number of requests so far, and the most that ran at once.
func (g *gauge) seen() (all, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all, g.most
}

// over reports whether the other side has closed c. No goroutine may read c meanwhile.
func over(t *testing.T, c net.Conn) (gone bool) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Error(err)
		return false
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
	})
	return gone || err != nil
}

// gauged is a slow backend with a gauge.
func gauged(t *testing.T) (addr string, g *gauge) {
	g = &gauge{at: map[net.Conn]struct{}{}}
	return requests(t, func(c net.Conn, _ *http.Request, _ []byte) bool {
		g.enter(t, c)
		pause(5*time.Millisecond+rand.N(20*time.Millisecond), nil)
		g.leave(c) // before the answer: lb may send the next request once it has it
		_, err := io.WriteString(c, emptyAnswer)
		return err == nil
	}), g
}

// No backend ever has more running requests than max_connections, over eight loops that
// all want more, also while a worker is killed every second. All waiting requests have
// their turn, except those of killed workers.
func TestMaxConnections(t *testing.T) {
	testkit.Long(t)
	const limit, clients, loops = 10, 96, 8
	eachModeAlone(t, func(t *testing.T, mode string) {
		a, ofA := gauged(t)
		b, ofB := gauged(t)
		keys := fmt.Sprintf("max_connections = %d\n", limit)
		p := start(t, mode, setup{
			workers: loops, keys: "strategy = \"least_conn\"\n", admin: true,
			backends: []backend{{addr: a, keys: keys}, {addr: b, keys: keys}},
		})
		var cut atomic.Int64 // conns that ended with their worker
		conns := open(t, p.addr, clients)
		w := gather(t, clients, func(i int, _ <-chan struct{}) error {
			resp, _, err := conns[i].ask(lines("GET / HTTP/1.1", "Host: x"))
			if err != nil && mode == "mp" {
				cut.Add(1)
				conns[i].Close()
				conns[i], err = redial(p.addr)
				return err
			} else if err == nil && resp.StatusCode != 200 {
				err = fmt.Errorf("%s, want 200", resp.Status)
			}
			return err
		})
		w.more(t, 10*clients)
		kills := 0
		if mode == "mp" {
			kills = 3
		}
		for n := range kills {
			pids := p.workers(t)
			if err := syscall.Kill(pids[n%len(pids)], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testkit.Until(t, "a new worker", func() bool {
				m := p.metrics(t)
				return m["lb_workers"] == loops && m["lb_worker_restarts_total"] == float64(n+1)
			})
			pause(time.Second, w.stop)
		}
		w.more(t, 10*clients)
		for _, g := range []*gauge{ofA, ofB} {
			testkit.Until(t, "the limit to be reached", func() bool { _, most := g.seen(); return most >= limit || t.Failed() })
		}
		w.leave()
		for _, c := range conns {
			c.Close()
		}
		for _, g := range []*gauge{ofA, ofB} {
			all, most := g.seen()
			t.Logf("%d requests, at most %d at once; %d were cut off", all, most, cut.Load())
			if most != limit {
				t.Errorf("%d requests at once at a backend, want %d and no more", most, limit)
			}
		}
		if max := int64(kills * 4 * clients / loops); cut.Load() > max {
			t.Errorf("%d conns were cut off by %d kills, want %d at most", cut.Load(), kills, max)
		}
		testkit.Until(t, "nothing to be in flight", func() bool {
			m := p.metrics(t)
			return m[ofBackend("attempts_in_flight", a)] == 0 && m[ofBackend("attempts_in_flight", b)] == 0
		})
	})
}

// redial is dial for any goroutine; the conn is the caller's to close.
func redial(addr string) (*rawConn, error) {
	c, err := connect(addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(2 * testkit.Patience))
	return newRawConn(c), nil
}
