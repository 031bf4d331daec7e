package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// holding is a backend that holds requests to /hold until it is let go, and counts those
// that it has at once.
type holding struct {
	addr    string
	release chan struct{}
	now     atomic.Int64
	most    atomic.Int64
}

func newHolding(t *testing.T) *holding {
	b := &holding{release: make(chan struct{})}
	b.addr = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := b.now.Add(1); n > b.most.Load() {
			b.most.Store(n)
		}
		defer b.now.Add(-1)
		if strings.HasPrefix(r.URL.Path, "/hold") {
			select {
			case <-b.release:
			case <-r.Context().Done():
			}
		}
	})
	return b
}

// limits.connections is one number: as many clients are served at once, whichever loops the
// system gives them to, and one more as soon as one has gone, wherever that was.
func TestConnectionsAreOneNumber(t *testing.T) {
	const limit = 10
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 4, backends: to(b.addr), admin: true, tables: fmt.Sprintf("[limits]\nconnections = %d\n", limit)})
		conns := open(t, p.addr, limit)
		for _, c := range conns {
			c.send(t, lines("GET /hold HTTP/1.1", "Host: x"))
		}
		testkit.Until(t, "all that may to be served", func() bool { return b.now.Load() == limit })
		more := open(t, p.addr, 4)
		for _, c := range more {
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
		}
		// A loop counts one more for a moment, to see that it is one too many.
		testkit.Until(t, "the count of conns", func() bool { return p.metrics(t)["lb_client_connections"] == limit })
		for i, c := range conns[:4] {
			c.Conn.(*net.TCPConn).SetLinger(0) // by a reset, so that the request ends as well
			c.Close()
			testkit.Until(t, "one that waited to be served", func() bool { return p.metrics(t)[`lb_client_requests_total`] >= float64(limit+i+1) })
		}
		for _, c := range more {
			if resp, _ := c.answer(t); resp.StatusCode != 200 {
				t.Errorf("%s, want 200", resp.Status)
			}
		}
		close(b.release)
	})
}

// An idle conn makes room for a new one: one that has been idle for long, whichever loop
// has it (which one: see package crowd). It ends in an orderly way, and those that are not idle stay.
func TestIdleClientsMakeRoom(t *testing.T) {
	const limit = 8
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 4, backends: to(b.addr), admin: true, tables: fmt.Sprintf("[limits]\nconnections = %d\n", limit)})
		busy := dial(t, p.addr)
		busy.send(t, lines("GET /hold HTTP/1.1", "Host: x"))
		testkit.Until(t, "it to be served", func() bool { return b.now.Load() == 1 })
		idle := open(t, p.addr, limit-1)
		for _, c := range idle {
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
			c.answer(t)
		}
		begun := time.Now()
		for range 2 * limit { // the later ones take the places of earlier ones
			c := dial(t, p.addr)
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
			if resp, _ := c.answer(t); resp.StatusCode != 200 {
				t.Errorf("%s, want 200", resp.Status)
			}
		}
		for _, c := range idle {
			c.wantEnd(t)
		}
		t.Logf("%d conns in %v", 2*limit, time.Since(begun))
		m := p.metrics(t)
		// A loop that is late with its oldest is not waited for, and may make room as well.
		if m["lb_client_connections"] > limit || m["lb_client_connections_evicted_total"] < 2*limit {
			t.Errorf("%v conns, %v were evicted, want at least %d", m["lb_client_connections"], m["lb_client_connections_evicted_total"], 2*limit)
		}
		close(b.release)
		if resp, _ := busy.answer(t); resp.StatusCode != 200 {
			t.Errorf("%s, want 200", resp.Status)
		}
	})
}

