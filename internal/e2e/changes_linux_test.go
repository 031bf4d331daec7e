package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lb/internal/testkit"
)

// These tests show what a reload changes, and what it keeps.

// saysFields is a backend that answers with the fields of the request.
func saysFields(t *testing.T) (addr string) {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Host: %s\n", r.Host)
		for name, values := range r.Header {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(values, ", "))
		}
	})
}

// tables of one backend, for a pool that tables of the file define.
func tableOf(pool, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[[pools]]\nname = %q\n[[pools.backends]]\nhost = %q\nport = %s\n", pool, host, port)
}

// changed is an lb whose configuration changes under one conn, and its backends: the
// demo's a and b, and one that answers with the fields of the request.
type changed struct {
	*service
	a, b, fields string // addresses
	c            *rawConn
}

// exchange sends text and returns the answer. The conn is another one afterwards if
// the answer ends it.
func (s *changed) exchange(text string) (*http.Response, string) {
	s.t.Helper()
	resp, body, err := s.c.ask(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.Close {
		s.c = dial(s.t, s.addr)
	}
	return resp, body
}

// by sends text n times and returns how often each of the demo's backends answered.
func (s *changed) by(n int, text string) map[string]int {
	s.t.Helper()
	got := map[string]int{}
	for range n {
		resp, _ := s.exchange(text)
		got[resp.Header.Get("X-Backend")]++
	}
	return got
}

// gives returns a check that text is answered with the status want.
func (s *changed) gives(want int, text string) func(what string) {
	return func(what string) {
		s.t.Helper()
		if resp, _ := s.exchange(text); resp.StatusCode != want {
			s.t.Errorf("%s: %s, want %d", what, resp.Status, want)
		}
	}
}

// shares returns a check that n plain requests are shared as in want, give or take one.
func (s *changed) shares(n int, want map[string]int) func(what string) {
	return func(what string) {
		s.t.Helper()
		got := s.by(n, plainRequest)
		for _, name := range []string{"a", "b"} {
			if got[name] < want[name]-1 || got[name] > want[name]+1 {
				s.t.Errorf("%s: answered by %v, want %v", what, got, want)
			}
		}
	}
}

// has returns a check of whether part is in the answer's body.
func (s *changed) has(part string, want bool, text string) func(what string) {
	return func(what string) {
		s.t.Helper()
		if _, body := s.exchange(text); strings.Contains(body, part) != want {
			s.t.Errorf("%s: %q, want %q in it: %v", what, body, part, want)
		}
	}
}

// The requests of TestReloadChangesExchanges.
var (
	plainRequest     = lines("GET / HTTP/1.1", "Host: x")
	longRequest      = lines("GET / HTTP/1.1", "Host: x", "X-Long: "+strings.Repeat("x", 70<<10))
	postRequest      = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200)
	keyedRequest     = lines("GET / HTTP/1.1", "Host: x", "X-User: 17")
	aliasRequest     = lines("GET / HTTP/1.1", "Host: x", "X_Forwarded_For: 6.6.6.6", "X-Real_IP: 6.6.6.6")
	forgedRequest    = lines("GET / HTTP/1.1", "Host: x", "X-Forwarded-Client: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Original-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6")
	forwardedRequest = lines("GET / HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.1")
)

// changeStep is a configuration and a check of what it brings about.
type changeStep struct {
	what     string
	backends []backend
	keys     string
	tables   string
	check    func(what string)
}

// poolSteps change where requests go.
func (s *changed) poolSteps() []changeStep {
	a, b := s.a, s.b
	return []changeStep{
		{"as at first", to(a, b), "", "", s.shares(40, map[string]int{"a": 20, "b": 20})},
		{"weights", []backend{{addr: a, weight: 3}, {addr: b}}, "", "", s.shares(40, map[string]int{"a": 30, "b": 10})},
		{"a backend less", to(b), "", "", s.shares(10, map[string]int{"b": 10})},
		{"another one instead", to(a), "", "", s.shares(10, map[string]int{"a": 10})},
		{"backup", []backend{{addr: a, keys: "backup = true\n"}, {addr: b}}, "", "", s.shares(10, map[string]int{"b": 10})},
		{"drain", []backend{{addr: a, keys: "drain = true\n"}, {addr: b}}, "", "", s.shares(10, map[string]int{"b": 10})},
		{"and no drain", to(a, b), "", "", s.shares(40, map[string]int{"a": 20, "b": 20})},
		{"strategy", to(a, b), "strategy = \"hash\"\n", "[hash]\nkey = \"header:X-User\"\n", func(what string) {
			if got := s.by(20, keyedRequest); len(got) != 1 {
				s.t.Errorf("%s: one key was answered by %v", what, got)
			}
		}},
	}
}

