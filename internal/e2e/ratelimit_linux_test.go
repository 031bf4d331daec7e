package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lb/admin/api"
	"lb/internal/testkit"
)

// rateLimited is a setup that answers every request by itself, and these rate limits.
func rateLimited(workers int, limits string) setup {
	return setup{workers: workers, admin: true, backends: to("127.0.0.1:1"),
		tables: "[[routes]]\npath = \"/go\"\nredirect = { to = \"/\", code = 302 }\n" + limits}
}

// hammer sends n requests by each of some conns at once, and returns how many passed. All
// others have to be a 429.
func (s *service) hammer(conns, n int, path, fields string) int {
	s.t.Helper()
	var all sync.WaitGroup
	var passed, refused atomic.Int64
	for range conns {
		all.Go(func() {
			var c *rawConn
			for range n {
				if c == nil {
					conn, err := connect(s.addr)
					if err != nil {
						s.t.Error(err)
						return
					}
					defer conn.Close()
					conn.SetDeadline(time.Now().Add(2 * testkit.Patience))
					c = newRawConn(conn)
				}
				io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n"+fields+"\r\n")
				resp, _, err := c.try()
				if err != nil {
					s.t.Error(err)
					return
				}
				if resp.Close { // by a process that is being replaced
					c = nil
				}
				switch resp.StatusCode {
				case 302:
					passed.Add(1)
				case 429:
					refused.Add(1)
				default:
					s.t.Errorf("status %d", resp.StatusCode)
				}
			}
		})
	}
	all.Wait()
	return int(passed.Load())
}

// limits returns the rate limits in the status.
func (s *service) limits() []api.RateLimit {
	s.t.Helper()
	var st api.Status
	if err := json.Unmarshal([]byte(s.want("status", "--json")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st.RateLimits
}

const hourly = `
[[rate_limits]]
name = "hourly"
rate = "1/h"
burst = 400
match = { path = "/go" }
[[rate_limits]]
name = "dry"
rate = "1/h"
burst = 10
dry_run = true
`

// TestRateLimitExact: over 8 loops, exactly as many requests pass as there are tokens. What
// was taken stays taken over a reload, the death of workers and an upgrade; and every place
// where an operator looks says so.
func TestRateLimitExact(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		setup := rateLimited(8, hourly)
		setup.tables += "[access_log]\npath = \"access.log\"\n"
		s := begin(t, mode, setup)
		if got := s.hammer(16, 40, "/go", ""); got != 400 {
			t.Errorf("%d of 640 pass, want 400", got)
		}
		s.wantLimited(400, 240)
		s.setup.tables += "[[rate_limits]]\nname = \"other\"\nkey = \"header:x\"\nrate = \"1/s\"\n"
		s.reload()
		if got := s.hammer(8, 2, "/go", ""); got != 0 {
			t.Errorf("%d pass after a reload", got)
		}
		if mode == "mp" {
			for _, l := range s.status().serving() {
				if _, killed := s.killWorker(l.PID); killed {
					s.successor(l.Slot, l.PID)
				}
			}
			if got := s.hammer(8, 2, "/go", ""); got != 0 {
				t.Errorf("%d pass after the death of all workers", got)
			}
		}
		s.upgrade()
		if got := s.hammer(8, 2, "/go", ""); got != 0 {
			t.Errorf("%d pass after an upgrade", got)
		}
	})
}

// wantLimited checks what lb says of the limits.
func (s *service) wantLimited(passed, refused int) {
	t := s.t
	t.Helper()
	m := s.metrics(t)
	for name, want := range map[string]int{
		`lb_rate_limited_total{dry_run="false",limit="hourly"}`: refused, `lb_rate_limit_passed_total{limit="hourly"}`: passed,
		`lb_rate_limited_total{dry_run="true",limit="dry"}`: passed - 10, `lb_rate_limited_total{dry_run="false",limit="dry"}`: 0,
		`lb_rate_limit_states_lost_total`: 0,
	} {
		if got, ok := m[name]; !ok || got != float64(want) {
			t.Errorf("%s is %v, want %d", name, got, want)
		}
	}
	if l := s.limits(); len(l) != 2 || l[0].Name != "hourly" || l[0].Limited != uint64(refused) || l[0].Passed != uint64(passed) || !l[1].DryRun {
		t.Errorf("status: %+v", l)
	}
	if e := s.explain("GET", "/go"); e.Answer == nil || e.Answer.Status != 429 || len(e.RateLimits) != 2 || !e.RateLimits[0].Refuses || e.RateLimits[1].Refuses {
		t.Errorf("explain: %+v", e)
	}
	if e := s.explain("GET", "/go", "--from", "192.0.2.7"); e.Answer == nil || e.Answer.Status != 302 || e.RateLimits[0].Left != 400 {
		t.Errorf("explain for another client: %+v", e)
	}
	if faults := s.want("faults"); !strings.Contains(faults, `the rate limit "hourly" is used up`) {
		t.Errorf("faults:\n%s", faults)
	}
	resp, body := get(t, newClient(t), "http://"+s.addr+"/go")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("RateLimit-Policy") != `"hourly";q=400;w=1440000` ||
		!strings.HasPrefix(resp.Header.Get("RateLimit"), `"hourly";r=0;t=`) || !strings.Contains(body, `the rate limit "hourly" is used up`) {
		t.Errorf("%v %q", resp.Header, body)
	}
	testkit.Until(t, "the line in the access log", func() bool {
		return strings.Contains(readAll(s.file("access.log")), `"end":"client","end_phase":"admit","end_why":"rate_limited","end_detail":"the rate limit \"hourly\" is used up"`)
	})
}

