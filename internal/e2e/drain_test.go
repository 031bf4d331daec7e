package e2e

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"lb/internal/testkit"
)

// gate is a backend whose answers to /slow wait for the test.
type gate struct {
	addr    string
	began   chan struct{} // gets a value for each request to /slow
	release chan struct{} // closed: answer
}

// newGate returns a backend that answers /slow with size bytes, half of them before the
// wait.
func newGate(t *testing.T, size int) *gate {
	t.Helper()
	g := &gate{began: make(chan struct{}, 64), release: make(chan struct{})}
	half := strings.Repeat("x", size/2)
	g.addr = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			io.WriteString(w, half)
			http.NewResponseController(w).Flush()
			g.began <- struct{}{}
			select {
			case <-g.release:
			case <-r.Context().Done():
				return
			}
		}
		io.WriteString(w, half)
	})
	return g
}

// later is get on a goroutine. A request that failed has status 0.
func later(client *http.Client, url string) <-chan lateAnswer {
	c := make(chan lateAnswer, 1)
	go func() {
		resp, body, err := tryGet(client, url)
		if err != nil {
			c <- lateAnswer{body: body, err: err}
			return
		}
		c <- lateAnswer{resp.StatusCode, body, resp.Close, nil}
	}()
	return c
}

type lateAnswer struct {
	status int
	body   string
	close  bool
	err    error
}

// After SIGTERM running requests are answered whole, idle conns are closed, new conns
// are refused, health turns red, and the exit code is 0.
func TestDrain(t *testing.T) {
	testkit.Long(t)
	eachListenerProcess(t, func(t *testing.T, mode string) {
		g := newGate(t, 1000)
		p := start(t, mode, setup{backends: to(g.addr), admin: true})
		fresh, kept := dial(t, p.addr), dial(t, p.addr)
		kept.send(t, lines("GET / HTTP/1.1", "Host: x"))
		kept.answer(t)
		p.untilMetrics(t, map[string]float64{"lb_client_connections": 2, "lb_exchanges": 0})
		half := dial(t, p.addr)
		half.send(t, "GET / HTTP/1.1\r\nHo")
		p.untilMetrics(t, map[string]float64{"lb_client_connections": 3, "lb_exchanges": 1})
		if code := p.health(t); code != 200 {
			t.Errorf("health is %d, want 200", code)
		}
		slow := later(newClient(t), p.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")

		p.Signal(t, syscall.SIGTERM)
		kept.wantEnd(t)
		if code := p.health(t); code != 503 {
			t.Errorf("health is %d in the drain, want 503", code)
		}
		testkit.Until(t, "conns to be refused", func() bool { return refused(p.addr) })
		half.send(t, "st: x\r\n\r\n") // its request began before the signal
		if resp, _ := half.answer(t); resp.StatusCode != 200 || !resp.Close {
			t.Errorf("a request of which a part was there: %s, close %v; want 200 and a closed conn", resp.Status, resp.Close)
		}
		close(g.release)
		if a := testkit.Wait(t, slow, "the slow answer"); a.status != 200 || len(a.body) != 1000 {
			t.Errorf("the slow answer: %d with %d bytes, %v; want 200 with 1000", a.status, len(a.body), a.err)
		}
		fresh.Close() // lb may wait for a conn that has not sent a request yet
		p.wantExit(t, 0)
	})
}

// A second SIGTERM ends the drain at once, even one that may take an hour, and the
// exit code says that something was cut off.
func TestSecondSignal(t *testing.T) {
	eachListenerProcess(t, func(t *testing.T, mode string) {
		g := newGate(t, 1000)
		p := start(t, mode, setup{backends: to(g.addr), tables: "[timeouts]\ndrain = \"1h\"\n"})
		slow := later(newClient(t), p.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		p.Signal(t, syscall.SIGTERM)
		testkit.Until(t, "conns to be refused", func() bool { return refused(p.addr) })
		p.Signal(t, syscall.SIGTERM)
		p.wantExit(t, 3)
		if a := testkit.Wait(t, slow, "the end of the slow answer"); a.err == nil {
			t.Errorf("the slow answer: %d with %d bytes, want an error", a.status, len(a.body))
		}
	})
}

// A stop under full load: every request is answered whole, or its conn is refused or
// closed before the first byte of an answer.
func TestDrainUnderLoad(t *testing.T) {
	eachListenerProcess(t, func(t *testing.T, mode string) {
		backend := demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(backend.Addr())})
		const clients, size = 8, 100 << 10
		answered, ends := make(chan struct{}, clients), make(chan lateAnswer, clients)
		for range clients {
			client := newClient(t)
			go func() {
				for {
					resp, body, err := tryGet(client, p.url("/bytes/102400"))
					if err != nil || resp.StatusCode != 200 || len(body) != size {
						a := lateAnswer{body: body, err: err}
						if resp != nil {
							a.status = resp.StatusCode
						}
						ends <- a
						return
					}
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}()
		}
		for range 10 * clients {
			testkit.Wait(t, answered, "answers")
		}
		p.Signal(t, syscall.SIGTERM)
		for range clients {
			if a := testkit.Wait(t, ends, "the clients to be refused"); a.status != 0 {
				t.Errorf("at the drain: %d with %d bytes, %v", a.status, len(a.body), a.err)
			}
		}
		p.wantExit(t, 0)
	})
}