// requestSteps change what becomes of requests.
func (s *changed) requestSteps() []changeStep {
	a, b, fields := s.a, s.b, s.fields
	return []changeStep{
		{"a route to a pool", to(a), "", tableOf("api", b) + "[[routes]]\npath = \"/headers\"\npool = \"api\"\n", func(what string) {
			if got := s.by(4, lines("GET /headers HTTP/1.1", "Host: x")); got["b"] != 4 {
				s.t.Errorf("%s: answered by %v, want b", what, got)
			}
			s.shares(4, map[string]int{"a": 4})(what)
		}},
		{"a redirect", to(a), "", "[[routes]]\npath = \"/\"\nredirect = { to = \"https://x{uri}\", code = 308 }\n", s.gives(308, plainRequest)},
		{"no routes", to(a), "", "", s.gives(200, plainRequest)},
		{"body_bytes", to(a), "", "[limits]\nbody_bytes = 100\n", s.gives(413, postRequest)},
		{"and no such limit", to(a), "", "", s.gives(200, postRequest)},
		{"header_bytes as before", to(a), "", "", s.gives(431, longRequest)},
		{"larger header_bytes", to(a), "", "[limits]\nheader_bytes = \"128KiB\"\n", s.gives(200, longRequest)},
		{"smaller header_bytes", to(a), "", "", s.gives(431, longRequest)},
		{"response timeout", to(a), "", "[timeouts]\nresponse = \"100ms\"\n", s.gives(504, lines("GET /delay/1h HTTP/1.1", "Host: x"))},
		{"and a longer one", to(a), "", "", s.gives(200, lines("GET /delay/300ms HTTP/1.1", "Host: x"))},
		{"via", to(fields), "via = \"here\"\n", "", s.has("here", true, plainRequest)},
		{"no via", to(fields), "via = \"\"\n", "", s.has("Via:", false, plainRequest)},
		{"nobody is trusted", to(fields), "", "", s.has("192.0.2.1", false, forwardedRequest)},
		{"trusted_proxies", to(fields), "trusted_proxies = [\"127.0.0.0/8\"]\n", "", s.has("192.0.2.1", true, forwardedRequest)},
		{"Forwarded", to(fields), "forwarded = true\n", "", s.has("Forwarded: for=127.0.0.1;host=x;proto=http", true, plainRequest)},
		{"aliases and claims of strangers", to(fields), "", "", s.has("6.6.6.6", false, forgedRequest)},
		{"aliases from trusted proxies", to(fields), "trusted_proxies = [\"127.0.0.0/8\"]\n", "", s.has("6.6.6.6", false, aliasRequest)},
		{"no Host", to(fields), "", "", s.has("Host: "+fields, true, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")},
		{"trailers", to(fields), "", "", s.has("Te: trailers", true, lines("GET / HTTP/1.1", "Host: x", "TE: trailers"))},
		{"health checks", to("127.0.0.1:1", a), "", checks, func(what string) {
			s.until("a backend to be down", func(st status) bool { return st.backend(s.t, "default", "127.0.0.1:1").Health == "down" })
			s.shares(10, map[string]int{"a": 10})(what)
		}},
		{"and none", to(a), "", "", func(what string) {
			if h := s.status().backend(s.t, "default", a).Health; h == "down" {
				s.t.Errorf("%s: health is %s", what, h)
			}
		}},
	}
}

// TestReloadChangesExchanges: once lb reload has returned, where requests go and what
// becomes of them is as the new configuration says, also on a conn that is older.
func TestReloadChangesExchanges(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := &changed{a: demo(t, "127.0.0.1:0", "a").Addr(), b: demo(t, "127.0.0.1:0", "b").Addr(), fields: saysFields(t)}
		s.service = begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(s.a, s.b)})
		s.c = dial(t, s.addr)
		for _, step := range slices.Concat(s.poolSteps(), s.requestSteps()) {
			s.setup.backends, s.setup.keys, s.setup.tables = step.backends, "watch = false\n"+step.keys, step.tables
			s.reload()
			step.check(step.what)
		}
	})
}

