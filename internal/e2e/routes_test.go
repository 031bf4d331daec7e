package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// poolAt returns the tables of a pool with one backend.
func poolAt(name, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[[pools]]\nname = %q\n[[pools.backends]]\nhost = %q\nport = %s\n", name, host, port)
}

// repeater is a backend that answers with its name and the request.
func repeater(t *testing.T, name string) (addr string) {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", name)
		fmt.Fprint(w, r.Method, " ", r.RequestURI)
	})
}

const routes = `
[[routes]]
host = "*.example.com"
path = "/api"
pool = "api"
strip_prefix = true
set_request_headers = { "X-Prefix" = "/api" }
set_response_headers = { "X-Frame-Options" = "DENY", "Server" = "us" }

[[routes]]
path = "/api/v2"
pool = "v2"

[[routes]]
path = "/api/v2/beta"
headers = { "x-beta" = "yes" }
methods = ["GET"]
pool = "api"

[[routes]]
host = "old.example.com"
redirect = { to = "https://www.{host}{uri}", code = 301 }
`

// Routes send requests to pools by host, path, method and fields. A request that no
// route takes goes to the backends at the top.
func TestRoutes(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{
			backends: to(repeater(t, "default")),
			tables:   poolAt("api", repeater(t, "api")) + poolAt("v2", repeater(t, "v2")) + routes,
		})
		c := dial(t, p.addr)
		for _, tc := range []struct{ request, host, more, pool, body string }{
			{"GET /", "x", "", "default", "GET /"},
			{"GET /api", "example.com", "", "default", "GET /api"},
			{"GET /api/x?q=1", "a.example.com", "", "api", "GET /x?q=1"},
			{"GET /api", "A.Example.COM:8080", "", "api", "GET /"},
			{"GET /apix", "a.example.com", "", "default", "GET /apix"},
			{"GET /api/v2", "x", "", "v2", "GET /api/v2"},
			{"GET /api/v2x", "x", "", "default", "GET /api/v2x"},
			{"GET /api/v2", "a.example.com", "", "api", "GET /v2"},
			{"GET /api/v2/beta", "x", "X-Beta: yes", "api", "GET /api/v2/beta"},
			{"GET /api/v2/beta", "x", "X-Beta: no", "v2", "GET /api/v2/beta"},
			{"DELETE /api/v2/beta", "x", "X-Beta: yes", "v2", "DELETE /api/v2/beta"},
		} {
			more := tc.more
			if more == "" {
				more = "Accept: */*"
			}
			resp, body, err := c.ask(lines(tc.request+" HTTP/1.1", "Host: "+tc.host, more))
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("X-Backend"); got != tc.pool || body != tc.body {
				t.Errorf("%s at %s, %s: %s by %q with %q, want %q with %q", tc.request, tc.host, more, resp.Status, got, body, tc.pool, tc.body)
			}
		}
	})
}

// A route replaces the fields that it sets. A redirect is an answer of lb's own, which
// needs no backend.
func TestRouteFields(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{
			backends: to(demo(t, "127.0.0.1:0", "default").Addr()),
			tables:   poolAt("api", demo(t, "127.0.0.1:0", "api").Addr()) + poolAt("v2", testkit.FreePort(t)) + routes,
		})
		c := dial(t, p.addr)
		resp, body, err := c.ask(lines("GET /api/headers HTTP/1.1", "Host: a.example.com", "X-Prefix: mine"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(body, "X-Prefix: /api\r\n") || strings.Contains(body, "mine") || !strings.HasPrefix(body, "GET /headers HTTP/1.1\r\n") {
			t.Errorf("the backend got %q, want X-Prefix: /api", body)
		}
		if got := resp.Header; len(got["Server"]) != 1 || got.Get("Server") != "us" || got.Get("X-Frame-Options") != "DENY" {
			t.Errorf("the client got %v, want Server: us and X-Frame-Options: DENY", got)
		}
		resp, _, err = c.ask(lines("GET /a%20b?c=d HTTP/1.1", "Host: old.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Location"); resp.StatusCode != 301 || got != "https://www.old.example.com/a%20b?c=d" {
			t.Errorf("%s to %q", resp.Status, got)
		}
	})
}