// A conn of HTTP/2 without a stream makes room, with GOAWAY; one with a stream stays.
func TestIdleHTTP2MakesRoom(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 3, backends: to(b.addr), admin: true, tables: "[limits]\nconnections = 2\n"})
		busy := h2Client(t, p.addr)
		busy.ask(true, h2Get(":path", "/hold"))
		testkit.Until(t, "it to be served", func() bool { return b.now.Load() == 1 })
		idle := h2Client(t, p.addr)
		idle.ask(true, h2Get()).answer()
		c := dial(t, p.addr)
		c.send(t, lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := c.answer(t); resp.StatusCode != 200 {
			t.Errorf("%s, want 200", resp.Status)
		}
		idle.wait(func() bool { return false })
		if g := idle.goaways; len(g) != 1 || g[0].code != 0 || g[0].last != 1 {
			t.Errorf("GOAWAY %v, want one that names the last stream", g)
		}
		close(b.release)
	})
}

// connections_per_client counts the conns of one address over all loops; those of others are
// not concerned. What is more is closed at once.
func TestConnectionsPerClient(t *testing.T) {
	const limit = 3
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 4, backends: to(b.addr), admin: true, tables: fmt.Sprintf("[limits]\nconnections_per_client = %d\n", limit)})
		conns := open(t, p.addr, limit)
		for _, c := range conns {
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
			c.answer(t)
		}
		for range 5 {
			c := dial(t, p.addr)
			if _, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x")); err == nil {
				t.Error("one too many is served")
			}
		}
		other, err := dialFrom(p.addr, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := served(other); err != nil {
			t.Errorf("another client: %v", err)
		}
		if got := p.metrics(t)[`lb_client_connections_refused_total{reason="per_client"}`]; got != 5 {
			t.Errorf("%v are counted, want 5", got)
		}
		conns[0].Close()
		testkit.Until(t, "one more to be let in", func() bool {
			c := dial(t, p.addr)
			_, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x"))
			return err == nil
		})
		testkit.Until(t, "a line in the log", func() bool { return p.told("limits.connections_per_client") > 0 })
	})
}

// deny wins over allow, for routes by the address that trusted proxies name, for listeners by
// that of the conn.
func TestAccess(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 2, backends: to(b.addr), admin: true,
			listeners: []string{"127.0.0.1:0\ndeny = [\"127.0.0.3\"]"},
			keys:      "trusted_proxies = [\"127.0.0.1\"]\n",
			tables:    "[[routes]]\npath = \"/in\"\npool = \"default\"\nallow = [\"10.0.0.0/8\", \"2001:db8::/32\"]\ndeny = [\"10.9.0.0/16\"]\n"})
		for from, want := range map[string]int{"10.1.1.1": 200, "10.9.1.1": 403, "11.1.1.1": 403, "2001:db8::7": 200, "": 403} {
			c := dial(t, p.addr)
			head := []string{"GET /in/x HTTP/1.1", "Host: x"}
			if from != "" {
				head = append(head, "X-Forwarded-For: "+from)
			}
			c.send(t, lines(head...))
			if resp, _ := c.answer(t); resp.StatusCode != want {
				t.Errorf("from %q: %s, want %d", from, resp.Status, want)
			}
			c.send(t, lines("GET / HTTP/1.1", "Host: x")) // another route, on the same conn
			if resp, _ := c.answer(t); resp.StatusCode != 200 {
				t.Errorf("%s, want 200", resp.Status)
			}
		}
		c, err := dialFrom(p.addr, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := served(c); err != nil {
			t.Errorf("from 127.0.0.2: %v", err)
		}
		if c, err := dialFrom(p.addr, 2); err == nil {
			if served(c) == nil {
				t.Error("127.0.0.3 is served")
			}
			c.Close()
		}
		testkit.Until(t, "it to be counted", func() bool {
			return p.metrics(t)[`lb_client_connections_refused_total{reason="denied"}`] == 1
		})
	})
}