// The address changes: the new one is served when lb reload returns, the old one
// refuses conns, and its open conns go on. If the port is taken, the reload is refused.
func TestReloadChangesAddress(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checkedMany(t, 2)...), tables: "[timeouts]\nclient_idle = \"5m\"\n"})
		_, s.port, _ = net.SplitHostPort(testkit.FreePort(t))
		s.start()
		old := s.addr
		kept := s.send(4, 0)
		kept.more(t, 20)
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		before, taken := s.port, other.Addr().String()
		_, s.port, _ = net.SplitHostPort(taken)
		s.write(s.text())
		s.refuses([]string{"reload"}, s.port)
		if st := s.status(); st.Address != old {
			t.Errorf("lb serves %s after a reload that was refused, want %s", st.Address, old)
		}
		for range 3 {
			_, s.port, _ = net.SplitHostPort(testkit.FreePort(t))
			s.reload()
			s.addr = net.JoinHostPort("127.0.0.1", s.port)
			if got := s.status().Address; got != s.addr {
				t.Errorf("lb says it serves %s, want %s", got, s.addr)
			}
			fresh := s.send(2, 4)
			fresh.more(t, 50)
			fresh.wantNone(t)
			testkit.Until(t, "the old address to be refused", func() bool { return refused(old) })
			old = s.addr
			kept.more(t, 20)
		}
		s.port = before
		s.reload()
		kept.wantNone(t)
		s.addr = net.JoinHostPort("127.0.0.1", s.port)
		resp, _, err := tryGet(newClient(t), s.url("/1/0/length"))
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("back at the first port: %v, %v", resp, err)
		}
	})
}

// A reload also changes what the operator uses: the address for metrics, the pid file,
// the socket for commands, the level of the log.
func TestReloadChangesAdministration(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{admin: true, keys: "watch = false\n", backends: to(demo(t, "127.0.0.1:0", "a").Addr())})
		old := s.admin
		s.admin = testkit.FreePort(t)
		s.reload()
		if m := s.metrics(t); m["lb_loops"] != 2 {
			t.Errorf("at the new address for metrics: %v", m)
		}
		testkit.Until(t, "the old one to be refused", func() bool { return refused(old) })
		admin := s.admin
		s.admin = ""
		s.reload()
		testkit.Until(t, "metrics to be off", func() bool { return refused(admin) })
		s.admin = admin
		s.reload()
		if code := s.health(t); code != 200 {
			t.Errorf("health is %d with metrics on again, want 200", code)
		}

		text := s.text()
		s.write(strings.Replace(text, "lb.pid", "other.pid", 1))
		s.want("reload", "--socket", s.file("lb.sock"))
		testkit.Until(t, "the pid file to be renamed", func() bool {
			_, err := os.Stat(s.file("lb.pid"))
			other, _ := os.ReadFile(s.file("other.pid"))
			return os.IsNotExist(err) && strings.TrimSpace(string(other)) == fmt.Sprint(s.pid)
		})
		s.want("status") // the socket is beside the new pid file
		s.write(text)
		s.want("reload", "--socket", s.file("other.sock"))
		s.want("status")

		testkit.Until(t, "all that to be told", func() bool { return s.told("configuration reloaded") >= 5 })
		s.setup.keys += "log_level = \"error\"\n"
		s.reload()
		told := s.told("configuration reloaded")
		s.setup.backends[0].weight = 5
		s.reload()
		if n := s.told("configuration reloaded"); n != told {
			t.Errorf("with log_level = error, %d reloads more are told", n-told)
		}
		s.setup.keys = "watch = false\n"
		s.reload()
		testkit.Until(t, "the log to speak again", func() bool { return s.told("configuration reloaded") > told })
	})
}

