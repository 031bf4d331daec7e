package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lb/admin/api"
	"lb/internal/testkit"
)

// explain runs lb explain for a request to lb itself.
func (s *service) explain(args ...string) (e api.Explained) {
	s.t.Helper()
	out := s.want(append([]string{"explain", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return e
}

const explained = `
[[routes]]
path = "/api"
pool = "api"
strip_prefix = true

[[routes]]
host = "old.test"
redirect = { to = "https://new.test{uri}", code = 301 }

[[routes]]
path = "/api"
methods = ["POST"]
headers = { x-beta = "yes" }
host = "a.test"
pool = "default"
`

// TestExplain: lb explain says of one request after the other where it goes, and there it
// goes: by the turn of a single loop, after changes at run time, and after an upgrade. Its
// questions take nobody's turn.
func TestExplain(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		addrs := map[string]string{}
		for _, name := range []string{"a", "b", "c", "api"} {
			addrs[name] = demo(t, "127.0.0.1:0", name).Addr()
		}
		s := begin(t, mode, setup{workers: 1, admin: true, backends: []backend{{addr: addrs["a"], weight: 2}, {addr: addrs["b"]}, {addr: addrs["c"]}},
			tables: poolAt("api", addrs["api"]) + explained})
		c := dial(t, s.addr)
		agree := func(when string, n int) {
			t.Helper()
			for range n {
				for range 2 {
					s.explain("GET", "/x")
				}
				says := s.explain("GET", "http://a.test/x", "-H", "X-Beta: no")
				resp, _, err := c.ask(lines("GET /x HTTP/1.1", "Host: a.test", "X-Beta: no"))
				if err != nil {
					t.Fatal(err)
				}
				if by := addrs[resp.Header.Get("X-Backend")]; by != says.Choice || says.Pool != "default" {
					t.Errorf("%s: answered by %s, and explain says %+v", when, by, says)
				}
			}
		}
		agree("by turns", 6)
		s.want("backend", "weight", "default", addrs["b"], "3")
		s.want("backend", "disable", "default", addrs["a"])
		agree("after changes", 4)
		s.wantAnswers()
		old := s.pid
		s.upgrade()
		s.wantExitOf(old, 0)
		c.Close()
		c = dial(t, s.addr)
		agree("after an upgrade", 3)
		if says := s.explain("GET", "/x"); says.Backends[0].State != "disabled" || says.Backends[1].Weight != 3 {
			t.Errorf("after an upgrade: %+v", says.Backends)
		}
	})
}

// wantAnswers wants routes, answers of lb's own and mistakes to be explained.
func (s *service) wantAnswers() {
	t := s.t
	t.Helper()
	if says := s.explain("GET", "http://b.test/api/y?token=s3cret", "-H", "Cookie: s3cret"); says.Route != 1 || says.Pool != "api" ||
		!strings.HasPrefix(says.Head, "GET /y?token=*** HTTP/1.1\n") || strings.Contains(says.Head, "s3cret") {
		t.Errorf("a route with strip_prefix: %+v", says)
	}
	if says := s.explain("POST", "http://a.test/api", "-H", "x-beta: yes", "-H", "Content-Length: 0"); says.Route != 3 || !strings.Contains(says.Routes[0].Why, "more exact") {
		t.Errorf("the more exact route: %+v", says)
	}
	if says := s.explain("GET", "http://old.test/z"); says.Answer == nil || says.Answer.Status != 301 || says.Answer.Fields[0] != "Location: https://new.test/z" {
		t.Errorf("a redirect: %+v", says)
	}
	if says := s.explain("GET", "http://a.test/%zz\x01"); says.Answer == nil || says.Answer.Status != 400 || says.Answer.Cause != "bad_request" {
		t.Errorf("a head that is refused: %+v", says)
	}
	if text := s.want("explain", "GET", "http://old.test/z"); !strings.HasPrefix(text, "choice    lb answers 301 Moved Permanently, Location: https://new.test/z\n") {
		t.Errorf("as text:\n%s", text)
	}
	s.refuses([]string{"explain", "GET", "/", "--from", "nobody"}, `"nobody" is no IP address`)
	s.refuses([]string{"explain", "GET", "/", "-H", "nonsense"}, `"nonsense" is no field`)
	resp, err := http.Get("http://" + s.admin + "/v1/explain?method=GET&url=" + url.QueryEscape("http://old.test/z"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var says api.Explained
	if err := json.NewDecoder(resp.Body).Decode(&says); err != nil || says.Answer == nil || says.Answer.Status != 301 {
		t.Errorf("over the admin address: %s, %+v, %v", resp.Status, says, err)
	}
}

// TestExplainFrozen: a worker that stands still costs the command no more than a moment.
func TestExplainFrozen(t *testing.T) {
	t.Parallel()
	s := begin(t, "mp", setup{workers: 1, backends: to(demo(t, "127.0.0.1:0", "a").Addr())})
	worker := s.status().serving()[0].PID
	syscall.Kill(worker, syscall.SIGSTOP)
	s.refuses([]string{"explain", "GET", "/"}, "worker 0 has not answered after", "try again")
	syscall.Kill(worker, syscall.SIGCONT)
	testkit.Until(t, "the worker to explain", func() bool { return s.lb("explain", "GET", "/").code == 0 })
}

// TestConfigShow: each value and where it comes from: the file, a flag, lb itself, an operator.
func TestConfigShow(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a := demo(t, "127.0.0.1:0", "a").Addr()
		s := begin(t, mode, setup{workers: 1, keys: "sticky_key = \"a key of sixteen\"\n", backends: to(a), tables: "[timeouts]\nconnect = \"2s\"\n"})
		file := s.file("lb.toml")
		lineOf := func(text string) int {
			before, _, ok := strings.Cut(s.text(), "\n"+text)
			if !ok {
				t.Fatalf("no %q in %s", text, s.text())
			}
			return 2 + strings.Count(before, "\n")
		}
		want := func(key, value, source string, line int) {
			t.Helper()
			var list []api.Setting
			out := s.want("config", "show", "--json", key)
			if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
				t.Fatalf("%s: %v in %s", key, err, out)
			}
			got := list[0]
			if got.Value != value || got.Source != source || got.Line != line || line > 0 && filepath.Base(got.File) != filepath.Base(file) {
				t.Errorf("%s: %+v, want %s by %s, line %d", key, got, value, source, line)
			}
		}
		want("timeouts.connect", "2s", api.FromFile, lineOf("connect = "))
		want("timeouts.queue", "5s", api.FromDefault, 0)
		want("sticky_key", "set", api.FromFile, lineOf("sticky_key"))
		want("log_format", "text", api.FromFlag, 0)
		s.want("backend", "weight", "default", a, "7")
		want("backends[0].weight", "7", api.FromRuntime, 0)
		if text := s.want("config", "show", "timeouts.connect", "backends[0].weight"); !strings.Contains(text, fmt.Sprintf("lb.toml:%d\n", lineOf("connect = "))) ||
			!strings.Contains(text, "run time\n") || strings.Count(text, "\n") != 3 {
			t.Errorf("as text:\n%s", text)
		}
		s.refuses([]string{"config", "show", "nonsense"}, `there is no setting "nonsense"`)
		s.stop()
		offline := s.lb("config", "show", "-c", "lb.toml", "--json", "timeouts")
		if offline.code != 0 || !strings.Contains(offline.err, "this is what lb.toml says") || !strings.Contains(offline.out, `"value": "2s"`) {
			t.Errorf("without a running lb: %+v", offline)
		}
		s.refuses([]string{"config", "show"}, "no lb answers")
	})
}
