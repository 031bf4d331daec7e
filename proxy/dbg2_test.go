package proxy

import (
	"testing"
)

func TestDbg2(t *testing.T) {
	s := newSim(t, uint64(*simSeed))
	s.run(&testing.T{}, uint64(*simSeed))
	for i, c := range s.clients {
		t.Logf("client %d port %d quits %v pipe %v", i, 1001+i, c.quits, c.pipelined)
		for _, r := range c.requests {
			t.Logf("   %+v", struct {
				id, minor, code, size int
				f, m                  string
				bl                    int
				chunked, last, expect bool
				a                     int
			}{r.id, r.minor, r.code, r.size, r.framing, r.method, len(r.body), r.chunked, r.last, r.expect, r.arrived})
		}
	}
}