// The number of loops grows and shrinks under load: no request is lost, and a
// WebSocket of a loop that is no longer wanted lives on.
func TestReloadChangesWorkers(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{workers: 2, admin: true, keys: "watch = false\n", backends: to(checkedMany(t, 2)...), tables: wsRoute(echoes(t))})
		var chats []*chat
		for range 6 {
			chats = append(chats, talk(t, s.addr))
		}
		w := s.send(8, 6)
		w.more(t, 50)
		for _, n := range []int{4, 1, 3, 6, 2} {
			s.setup.workers = n
			s.reload()
			if got := len(s.status().serving()); got != n {
				t.Errorf("%d loops serve, want %d", got, n)
			}
			w.more(t, 200)
			for _, c := range chats {
				c.more(t, 2)
			}
		}
		w.wantNone(t)
		for _, c := range chats {
			c.hangUp(t)
		}
		s.until("loops that are not wanted to end", func(st status) bool { return len(st.Loops) == 2 })
		if mode == "mp" {
			testkit.Until(t, "their processes to end", func() bool { return len(s.processes(t)) == 3 })
		}
		s.wantCounted(w, len(chats))
	})
}

// A reload does not change the mode, and lb says what does.
func TestReloadRefusesMode(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := begin(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		other := map[string]string{"mt": "mp", "mp": "mt"}[mode]
		s.mode = other
		s.write(s.text())
		s.refuses([]string{"reload"}, "mode", "upgrade")
		st := s.status()
		if st.Mode != mode || !strings.Contains(st.Config.Fault, "upgrade") {
			t.Errorf("mode %s with the fault %q, want %s and a fault that names the upgrade", st.Mode, st.Config.Fault, mode)
		}
		s.mode = mode
		s.reload()
	})
}

// lb keeps what it knows of a backend that stays, even at another place in the file:
// its ejection, its counters, its exchanges, and the cookies that lead to it.
func TestReloadKeepsKnowledge(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s, sick, well := ejected(t, mode)
		more := demo(t, "127.0.0.1:0", "more").Addr()
		before := s.metrics(t)
		for _, list := range [][]backend{to(sick, well, more), {{addr: more}, {addr: well, weight: 2}, {addr: sick, weight: 9}}, to(well, sick)} {
			s.setup.backends = list
			s.reload()
		}
		s.wantStillEjected(sick, well, before)
		before = s.metrics(t)
		s.setup.backends = to(well, more) // sick leaves and comes back
		s.reload()
		if _, shown := s.metrics(t)[ofBackend("attempts_total", sick)]; shown {
			t.Error("metrics show a backend that the file has no more")
		}
		s.setup.backends = to(well, sick)
		s.reload()
		now := s.metrics(t)
		for _, addr := range []string{sick, well} {
			if name := ofBackend("attempts_total", addr); now[name] != before[name] {
				t.Errorf("%s went from %v to %v", name, before[name], now[name])
			}
		}
	})
}

// A cookie still leads to its backend after reloads and an upgrade.
func TestCookieSurvives(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		var addrs []string
		for _, name := range []string{"a", "b", "c", "d"} {
			addrs = append(addrs, demo(t, "127.0.0.1:0", name).Addr())
		}
		s := begin(t, mode, setup{keys: "watch = false\nsticky = \"at\"\n", backends: to(addrs...)})
		cookies := map[string]string{}
		for range 40 {
			c := dial(t, s.addr)
			resp, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x"))
			if err != nil || len(resp.Cookies()) != 1 {
				t.Fatal(resp, err)
			}
			cookies[resp.Header.Get("X-Backend")] = resp.Cookies()[0].Value
			c.Close()
		}
		if len(cookies) != 4 {
			t.Fatalf("cookies %v, want one of each backend", cookies)
		}
		check := func(when string) {
			t.Helper()
			for name, value := range cookies {
				c := dial(t, s.addr)
				resp, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x", "Cookie: at="+value))
				if err != nil || resp.Header.Get("X-Backend") != name {
					t.Errorf("%s: the cookie of %s led to %v, %v", when, name, resp, err)
				}
				c.Close()
			}
		}
		check("at first")
		slices.Reverse(s.setup.backends)
		s.setup.backends[0].weight = 7
		s.setup.backends = append(s.setup.backends, backend{addr: checked(t)})
		s.reload()
		check("after a reload")
		s.upgrade()
		check("after an upgrade")
	})
}

