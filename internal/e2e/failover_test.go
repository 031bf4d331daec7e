package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// told counts the lines of the log that contain all of parts.
func (p *process) told(parts ...string) (n int) {
lines:
	for line := range strings.Lines(p.Log.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue lines
			}
		}
		n++
	}
	return n
}

// faults returns how many faults lb has counted for the backend, of all causes.
func (p *process) faults(t *testing.T, addr string) (n float64) {
	t.Helper()
	for name, v := range p.metrics(t) {
		if strings.HasPrefix(name, "lb_backend_faults_total{") && strings.Contains(name, fmt.Sprintf("%q", addr)) {
			n += v
		}
	}
	return n
}

// A backend is killed under a load of GETs. No client notices. After three faults, and
// those of requests that were in flight at the same time, it gets no more requests.
// Once it runs again, it is used as soon as its ejection is over.
//
// While a process dies its system still accepts conns for it, and resets them in the
// end. lb cannot see whether a GET on such a conn was executed, so clients are free of
// errors only with "reset" in retry.on.
func TestBackendKilledUnderLoad(t *testing.T) {
	testkit.Long(t)
	const clients, eject = 8, 500 * time.Millisecond
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{
			backends: to(a.addr, b.addr), admin: true,
			tables: fmt.Sprintf("[eject]\ntime = %q\n[retry]\nbudget = 1.0\non = [\"connect\", \"stale\", \"reset\"]\n", eject),
		})
		var byA atomic.Int64
		conns := open(t, p.addr, clients)
		w := gather(t, clients, func(i int, stop <-chan struct{}) error {
			resp, body, err := conns[i].ask(lines("GET / HTTP/1.1", "Host: x"))
			switch {
			case err != nil:
				return err
			case resp.StatusCode != 200:
				return fmt.Errorf("%s with %q, want 200", resp.Status, body)
			case resp.Header.Get("X-Backend") == a.addr:
				byA.Add(1)
			}
			pause(2*time.Millisecond, stop)
			return nil
		})
		// Three faults eject it for the first time, one is enough later, and each
		// time others may be under way. An ejection may not be in the log yet.
		leftAlone := func(ejections int) {
			t.Helper()
			testkit.Until(t, "the ejection", func() bool { return p.told("backend ejected", a.addr) >= ejections })
			w.more(t, 50*clients)
			n := p.faults(t, a.addr)
			told := p.told("backend ejected", a.addr)
			if most := 3 + clients - 1 + told*clients; n < 3 || n > float64(most) {
				t.Errorf("%v faults behind %d ejections, want 3 at least and %d at most", n, told, most)
			}
		}
		w.more(t, 50*clients)
		a.kill()
		leftAlone(1)
		leftAlone(2)
		a.again(t)
		before := byA.Load()
		testkit.Until(t, "it to be used again", func() bool { return byA.Load() > before })
		w.leave()
		t.Logf("%d requests, %v faults", w.done.Load(), p.faults(t, a.addr))
		if n := p.told("backend ejected", b.addr); n != 0 {
			t.Errorf("the other one was ejected, too")
		}
	})
}

// A backend is stopped, which its conns do not show. Requests wait for
// timeouts.response until the backend is ejected, and are then asked elsewhere. The
// timeout is long enough for the other backend, even on a busy machine.
func TestBackendStopped(t *testing.T) {
	testkit.Long(t)
	const clients, response = 8, 3 * time.Second
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{
			backends: to(a.addr, b.addr), admin: true,
			tables: fmt.Sprintf("[eject]\ntime = \"1h\"\ntime_max = \"1h\"\n[retry]\nbudget = 1.0\n[timeouts]\nresponse = %q\nconnect = %q\n", response, response),
		})
		var late, other atomic.Int64
		conns := open(t, p.addr, clients)
		w := gather(t, clients, func(i int, _ <-chan struct{}) error {
			resp, _, err := conns[i].ask(lines("GET / HTTP/1.1", "Host: x"))
			if err != nil {
				return err
			}
			switch resp.StatusCode {
			case 200:
			case 504:
				late.Add(1)
			default:
				other.Add(1)
			}
			return nil
		})
		w.more(t, 20*clients)
		a.Signal(t, syscall.SIGSTOP)
		testkit.Until(t, "the ejection", func() bool { return p.told("backend ejected", a.addr, "reason=timeout") > 0 })
		testkit.Until(t, "what was under way to end", func() bool { return p.metrics(t)[ofBackend("attempts_in_flight", a.addr)] == 0 })
		attempts := p.metrics(t)[ofBackend("attempts_total", a.addr)]
		w.more(t, 100*clients)
		w.leave()
		if now := p.metrics(t)[ofBackend("attempts_total", a.addr)]; now != attempts {
			t.Errorf("%v requests more went to the ejected backend", now-attempts)
		}
		if late.Load() != 0 || other.Load() != 0 {
			t.Errorf("%d of %d requests got a 504 and %d another error, want none", late.Load(), w.done.Load(), other.Load())
		}
	})
}