// A client with a sticky cookie stays at its backend, over all loops. When that is gone
// the client gets another one and another cookie. Cookies cannot be forged.
func TestSticky(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{keys: "sticky = \"stay\"\n", backends: to(a.addr, b.addr)})
		ask := func(cookie string) (by string, set *http.Cookie) {
			t.Helper()
			c := dial(t, p.addr) // on either loop
			defer c.Close()
			resp, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x", "Cookie: other=1; "+cookie))
			if err != nil {
				t.Fatal(err)
			}
			want200(t, resp, "")
			for _, set = range resp.Cookies() {
				break
			}
			return resp.Header.Get("X-Backend"), set
		}
		by, cookie := ask("none=1")
		if cookie == nil || cookie.Name != "stay" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || len(cookie.Value) < 16 {
			t.Fatalf("the cookie is %v", cookie)
		}
		for range 20 {
			if got, again := ask("stay=" + cookie.Value); got != by || again != nil {
				t.Fatalf("answered by %s with %v, want %s and no other cookie", got, again, by)
			}
		}
		if _, again := ask("stay=0"); again == nil {
			t.Error("a cookie that somebody made up is taken")
		}
		gone, other := a, b
		if by == b.addr {
			gone, other = b, a
		}
		gone.kill()
		got, next := ask("stay=" + cookie.Value)
		if got != other.addr || next == nil || next.Value == cookie.Value {
			t.Errorf("with its backend gone: answered by %s with %v, want %s and another cookie", got, next, other.addr)
		}
	})
}

// Backups get no requests while another backend can be used.
func TestBackup(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := startBackend(t), startBackend(t)
		p := start(t, mode, setup{backends: []backend{{addr: a.addr}, {addr: b.addr, keys: "backup = true\n"}}, admin: true, tables: checks + "[eject]\ntime = \"100ms\"\n"})
		client := dial(t, p.addr)
		up := func() float64 { return p.metrics(t)[ofBackend("up", a.addr)] }
		if got := client.answeredBy(t, 20); got[a.addr] != 20 {
			t.Errorf("answered by %v, want all by %s", got, a.addr)
		}
		a.kill()
		if got := client.answeredBy(t, 10); got[b.addr] != 10 {
			t.Errorf("answered by %v, want all by the backup, %s", got, b.addr)
		}
		testkit.Until(t, "it to be down", func() bool { return up() == 0 })
		a.again(t)
		testkit.Until(t, "it to be up", func() bool { return up() == 1 })
		testkit.Until(t, "its ejection to be over", func() bool { return p.metrics(t)[ofBackend("ejected", a.addr)] == 0 })
		if got := client.answeredBy(t, 20); got[a.addr] != 20 {
			t.Errorf("answered by %v, want all by %s", got, a.addr)
		}
	})
}

// A backend that drains gets no new requests.
func TestDrainingBackend(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: []backend{{addr: a.Addr()}, {addr: b.Addr(), keys: "drain = true\n"}}})
		if got := dial(t, p.addr).answeredBy(t, 20); got["a"] != 20 {
			t.Errorf("answered by %v, want all by a", got)
		}
	})
}

// A client does not get an answer whose status retry.on names: another backend is tried.
func TestRetryOnStatus(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		sick := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		p := start(t, mode, setup{
			backends: to(sick, demo(t, "127.0.0.1:0", "well").Addr()),
			tables:   "[retry]\non = [\"connect\", \"stale\", \"503\"]\nbudget = 1.0\n",
		})
		client := dial(t, p.addr)
		if got := client.answeredBy(t, 40); got["well"] != 40 {
			t.Errorf("answered by %v, want all by the one that works", got)
		}
		posts := map[int]int{}
		for range 10 {
			client.send(t, lines("POST / HTTP/1.1", "Host: x", "Content-Length: 4")+"body")
			resp, _ := client.answer(t)
			posts[resp.StatusCode]++
		}
		if posts[503] != 5 || posts[200] != 5 {
			t.Errorf("POSTs, which may not be sent again, were answered with %v, want 5 of 503", posts)
		}
	})
}

// TestUnknownHost: without a default pool, a host that no route takes is not found.
func TestUnknownHost(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		p := start(t, mode, setup{
			tables: poolAt("a", repeater(t, "a")) + "[[routes]]\nhost = \"a.example\"\npool = \"a\"\n",
		})
		c := dial(t, p.addr)
		resp, body, err := c.ask("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n")
		if err != nil || resp.StatusCode != http.StatusNotFound || !strings.Contains(body, `"b.example"`) || resp.Header.Get("Retry-After") != "" {
			t.Errorf("an unknown host: %v %q (%v)", resp, body, err)
		}
		if resp, body, err := c.ask("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a known host after it: %v %q (%v)", resp, body, err)
		}
	})
}
