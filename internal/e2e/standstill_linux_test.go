package e2e

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// signalAll sends s to every process of lb.
func (p *process) signalAll(t *testing.T, s syscall.Signal) {
	t.Helper()
	for _, x := range p.processes(t) {
		if err := syscall.Kill(x.pid, s); err != nil {
			t.Error(err)
		}
	}
}

// stopped reports whether every process of lb stands still.
func (p *process) stopped(t *testing.T) bool {
	for _, x := range p.processes(t) {
		status, _ := os.ReadFile("/proc/" + strconv.Itoa(x.pid) + "/status")
		if !strings.Contains(string(status), "\nState:\tT") {
			return false
		}
	}
	return true
}

// TestStandstill: lb stands still until long after the deadline of requests whose answers
// come meanwhile. They are answered, no request is sent again, and no backend is blamed.
func TestStandstill(t *testing.T) {
	testkit.Long(t)
	const requests, limit = 20, 5 * time.Second
	eachMode(t, func(t *testing.T, mode string) {
		arrived, answer := make(chan struct{}, 2*requests), make(chan struct{})
		p := start(t, mode, setup{backends: to(serve(t, func(w http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			<-answer
			io.WriteString(w, "b")
		})), tables: "[timeouts]\nresponse = \"" + limit.String() + "\"\n"})
		got := make(chan string, requests)
		for range requests {
			go func() {
				resp, err := newClient(t).Get(p.url("/"))
				if err != nil {
					got <- err.Error()
					return
				}
				resp.Body.Close()
				got <- resp.Status
			}()
		}
		for range requests {
			<-arrived
		}
		begun := time.Now()
		t.Cleanup(func() { p.signalAll(t, syscall.SIGCONT) })
		p.signalAll(t, syscall.SIGSTOP)
		testkit.Until(t, "lb to stand still", func() bool { return p.stopped(t) })
		close(answer)
		testkit.Until(t, "the deadline to pass", func() bool { return time.Since(begun) > limit+limit/4 })
		p.signalAll(t, syscall.SIGCONT)
		for range requests {
			if status := <-got; status != "200 OK" {
				t.Error(status)
			}
		}
		if n := len(arrived); n > 0 {
			t.Errorf("%d requests were sent again", n)
		}
		if log := p.Log.String(); strings.Contains(log, "backend ejected") {
			t.Errorf("the backend was blamed:\n%s", log)
		}
	})
}
