package crew

import (
	"testing"

	"lb/internal/tlsconf"
	"lb/supervise/plan"
)

// TestProcs: with TLS there is a processor for the handshakes beside each loop.
func TestProcs(t *testing.T) {
	plain, secure := &plan.Snapshot{}, &plan.Snapshot{Secrets: &tlsconf.Secrets{}}
	for _, tc := range []struct {
		n    int
		s    *plan.Snapshot
		want int
	}{{1, plain, 2}, {4, plain, 5}, {1, secure, 3}, {4, secure, 9}} {
		if got := procs(tc.n, tc.s); got != tc.want {
			t.Errorf("%d loops, TLS %v: %d, want %d", tc.n, tc.s == secure, got, tc.want)
		}
	}
}
