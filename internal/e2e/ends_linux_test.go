package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"lb/internal/testkit"
)

// named is a backend that says its name, and is sick for checks while sick is set. Requests
// for /bad get 500, and those for /slow an answer after a moment, if it is odd.
type namedBackend struct {
	addr string
	sick atomic.Bool
	odd  atomic.Bool
	hint atomic.Value // what Leave says in an answer, or nil
	shut atomic.Bool  // it answers 503 with Connection: close
}

func newNamed(t *testing.T, name string) *namedBackend {
	b := &namedBackend{}
	b.addr = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if hint, some := b.hint.Load().(string); some && r.URL.Path == "/" {
			w.Header().Set("X-Leave", hint)
		}
		switch {
		case r.URL.Path == "/check" && b.sick.Load():
			w.WriteHeader(503)
		case r.URL.Path == "/" && b.shut.Load():
			w.Header().Set("Connection", "close")
			w.WriteHeader(503)
		case r.URL.Path == "/bad" && b.odd.Load():
			w.WriteHeader(500)
		case r.URL.Path == "/slow" && b.odd.Load():
			pause(200*time.Millisecond, r.Context().Done())
		}
		io.WriteString(w, name)
	})
	return b
}

// byWhom asks n times and returns how often each backend answered with 200.
func byWhom(t *testing.T, c *http.Client, url string, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		resp, name := get(t, c, url)
		if resp.StatusCode != 200 {
			name = resp.Status
		}
		got[name]++
	}
	return got
}

const quickChecks = "[health]\npath = \"/check\"\ninterval = \"50ms\"\ninterval_down = \"50ms\"\nrise = 1\nfall = 1\n"

// TestFailOpen: while checks find all backends of a pool down, all that are not drained are
// used, and lb says so everywhere. Once one is up, it alone is used.
func TestFailOpen(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b, c := newNamed(t, "a"), newNamed(t, "b"), newNamed(t, "c")
		s := begin(t, mode, setup{admin: true, backends: to(a.addr, b.addr, c.addr),
			tables: quickChecks + "panic = \"fail_open\"\n"})
		s.want("backend", "drain", "default", c.addr)
		down := func(n int) func(status) bool {
			return func(st status) bool {
				got := 0
				for _, one := range []*namedBackend{a, b} {
					if st.backend(t, "default", one.addr).Health == "down" {
						got++
					}
				}
				return got == n
			}
		}
		for _, one := range []*namedBackend{a, b, c} {
			one.sick.Store(true)
		}
		s.until("both to be down", down(2))
		if got := byWhom(t, newClient(t), s.url("/"), 40); got["a"] == 0 || got["b"] == 0 || got["a"]+got["b"] != 40 {
			t.Errorf("with all down: %v, want a and b", got)
		}
		s.untilMetrics(t, map[string]float64{`lb_pool_fail_open{pool="default"}`: 1})
		if resp, text := get(t, newClient(t), "http://"+s.admin+"/readyz"); resp.StatusCode != 200 {
			t.Errorf("readyz: %s %s", resp.Status, text)
		}
		if out := s.want("explain", "GET", s.url("/")); !strings.Contains(out, "health.panic") {
			t.Errorf("explain says\n%s", out)
		}
		if out := s.lb("status", "--problems").out; !strings.Contains(out, "health.panic") {
			t.Errorf("the problems:\n%s", out)
		}
		s.untilTold(1, "pool fails open", "pool=default", "down=2", "of=2")
		a.sick.Store(false)
		s.until("one to be up", down(1))
		testkit.Until(t, "the one alone to be used", func() bool { return byWhom(t, newClient(t), s.url("/"), 10)["a"] == 10 })
		s.untilTold(1, "pool uses the backends alone that are up")
		s.untilMetrics(t, map[string]float64{`lb_pool_fail_open{pool="default"}`: 0})
	})
}