// A backend is removed while it answers: the answer comes whole, and no new request
// goes there.
func TestRemovedBackendEndsWhatRuns(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		g, other := newGate(t, 200_000), demo(t, "127.0.0.1:0", "other").Addr()
		s := begin(t, mode, setup{keys: "watch = false\n", backends: to(g.addr)})
		slow := later(newClient(t), s.url("/slow"))
		testkit.Wait(t, g.began, "the request to arrive")
		body, post := io.Pipe()
		req, err := http.NewRequest("POST", s.url("/"), body)
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(t)
		answered := make(chan lateAnswer, 1)
		go func() {
			resp, err := client.Do(req)
			a := lateAnswer{err: err}
			if err == nil {
				a.status = resp.StatusCode
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				a.body = string(b)
			}
			answered <- a
		}()
		io.WriteString(post, "half of it, ")
		s.until("both to run", func(st status) bool { return st.Totals.Exchanges == 2 })
		s.setup.backends = to(other)
		s.reload()
		if got := dial(t, s.addr).answeredBy(t, 10); got["other"] != 10 {
			t.Errorf("answered by %v, want all by the new one", got)
		}
		io.WriteString(post, "and the other half")
		post.Close()
		close(g.release)
		for what, c := range map[string]<-chan lateAnswer{"the slow answer": slow, "the long request": answered} {
			a := testkit.Wait(t, c, what)
			if a.err != nil || a.status != 200 || len(a.body) < 100_000 {
				t.Errorf("%s: %d with %d bytes, %v; want 200, whole", what, a.status, len(a.body), a.err)
			}
		}
	})
}

// Without a pid file the socket for commands is in XDG_RUNTIME_DIR. Only its owner may
// open it, and the socket of a killed lb is replaced.
func TestSocketForCommands(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		s := newService(t, mode, setup{keys: "watch = false\n", backends: to(checked(t))})
		s.start()
		path := s.file("lb.sock")
		info, err := os.Stat(path)
		if err != nil || info.Mode()&os.ModeSocket == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket for commands: %v, %v; want mode 0600", info, err)
		}
		s.kill(syscall.SIGKILL)
		s.over = true
		s.wantGone()
		if a := s.lb("status"); a.code != 1 || a.err == "" {
			t.Errorf("lb status without an lb: exit code %d with %q and %q, want 1 and why", a.code, a.out, a.err)
		}
		s.start()
		s.write("nonsense")
		if a := s.lb("status"); a.code != 0 || !strings.Contains(a.out, s.addr) {
			t.Errorf("lb status beside a broken lb.toml ends with %d, %q and %q", a.code, a.out, a.err)
		}
		s.setup.keys = fmt.Sprintf("watch = false\nadmin.socket = %q\n", s.file("its.sock"))
		s.write(s.text())
		s.want("reload", "--socket", path)
		s.want("status")
		s.setup.keys = "watch = false\nadmin.socket = \"off\"\n"
		s.write(s.text())
		s.want("reload", "--socket", s.file("its.sock"))
		testkit.Until(t, "the socket to be gone", func() bool { return s.lb("status").code == 1 })
		s.setup.keys = "watch = false\n"
		s.write(strings.Replace(s.text(), fmt.Sprintf("pid_file = %q\n", s.file("lb.pid")), "", 1))
		s.kill(syscall.SIGHUP)
		testkit.Until(t, "the socket to be in XDG_RUNTIME_DIR", func() bool { return s.lb("status").code == 0 })
		begun := time.Now()
		s.want("status")
		if took := time.Since(begun); took > promptly && !raceOn {
			t.Errorf("lb status took %v, want a second at most", took)
		}
	})
}
