package e2e

import (
	"slices"
	"testing"
	"time"
)

// 64 conns that stay are spread over 8 loops: five seconds on, the busiest has at
// most one and a half times the mean. The conns that are passed on are like others.
func TestConnsAreSpread(t *testing.T) {
	eachModeAlone(t, func(t *testing.T, mode string) {
		const loops, kept = 8, 64
		for range 3 { // the kernel deals them out differently each time
			s := begin(t, mode, setup{workers: loops, admin: true, backends: to(checkedMany(t, 2)...)})
			w := s.send(kept, 0)
			begun := time.Now()
			var conns []int
			for spread := false; !spread && time.Since(begun) < 5*time.Second; pause(20*time.Millisecond, nil) {
				conns = nil
				sum := 0
				for _, l := range s.status().serving() {
					conns = append(conns, l.Conns)
					sum += l.Conns
				}
				spread = sum == kept && len(conns) == loops && slices.Max(conns) <= kept/loops*3/2
			}
			t.Logf("%v after %v", conns, time.Since(begun))
			if len(conns) != loops || slices.Max(conns) > kept/loops*3/2 {
				t.Errorf("%v conns of 8 loops, want %d at most", conns, kept/loops*3/2)
			}
			w.more(t, 2*kept)
			w.wantNone(t)
			s.wantCounted(w, 0)
			if got := s.metrics(t)["lb_client_connections_accepted_total"]; got != kept {
				t.Errorf("%v conns are counted as accepted, want %d", got, kept)
			}
			s.stop()
		}
	})
}
