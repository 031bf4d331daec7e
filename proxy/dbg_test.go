package proxy

import (
	"flag"
	"testing"
)

var dbgClient = flag.Int("client", 0, "")

func TestDbg(t *testing.T) {
	s := newSim(t, uint64(*simSeed))
	s.run(&testing.T{}, uint64(*simSeed))
	c := s.clients[*dbgClient]
	for _, r := range c.requests {
		t.Logf("%+v", struct {
			id, minor, code, size int
			f, m                  string
			bl                    int
			chunked, last, expect bool
			a                     int
		}{r.id, r.minor, r.code, r.size, r.framing, r.method, len(r.body), r.chunked, r.last, r.expect, r.arrived})
	}
	g := c.peer.Received()
	t.Logf("%q quits %v, pipe %v", g[max(0, len(g)-600):], c.quits, c.pipelined)
}