// TestRateLimitOverTime: no more than burst and rate allow pass in any time, and a loaded lb
// lets as many pass.
func TestRateLimitOverTime(t *testing.T) {
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		const rate, burst = 500, 50
		s := begin(t, mode, rateLimited(8, fmt.Sprintf("[[rate_limits]]\nname = \"a\"\nrate = \"%d/s\"\nburst = %d\n", rate, burst)))
		began, passed := time.Now(), 0
		for time.Since(began) < 2*time.Second {
			passed += s.hammer(16, 100, "/go", "")
		}
		most := rate*time.Since(began).Seconds() + burst
		t.Logf("%d pass, at most %.0f", passed, most)
		if float64(passed) > 1.02*most {
			t.Errorf("%d pass, at most %.0f may", passed, most)
		}
	})
}

// TestRateLimitStore: two machines that share a store give as much as one. While it is away,
// each counts alone, and says so.
func TestRateLimitStore(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		redis := testkit.NewRedis(t, "s3cret")
		limits := fmt.Sprintf("[[rate_limits]]\nname = \"shared\"\nkey = \"header:x-key\"\nrate = \"1/h\"\nburst = 20\nstore = \"redis://:s3cret@%s/0\"\n", redis.Addr)
		one, two := begin(t, mode, rateLimited(2, limits)), begin(t, mode, rateLimited(2, limits))
		store := func(s *service, state string) {
			t.Helper()
			testkit.Until(t, "the store to be "+state, func() bool { return s.limits()[0].StoreState == state })
		}
		passed := one.hammer(2, 5, "/go", "X-Key: a\r\n") + two.hammer(1, 1, "/go", "X-Key: a\r\n")
		store(one, api.StoreUp)
		store(two, api.StoreUp)
		left := func(s *service) int64 { return s.explain("GET", "/go", "-H", "X-Key: a").RateLimits[0].Left }
		testkit.Until(t, "the second to hear of the first", func() bool { return left(two) == 9 })
		passed += two.hammer(2, 10, "/go", "X-Key: a\r\n")
		testkit.Until(t, "the first to hear of the second", func() bool { return left(one) == 0 })
		passed += one.hammer(2, 5, "/go", "X-Key: a\r\n") + two.hammer(2, 5, "/go", "X-Key: a\r\n")
		if passed != 20 {
			t.Errorf("%d pass on both, want 20", passed)
		}
		redis.Kill(t)
		if a, b := one.hammer(2, 20, "/go", "X-Key: b\r\n"), two.hammer(2, 20, "/go", "X-Key: b\r\n"); a != 20 || b != 20 {
			t.Errorf("without a store %d and %d pass, want 20 each", a, b)
		}
		store(one, api.StoreAway)
		store(two, api.StoreAway)
		if m := one.metrics(t); m[`lb_rate_limit_store_up{limit="shared"}`] != 0 {
			t.Error("the metric says that it is up")
		}
		redis.Start(t)
		store(one, api.StoreUp)
		one.reload()
		one.upgrade()
		store(one, api.StoreUp)
		if one.hammer(1, 2, "/go", "X-Key: b\r\n") != 0 {
			t.Error("an upgrade has filled a bucket")
		}
		for _, s := range []*service{one, two} {
			if text := s.Log.String() + s.want("status", "--json") + s.want("config", "show"); strings.Contains(text, "s3cret") {
				t.Errorf("the password is shown:\n%s", text)
			}
		}
	})
}

// readAll returns what is in a file, or "" if there is none.
func readAll(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}