// checks come often, and have a timeout that a busy machine does not exceed.
const checks = "[health]\npath = \"/healthz\"\ninterval = \"50ms\"\ninterval_down = \"50ms\"\ntimeout = \"1m\"\n"

// noHurry are timeouts longer than any test: an answer has not waited for one of them.
const noHurry = "[timeouts]\nconnect = \"1h\"\nresponse = \"1h\"\nqueue = \"1h\"\n"

// Active checks notice without any requests that a backend is down, so that no request
// reaches it, and that it is up again. If all are down the answer is 503, at once.
func TestChecksDecide(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{backends: to(a.addr, b.addr), admin: true, tables: checks + noHurry})
		client := dial(t, p.addr)
		up := func(b *ownProcess) bool { return p.metrics(t)[ofBackend("up", b.addr)] == 1 }
		a.kill()
		testkit.Until(t, "it to be down", func() bool { return !up(a) })
		if got := client.answeredBy(t, 20); got[b.addr] != 20 {
			t.Errorf("answered by %v, want all by %s", got, b.addr)
		}
		b.kill()
		testkit.Until(t, "the other one to be down", func() bool { return !up(b) })
		client.send(t, lines("GET / HTTP/1.1", "Host: x"))
		if resp, _ := client.answer(t); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("with all down: %s, %v; want 503 with Retry-After", resp.Status, resp.Header)
		}
		if n := p.faults(t, a.addr) + p.faults(t, b.addr); n != 0 {
			t.Errorf("%v requests met a backend that is down", n)
		}
		a.again(t)
		testkit.Until(t, "it to be up", func() bool { return up(a) })
		if got := client.answeredBy(t, 20); got[a.addr] != 20 {
			t.Errorf("answered by %v, want all by %s", got, a.addr)
		}
		for _, change := range []struct {
			text, addr string
			n          int
		}{{"backend is down", a.addr, 1}, {"backend is down", b.addr, 1}, {"backend is up", a.addr, 2}, {"backend is up", b.addr, 1}} {
			if change.text == "backend is down" {
				testkit.Until(t, "the log to say so", func() bool { return p.told(change.text, change.addr) > 0 })
			}
			if got := p.told(change.text, change.addr); got > change.n {
				t.Errorf("%q is told %d times of %s, want %d", change.text, got, change.addr, change.n)
			}
		}
	})
}

// A backend that came back begins with a small part of its share, and has the whole
// share after slow_start.
func TestSlowStart(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		back := func(slowStart string) (client *rawConn, addr string) {
			a, b := startBackend(t), startBackend(t)
			p := start(t, mode, setup{keys: fmt.Sprintf("slow_start = %q\n", slowStart), backends: to(a.addr, b.addr), admin: true, tables: checks})
			up := func() bool { return p.metrics(t)[ofBackend("up", a.addr)] == 1 }
			a.kill()
			testkit.Until(t, "it to be down", func() bool { return !up() })
			a.again(t)
			testkit.Until(t, "it to be up", up)
			return dial(t, p.addr), a.addr
		}
		client, addr := back("1h")
		if got := client.answeredBy(t, 200); got[addr] > 70 { // 10 % of its weight, and more by chance
			t.Errorf("at first it had %d of 200 requests, want far less than half", got[addr])
		}
		client, addr = back("500ms")
		got := 0
		if !testkit.Happens(func() bool { got = client.answeredBy(t, 200)[addr]; return got >= 95 && got <= 105 }) {
			t.Errorf("long behind slow_start it has %d of 200 requests, want half", got)
		}
	})
}

// An answer with a status of eject.on_status is a fault, though the client still gets
// it; other answers are not.
func TestEjectOnStatus(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		for _, status := range []int{500, 503} {
			sick := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			well := demo(t, "127.0.0.1:0", "well")
			p := start(t, mode, setup{backends: to(sick, well.Addr()), admin: true, tables: "[eject]\non_status = [502, 503]\ntime = \"1h\"\ntime_max = \"1h\"\n"})
			client := dial(t, p.addr) // one loop, which takes turns exactly
			got := map[int]int{}
			for range 40 {
				client.send(t, lines("GET / HTTP/1.1", "Host: x"))
				resp, _ := client.answer(t)
				got[resp.StatusCode]++
			}
			want := map[int]int{500: 20, 503: 3}[status]
			if got[status] != want || got[200] != 40-want {
				t.Errorf("%v were answered, want %d times %d", got, want, status)
			}
			reason := regexp.MustCompile(`backend ejected.*reason=status.* status=503`)
			if status == 503 {
				testkit.Until(t, "the log to tell of the ejection", func() bool { return reason.MatchString(p.Log.String()) })
			} else if n := p.told("backend ejected"); n > 0 {
				t.Errorf("an ejection for status %d is told", status)
			}
		}
	})
}
