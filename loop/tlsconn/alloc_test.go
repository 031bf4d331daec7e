//go:build !race

package tlsconn

import "testing"

// TestNoAllocations: neither this package nor crypto/tls allocates for a request and its
// answer. What crypto/tls would allocate without lend is a reader for each record.
func TestNoAllocations(t *testing.T) {
	d := newDuo(t, true)
	request, head, buf := make([]byte, 120), make([]byte, 250), make([]byte, 80<<10)
	for _, size := range []int{100, 64 << 10} {
		body := make([]byte, size)
		d.exchange(t, buf, request, head, body)
		if n := testing.AllocsPerRun(200, func() { d.exchange(t, buf, request, head, body) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}
