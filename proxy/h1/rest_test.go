package h1

import (
	"strings"
	"testing"

	"lb/loop/looptest"
	"lb/proxy/front"
)

// TestAHalfHeadHoldsWhatItHas: clients that stop in the middle of a head hold a slab that
// fits its bytes, and share the memory for fields. Then their requests are answered.
func TestAHalfHeadHoldsWhatItHas(t *testing.T) {
	r := newRig(t)
	r.how = front.Close
	long := r.connect("GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 1500))
	short := r.connect("GET / HTTP/1.1\r\nHost: a\r\nA:")
	r.connect("GET / HTTP/1.1\r\n").Close()
	for c := r.s.open; c != nil; c = c.next {
		want := 512
		if c.in.Len() > parseAgainMax {
			want = 2048
		}
		if got := len(c.in.Slab.B); got != want {
			t.Errorf("%d bytes of a head hold %d, want %d", c.in.Len(), got, want)
		}
		if (c.req.Fields == nil) != (want == 512) {
			t.Errorf("%d bytes of a head hold memory for fields: %t", c.in.Len(), c.req.Fields != nil)
		}
	}
	if got := len(r.s.fields); got != 1 {
		t.Errorf("memory for the fields of %d requests is free, want 1", got)
	}
	short.Send([]byte(" b\r\n"))
	r.turn()
	for _, p := range []interface{ Send([]byte) bool }{short, long} {
		p.Send([]byte("\r\n\r\n"))
		r.turn()
	}
	short.Close()
	long.Close()
	r.turn()
	if r.begun != 3 || len(r.ends) != 1 { // the one that left
		t.Errorf("%d begun, ends %v", r.begun, r.ends)
	}
	r.check(t)
}

// TestTrim: what was needed since the last Trim stays, the rest goes.
func TestTrim(t *testing.T) {
	r := newRig(t)
	r.how = front.Close
	for _, n := range []int{5, 2, 0} {
		var clients []*looptest.Peer
		for range n {
			clients = append(clients, r.connect("GET / HTTP/1.1\r\nHost: a\r\nA:"))
		}
		for _, c := range clients {
			c.Send([]byte("\r\n\r\n"))
			r.turn()
			c.Close()
			r.turn()
		}
		before := r.s.free
		if freed := r.s.Trim(); r.s.free != n || freed != (before-n)*requestBytes || len(r.s.fields) > 2 {
			t.Errorf("%d needed: %d of %d are free, %d bytes freed, memory for the fields of %d", n, r.s.free, before, freed, len(r.s.fields))
		}
	}
	r.check(t)
}
