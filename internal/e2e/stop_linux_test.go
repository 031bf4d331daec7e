package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// After a signal or a command to stop, lb answers requests that take a second and ends
// with exit code 0.
func TestStopEndsWhatRuns(t *testing.T) {
	testkit.Long(t)
	for name, tell := range map[string]func(s *service){
		"SIGTERM":  func(s *service) { s.kill(syscall.SIGTERM) },
		"SIGINT":   func(s *service) { s.kill(syscall.SIGINT) },
		"lb drain": func(s *service) { s.want("drain") },
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) {
				release := make(chan struct{})
				addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-release:
					case <-r.Context().Done():
					}
				})
				s := begin(t, mode, setup{admin: true, backends: to(addr)})
				var answers []<-chan lateAnswer
				for range 16 {
					answers = append(answers, later(newClient(t), s.url("/")))
				}
				s.until("all to run", func(st status) bool { return st.Totals.Exchanges == len(answers) })
				tell(s)
				testkit.Until(t, "conns to be refused", func() bool { return refused(s.addr) })
				if code := s.health(t); code != 503 {
					t.Errorf("health is %d in the drain, want 503", code)
				}
				if st := s.status(); st.State != "draining" {
					t.Errorf("status says %q in the drain", st.State)
				}
				pause(time.Second, nil)
				close(release)
				for _, c := range answers {
					if a := testkit.Wait(t, c, "an answer"); a.status != 200 || !a.close {
						t.Errorf("an answer that ran: %d, close %v, %v; want 200 with a close", a.status, a.close, a.err)
					}
				}
				s.wantExit(0)
			})
		})
	}
}

// Exchanges that the drain timeout cuts off are counted, and the exit code says so. The
// same holds for SIGQUIT, which does not wait at all.
func TestStopCutsOff(t *testing.T) {
	for name, tc := range map[string]struct {
		signal syscall.Signal
		drain  time.Duration
		least  time.Duration
	}{
		"the drain timeout": {syscall.SIGTERM, 300 * time.Millisecond, 300 * time.Millisecond},
		"SIGQUIT":           {syscall.SIGQUIT, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) {
				g := newGate(t, 1000)
				s := begin(t, mode, setup{backends: to(g.addr), tables: fmt.Sprintf("[timeouts]\ndrain = %q\n", tc.drain)})
				const running = 5
				var answers []<-chan lateAnswer
				for range running {
					answers = append(answers, later(newClient(t), s.url("/slow")))
					testkit.Wait(t, g.began, "the request to arrive")
				}
				begun := time.Now()
				s.kill(tc.signal)
				s.wantExit(3)
				if took := time.Since(begun); took < tc.least || took > tc.least+promptly {
					t.Errorf("lb left after %v, want %v", took, tc.least)
				}
				for _, c := range answers {
					if a := testkit.Wait(t, c, "the end of an answer"); a.err == nil {
						t.Errorf("an answer that was cut off looks whole: %d with %d bytes", a.status, len(a.body))
					}
				}
				testkit.Until(t, "the log to tell what was cut off", func() bool { return s.told(fmt.Sprintf("cut=%d", running)) > 0 })
			})
		})
	}
}

// lb drains whatever its file says: while the file is broken, and after a reload and an
// upgrade.
func TestStopAfterAll(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, backends: to(checkedMany(t, 2)...)})
		w := s.send(4, 0)
		w.more(t, 20)
		s.reload()
		s.upgrade()
		w.more(t, 20)
		s.write("nonsense")
		if a := s.lb("reload"); a.code != 1 || !strings.Contains(a.err, "lb.toml:1") {
			t.Errorf("a file of nonsense: %d, %q", a.code, a.err)
		}
		w.wantNone(t)
		s.stop()
	})
}