// requests_max holds over all loops; what is more waits and is served in time, or is refused
// after timeouts.queue. Other routes are not concerned.
func TestRequestsMax(t *testing.T) {
	const limit, clients = 3, 12
	eachMode(t, func(t *testing.T, mode string) {
		b := newHolding(t)
		p := start(t, mode, setup{workers: 4, backends: to(b.addr), admin: true,
			tables: fmt.Sprintf("[timeouts]\nqueue = \"1h\"\n[[routes]]\npath = \"/hold\"\npool = \"default\"\nrequests_max = %d\n", limit)})
		var all []<-chan lateAnswer
		for range clients {
			all = append(all, later(newClient(t), p.url("/hold")))
		}
		testkit.Until(t, "the others to wait", func() bool {
			return p.metrics(t)["lb_route_queued_requests"] == clients-limit && b.now.Load() == limit
		})
		if resp, _ := get(t, newClient(t), p.url("/other")); resp.StatusCode != 200 {
			t.Errorf("another route: %s", resp.Status)
		}
		gone := dial(t, p.addr) // a client that gives up
		gone.send(t, lines("GET /hold HTTP/1.1", "Host: x"))
		testkit.Until(t, "it to wait", func() bool { return p.metrics(t)["lb_route_queued_requests"] == clients-limit+1 })
		gone.Close()
		testkit.Until(t, "it to leave", func() bool { return p.metrics(t)["lb_route_queued_requests"] == clients-limit })
		close(b.release)
		for _, c := range all {
			if a := testkit.Wait(t, c, "an answer"); a.status != 200 {
				t.Errorf("status %d, %v; want 200", a.status, a.err)
			}
		}
		if most := b.most.Load(); most > limit+1 { // and that of the other route
			t.Errorf("%d at once, want %d", most, limit)
		}
	})
}

// A worker that is killed leaves no count: its clients, their requests and its idle conns to
// backends make room for others.
func TestLimitsOfKilledWorkers(t *testing.T) {
	const limit = 6
	b := newHolding(t)
	p := start(t, "mp", setup{workers: 3, backends: []backend{{addr: b.addr, keys: "max_connections = 6\nidle_max = 6\n"}}, admin: true,
		tables: fmt.Sprintf("[limits]\nconnections = %d\nconnections_per_client = %d\n[[routes]]\npath = \"/hold\"\npool = \"default\"\nrequests_max = %d\n", limit, limit, limit)})
	for round := range 3 {
		conns := open(t, p.addr, limit)
		for _, c := range conns {
			c.send(t, lines("GET /hold HTTP/1.1", "Host: x"))
		}
		testkit.Until(t, "all to be served", func() bool { return b.now.Load() == limit })
		pids := p.workers(t)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Until(t, "other workers", func() bool {
			m := p.metrics(t)
			return m["lb_workers"] == 3 && m["lb_worker_restarts_total"] == float64(3*(round+1)) && m["lb_client_connections"] == 0
		})
		testkit.Until(t, "the backend to notice", func() bool { return b.now.Load() == 0 })
		for _, c := range conns {
			c.Close()
		}
	}
	for range limit {
		if resp, _ := get(t, newClient(t), p.url("/")); resp.StatusCode != 200 {
			t.Errorf("%s, want 200", resp.Status)
		}
	}
}

// A backend that serves one conn at a time is not locked by the idle conn of another loop, be
// it for max_connections = 1 or for idle_max = 0.
func TestOneConnAtATime(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		for _, keys := range []string{"max_connections = 1\n", "idle_max = 0\n"} {
			var one sync.Mutex
			addr := script(t, func(c net.Conn) {
				one.Lock()
				defer one.Unlock()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
						return
					}
				}
			})
			p := start(t, mode, setup{workers: 4, backends: []backend{{addr: addr, keys: keys}}, tables: "[timeouts]\nresponse = \"10s\"\n[retry]\nattempts = 0\n"})
			begun := time.Now()
			for range 20 {
				c := dial(t, p.addr)
				c.send(t, lines("GET / HTTP/1.1", "Host: x"))
				if resp, _ := c.answer(t); resp.StatusCode != 200 {
					t.Errorf("%s: %s, want 200", keys, resp.Status)
				}
				c.Close()
			}
			t.Logf("%s: 20 requests in %v", strings.TrimSpace(keys), time.Since(begun))
		}
	})
}