// TestOutliers: of four backends, one that gives many answers of 5xx, or is slow, is ejected,
// by what all loops have seen; what the pool cannot do without stays.
func TestOutliers(t *testing.T) {
	for path, want := range map[string]string{"/bad": "error_rate", "/slow": "latency"} {
		t.Run(want, func(t *testing.T) {
			eachMode(t, func(t *testing.T, mode string) {
				var addrs []string
				var odd *namedBackend
				for _, name := range []string{"a", "b", "c", "d"} {
					odd = newNamed(t, name)
					addrs = append(addrs, odd.addr)
				}
				s := begin(t, mode, setup{admin: true, backends: to(addrs...),
					tables: "[eject]\nerror_rate = 0.5\nlatency_factor = 10.0\nwindow = \"5s\"\nrequests_min = 10\ntime = \"10m\"\ntime_max = \"10m\"\n"})
				ask := func() bool {
					for range 40 {
						get(t, newClient(t), s.url(path)) // a conn each: both loops get some
					}
					return s.status().backend(t, "default", odd.addr).Ejected
				}
				odd.odd.Store(true)
				testkit.Until(t, "the odd one to be ejected", ask)
				s.untilTold(1, "backend ejected", "reason="+want, odd.addr)
				if got := byWhom(t, newClient(t), s.url("/"), 20); got["d"] != 0 {
					t.Errorf("afterwards: %v, want none at d", got)
				}
			})
		})
	}
}

// TestDrainDelay: between a red /healthz and the closed door, all goes on as before. Another
// signal closes the door.
func TestDrainDelay(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a := newNamed(t, "a")
		s := begin(t, mode, setup{admin: true, backends: to(a.addr), tables: "[timeouts]\ndrain_delay = \"1h\"\n"})
		kept := dial(t, s.addr)
		ask := func(when string, c *rawConn) {
			t.Helper()
			c.send(t, lines("GET / HTTP/1.1", "Host: x"))
			if resp, body := c.answer(t); resp.StatusCode != 200 || body != "a" || resp.Close {
				t.Errorf("%s: %s %q, close %v", when, resp.Status, body, resp.Close)
			}
		}
		ask("before", kept)
		s.Signal(t, syscall.SIGTERM)
		testkit.Until(t, "health to be red", func() bool { return s.health(t) == 503 })
		if resp, text := get(t, newClient(t), "http://"+s.admin+"/readyz"); resp.StatusCode != 503 || text != "draining" {
			t.Errorf("readyz: %s %s", resp.Status, text)
		}
		s.until("the state", func(st status) bool { return st.State == "draining" })
		ask("kept, in the delay", kept)
		ask("new, in the delay", dial(t, s.addr))
		s.refuses([]string{"reload"}, "draining")
		s.refuses([]string{"drain"}, "draining")
		s.Signal(t, syscall.SIGTERM)
		testkit.Until(t, "the door to be closed", func() bool { return refused(s.addr) })
		kept.wantEnd(t)
		s.wantExit(0)
	})
}

// TestDrainDelayEnds: the delay ends by itself, and SIGQUIT ends it, and lb, at once.
func TestDrainDelayEnds(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		g := newGate(t, 10)
		p := start(t, mode, setup{admin: true, backends: to(g.addr), tables: "[timeouts]\ndrain_delay = \"300ms\"\n"})
		p.Signal(t, syscall.SIGTERM)
		p.wantExit(t, 0)
		if n := p.told("draining: no longer healthy"); n != 1 {
			t.Errorf("%d lines about the delay, want 1", n)
		}

		p = start(t, mode, setup{admin: true, backends: to(g.addr), tables: "[timeouts]\ndrain_delay = \"1h\"\n"})
		slow := later(newClient(t), p.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		p.Signal(t, syscall.SIGTERM)
		testkit.Until(t, "health to be red", func() bool { return p.health(t) == 503 })
		p.Signal(t, syscall.SIGQUIT)
		p.wantExit(t, 3)
		if a := testkit.Wait(t, slow, "the end of the slow answer"); a.err == nil {
			t.Errorf("the slow answer: %d, want an error", a.status)
		}
	})
}

