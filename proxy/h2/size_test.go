package h2

import (
	"slices"
	"testing"
	"unsafe"
)

// TestIdleConn: what an idle conn takes beside its TLS, of which an HTTP/2 conn may have 1.3 KB
// with its tables.
func TestIdleConn(t *testing.T) {
	if n := unsafe.Sizeof(conn{}); n > 1100 {
		t.Errorf("a conn is %d bytes", n)
	}
}

// TestBurst: the streams that a burst has made go when they were not needed for a while, and
// those of a steady flow stay.
func TestBurst(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	id := uint32(1)
	burst := func(n int) {
		var all [][]byte
		for range n {
			all = append(all, ask(id, true))
			id += 2
		}
		p.send(slices.Concat(all...))
		for _, x := range r.waiting {
			x.answer(200, "")
		}
		r.waiting = nil
		r.turn()
	}
	for i, tc := range []struct{ streams, freed int }{{4, 0}, {4, 0}, {1, 3}, {1, 0}, {1, 0}, {0, 1}} {
		burst(tc.streams)
		if freed := r.s.Trim(); freed != tc.freed*streamBytes {
			t.Errorf("%d: after %d streams %d bytes are freed, want those of %d", i, tc.streams, freed, tc.freed)
		}
	}
	p.leave()
}
