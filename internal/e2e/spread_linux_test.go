package e2e

import (
	"slices"
	"testing"
	"time"

	"lb/internal/testkit"
)

// 64 conns that stay open are spread over 8 loops: after a while, five seconds at most on
// an idle machine, the busiest loop has at most one and a half times the mean. Conns that
// were passed on work like others.
func TestConnsAreSpread(t *testing.T) {
	testkit.Long(t)
	eachModeAlone(t, func(t *testing.T, mode string) {
		const loops, kept = 8, 64
		best := testkit.Patience
		for range 3 { // the kernel deals them out differently each time
			s := begin(t, mode, setup{workers: loops, admin: true, backends: to(checkedMany(t, 2)...)})
			w := s.send(kept, 0)
			begun := time.Now()
			var conns []int
			testkit.Until(t, "the conns to be spread", func() bool {
				conns = nil
				sum := 0
				for _, l := range s.status().serving() {
					conns = append(conns, l.Conns)
					sum += l.Conns
				}
				return sum == kept && len(conns) == loops && slices.Max(conns) <= kept/loops*3/2
			})
			t.Logf("%v after %v", conns, time.Since(begun))
			best = min(best, time.Since(begun))
			w.more(t, 2*kept)
			w.wantNone(t)
			s.wantCounted(w, 0)
			if got := s.metrics(t)["lb_client_connections_accepted_total"]; got != kept {
				t.Errorf("%v conns are counted as accepted, want %d", got, kept)
			}
			s.stop()
		}
		if best > 5*time.Second {
			t.Errorf("at best the conns were spread after %v, want 5s at most", best)
		}
	})
}