// TestLeaving: a backend that asks for it gets no new clients, in any loop, and keeps those
// that it has. The field is not passed on, and the last backend stays.
func TestLeaving(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := newNamed(t, "a"), newNamed(t, "b")
		s := begin(t, mode, setup{admin: true, keys: "sticky = \"at\"\ndrain_header = \"X-Leave\"\n", backends: to(a.addr, b.addr)})
		var cookie string
		for cookie == "" {
			if resp, name := get(t, newClient(t), s.url("/x")); name == "a" {
				cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
			}
		}
		ask := func() (resp *http.Response, name string) {
			req, _ := http.NewRequest("GET", s.url("/"), nil)
			req.Header.Set("Cookie", cookie)
			resp, err := newClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			return resp, string(text)
		}
		a.hint.Store("no") // which is no wish
		ask()
		a.hint.Store("1")
		resp, name := ask()
		if name != "a" || resp.Header.Get("X-Leave") != "" {
			t.Errorf("%s with %v", name, resp.Header)
		}
		if got := byWhom(t, newClient(t), s.url("/x"), 20); got["b"] != 20 {
			t.Errorf("new clients: %v, want all at b", got)
		}
		if _, name := ask(); name != "a" {
			t.Errorf("the client of a is at %s", name)
		}
		s.untilTold(1, "backend gets no new clients", a.addr, "reason=drain_header")
		s.untilMetrics(t, map[string]float64{fmt.Sprintf(`lb_backend_leaving{backend=%q,pool="default"}`, a.addr): 1})
		if out := s.want("status"); !strings.Contains(out, "leaving for ") {
			t.Errorf("status says\n%s", out)
		}
		b.hint.Store("1")
		if got := byWhom(t, newClient(t), s.url("/"), 20); got["b"] != 20 {
			t.Errorf("with both: %v, want all at b, which is the last", got)
		}
		if resp, text := get(t, newClient(t), "http://"+s.admin+"/readyz"); resp.StatusCode != 200 {
			t.Errorf("readyz: %s %s", resp.Status, text)
		}
		s.want("backend", "enable", "default", a.addr) // an operator has the last word
		s.until("a not to leave", func(st status) bool { return st.backend(t, "default", a.addr).LeavingReason == "" })
	})
}

// TestLeavingBy503: so it is for a backend that says 503 and closes.
func TestLeavingBy503(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := newNamed(t, "a"), newNamed(t, "b")
		s := begin(t, mode, setup{backends: to(a.addr, b.addr)})
		a.shut.Store(true)
		testkit.Until(t, "a to be asked", func() bool { return byWhom(t, newClient(t), s.url("/"), 1)["b"] == 0 })
		if got := byWhom(t, newClient(t), s.url("/"), 20); got["b"] != 20 {
			t.Errorf("then: %v, want all at b", got)
		}
		s.untilTold(1, "backend gets no new clients", a.addr, "reason=closing_503")
	})
}

// TestLeavingByGoaway: GOAWAY says that a backend leaves only if it takes no next conn. One
// that ends each conn after its answers goes on.
func TestLeavingByGoaway(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		var leaves atomic.Bool
		odd := newH2Origin(t, "h2c", func(r *h2Request) {
			last := r.stream.id
			if leaves.Load() {
				last = max(last, 2) - 2
			} else {
				r.reply(200, nil, "odd")
			}
			r.stream.c.frame(http2.FrameGoAway, 0, 0, u32(last), u32(0))
		})
		other := newH2Origin(t, "h2c", func(r *h2Request) { r.reply(200, nil, "other") })
		s := begin(t, mode, setup{keys: "protocol = \"h2c\"\n", backends: to(odd.addr, other.addr)})
		if got := byWhom(t, newClient(t), s.url("/"), 60); got["odd"] < 20 || got["odd"]+got["other"] != 60 {
			t.Errorf("with a conn for each answer: %v, want half of 60 of each", got)
		}
		if b := s.status().backend(t, "default", odd.addr); b.LeavingReason != "" {
			t.Errorf("it is leaving: %s", b.LeavingReason)
		}
		leaves.Store(true)
		testkit.Until(t, "the odd one to leave", func() bool {
			if got := byWhom(t, newClient(t), s.url("/"), 4); got["other"] != 4 {
				t.Errorf("answers of %v, want the other alone", got)
			}
			return s.told("backend gets no new clients", odd.addr, "reason=goaway") == 1
		})
	})
}

// TestLeavingByShutdown: a server of HTTP/2 that ends sends GOAWAY and listens no longer.
func TestLeavingByShutdown(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		var servers []*http.Server
		var addrs []string
		for _, name := range []string{"a", "b"} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			h := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })}
			h.Protocols.SetUnencryptedHTTP2(true)
			go h.Serve(ln)
			t.Cleanup(func() { h.Close() })
			servers, addrs = append(servers, h), append(addrs, ln.Addr().String())
		}
		s := begin(t, mode, setup{keys: "protocol = \"h2c\"\n", backends: to(addrs...), tables: "[eject]\nenabled = false\n"})
		for range 20 { // both loops get conns
			byWhom(t, newClient(t), s.url("/"), 2)
		}
		if err := servers[0].Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		testkit.Until(t, "the one that ended to be left out", func() bool {
			if got := byWhom(t, newClient(t), s.url("/"), 4); got["b"] != 4 {
				t.Errorf("answers of %v, want b alone", got)
			}
			return s.told("backend gets no new clients", addrs[0], "reason=goaway") > 0
		})
	})
}
