package proxy

import (
	"strings"
	"testing"

	"lb/config"
	"lb/loop/looptest"
	"lb/proxy/watch"
)

// h2Asker is a line of a client of HTTP/2, and what came on it.
type h2Asker struct {
	*h2Line
	got   string
	ended bool
}

func newAsker(t *testing.T, r *rig) *h2Asker {
	e := newH2End(r.connect(rigClient), false, t.Errorf)
	e.start()
	return newAskerOn(e)
}

func newAskerOn(e *h2End) *h2Asker {
	a := new(h2Asker)
	a.h2Line = newH2Line(e, func(b []byte) { a.got += string(b) }, func() { a.ended = true })
	return a
}

// TestH2PanicCostsOneConn: a panic while a conn of HTTP/2 is run ends that conn, on either
// side, and the exchanges whose streams it has; others go on.
func TestH2PanicCostsOneConn(t *testing.T) {
	for _, side := range []string{"client", "backend"} {
		cfg := rigConfig(2)
		other := config.NewPool("other")
		other.Backends, cfg.Pools[0].Backends = cfg.Pools[0].Backends[1:], cfg.Pools[0].Backends[:1]
		cfg.Pools[0].Protocol, other.Protocol = config.ProtocolH2C, config.ProtocolH2C
		cfg.Pools = append(cfg.Pools, other)
		cfg.Routes = []config.Route{{Path: "/other", Pool: 1}}
		r := newRig(t, 1, cfg, false)
		var backends []*h2End
		var lines []*h2Line
		r.onEveryConnect(func(_ int, p *looptest.Peer) {
			e := newH2End(p, true, t.Errorf)
			e.accept = func(s *h2Stream) {
				lines = append(lines, newH2Served(s))
				lines[len(lines)-1].onText = func([]byte) {}
			}
			e.start()
			backends = append(backends, e)
		})
		one, two := newAsker(t, r), newAsker(t, r)
		third := newAskerOn(one.e)
		for i, a := range []*h2Asker{one, third, two} {
			a.Send([]byte(strings.Replace(ask, "/", []string{"/", "/other", "/other"}[i], 1)))
			r.settle()
		}
		if len(backends) != 2 || len(lines) != 3 {
			t.Fatalf("%d conns, %d requests", len(backends), len(lines))
		}
		r.panics, r.calls.panics = 1, true
		if side == "client" {
			one.e.ping()
		} else {
			backends[0].ping()
		}
		r.settle()
		if n := r.p.counters.Panics.Load(); n != 1 || one.e.over != (side == "client") || backends[0].over != (side == "backend") || two.e.over {
			t.Errorf("%s: %d panics, ended: %t, %t, %t", side, n, one.e.over, backends[0].over, two.e.over)
		}
		for _, l := range lines {
			l.Send([]byte(answer))
		}
		r.settle()
		if whole := strings.HasPrefix(third.got, "HTTP/1.1 200"); whole == (side == "client") || !strings.HasPrefix(two.got, "HTTP/1.1 200") {
			t.Errorf("%s: %q, %q", side, third.got, two.got)
		}
		if side == "backend" && !strings.HasPrefix(one.got, "HTTP/1.1 50") {
			t.Errorf("answered with %q", one.got)
		}
		r.p.counters.Panics.Sub(1)
		for _, e := range append(backends, one.e, two.e) {
			e.checkWindows()
			e.end()
		}
		r.pass(2 * watch.Every)
		if left := r.leftovers(); len(left) > 0 {
			t.Errorf("%s: left over: %q", side, left)
		}
	}
}
