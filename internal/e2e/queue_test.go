package e2e

import (
	"fmt"
	"testing"
	"time"

	"lb/internal/testkit"
)

// limited is a setup with one backend that takes one request at a time, while others wait
// for as long as they may.
func limited(g *gate, queue time.Duration) setup {
	return setup{
		backends: []backend{{addr: g.addr, keys: "max_connections = 1\n"}},
		tables:   fmt.Sprintf("[timeouts]\nqueue = %q\n", queue),
		admin:    true,
	}
}

// A request that finds the backend full waits, and is forwarded as soon as there is
// room, even if another loop makes it.
func TestQueue(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		g := newGate(t, 1000)
		p := start(t, mode, limited(g, time.Hour))
		slow := later(newClient(t), p.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		var waiting []<-chan lateAnswer
		for range 16 { // on either loop
			waiting = append(waiting, later(newClient(t), p.url("/")))
		}
		testkit.Until(t, "all to wait", func() bool { return p.metrics(t)["lb_exchanges"] == 17 })
		if n := p.metrics(t)[ofBackend("attempts_in_flight", g.addr)]; n != 1 {
			t.Errorf("%v requests at the backend, want 1", n)
		}
		close(g.release)
		for _, c := range append(waiting, slow) {
			if a := testkit.Wait(t, c, "an answer"); a.status != 200 {
				t.Errorf("status %d, %v; want 200", a.status, a.err)
			}
		}
	})
}

// A request that has waited for timeouts.queue is refused with a time to try again, and
// its client keeps the conn. The running request is not disturbed.
func TestQueueTimeout(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		g := newGate(t, 1000)
		p := start(t, mode, limited(g, short))
		slow := later(newClient(t), p.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		begun, conns := time.Now(), open(t, p.addr, 8)
		for _, c := range conns {
			c.send(t, lines("GET / HTTP/1.1", "Host: x")+lines("GET / HTTP/1.1", "Host: x"))
		}
		for _, c := range conns {
			for range 2 {
				resp, _ := c.answer(t)
				if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Close {
					t.Errorf("%s, %v, close %v; want 503, Retry-After and an open conn", resp.Status, resp.Header, resp.Close)
				}
			}
			if took := time.Since(begun); took < 2*short || took > late {
				t.Errorf("two waited for %v, want %v", took, 2*short)
			}
		}
		close(g.release)
		if a := testkit.Wait(t, slow, "the slow answer"); a.status != 200 || len(a.body) != 1000 {
			t.Errorf("the slow answer: %d with %d bytes, %v; want 200 with 1000", a.status, len(a.body), a.err)
		}
	})
}
