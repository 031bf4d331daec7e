package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"lb/internal/testkit"
)

// load makes lb bench send n requests for path, with beside running meanwhile, unless that
// is nil. Each has to be answered well.
func (s *service) load(n int, path string, beside func()) {
	s.t.Helper()
	type outcome struct {
		said
		err error
	}
	ended := make(chan outcome, 1)
	url := "http://" + s.addr + path
	begun := s.metrics(s.t)["lb_client_requests_total"]
	go func() {
		said, err := s.tryLB("bench", "--json", "-c", "12", "-n", strconv.Itoa(n), "--timeout", testkit.Patience.String(), url)
		ended <- outcome{said, err}
	}()
	if beside != nil {
		testkit.Until(s.t, "the load to begin", func() bool { return s.metrics(s.t)["lb_client_requests_total"] > begun })
		beside()
	}
	o := <-ended
	var result struct {
		Answers int
		Errors  map[string]int
		Status  map[string]int
	}
	if err := json.Unmarshal([]byte(o.out), &result); err != nil || o.err != nil {
		s.t.Fatalf("lb bench: %v, %v, %q", err, o.err, o.said.err)
	}
	if result.Answers != n || result.Status["2xx"] != n {
		s.t.Fatalf("%d of %d requests were answered: %v, %v", result.Answers, n, result.Status, result.Errors)
	}
}

// wantExact checks that requests, replies, histograms and lines of the access log are as
// many as the load generator has counted: all, and those of each pool.
func (s *service) wantExact(all int, pools map[string]int) {
	s.t.Helper()
	want := map[string]float64{
		"lb_client_requests_total":  float64(all),
		"lb_replies_total":          float64(all),
		"lb_access_log_lines_total": float64(all),
		"lb_access_log_lost_total":  0,
		"lb_exchanges":              0,
	}
	for pool, n := range pools {
		for _, name := range []string{"request", "first_byte"} {
			want[fmt.Sprintf("lb_%s_seconds_count{pool=%q}", name, pool)] = float64(n)
			want[fmt.Sprintf("lb_%s_seconds_bucket{pool=%q,le=\"+Inf\"}", name, pool)] = float64(n)
		}
	}
	got := s.untilMetrics(s.t, want)
	for name := range got {
		if strings.HasPrefix(name, "lb_faults_total") {
			s.t.Errorf("%s is shown", name)
		}
	}
	testkit.Until(s.t, "all lines to be written", func() bool { return s.lines() >= all })
	if n := s.lines(); n != all {
		s.t.Errorf("%d lines in the access log, want %d", n, all)
	}
}

// lines returns how many lines the access log has, each of which has to be a whole object,
// but for one that is just being written.
func (s *service) lines() (n int) {
	s.t.Helper()
	b, err := os.ReadFile(s.file("access.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if line[len(line)-1] != '\n' {
			continue
		}
		if n++; !json.Valid(line) {
			s.t.Fatalf("line %d is no JSON: %q", n, line)
		}
	}
	return n
}

// TestCountsAreExact: what lb counts is what the load generator has counted, over all loops
// and workers, beside a reload and an upgrade; and a pool that leaves the configuration and
// comes back goes on where it was.
func TestCountsAreExact(t *testing.T) {
	testkit.Long(t)
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		var other backend = to(demo(t, "127.0.0.1:0", "c").Addr())[0]
		host, port, _ := strings.Cut(other.addr, ":")
		pool := fmt.Sprintf("[[pools]]\nname = \"other\"\nbackends = [{ host = %q, port = %s }]\n[[routes]]\npath = \"/other\"\npool = \"other\"\nstrip_prefix = true\n", host, port)
		s := begin(t, mode, setup{admin: true, backends: to(a.Addr(), b.Addr()), keys: "access_log.path = \"access.log\"\nwatch = false\n", tables: pool})
		want := s.monotone()
		s.load(3000, "/", nil)
		s.load(1000, "/other/status/200", nil)
		s.wantExact(4000, map[string]int{"default": 3000, "other": 1000})
		want()

		s.setup.tables = ""
		s.load(3000, "/", func() { s.reload() })
		s.wantExact(7000, map[string]int{"default": 6000})
		if n, there := sumOf(s.metrics(t), `lb_request_seconds_count{pool="other"}`); there {
			t.Errorf("a pool that is gone has %v requests", n)
		}
		s.setup.tables = pool
		s.load(3000, "/", func() { s.reload() })
		want = s.monotone()
		s.load(1000, "/other/status/200", nil)
		s.wantExact(11000, map[string]int{"default": 9000, "other": 2000})

		old := s.pid
		s.load(4000, "/", func() { s.upgrade() })
		s.wantExitOf(old, 0)
		s.load(1000, "/other/status/200", nil)
		s.wantExact(16000, map[string]int{"default": 13000, "other": 3000})
		want()
	})
}

// TestCountsAfterKills: a worker that is killed takes no count with it, but for those
// requests that it was about to answer.
func TestCountsAfterKills(t *testing.T) {
	testkit.Long(t)
	t.Parallel()
	s := begin(t, "mp", setup{admin: true, backends: to(checkedMany(t, 2)...), keys: "access_log.path = \"access.log\"\n"})
	w := s.send(10, 4)
	w.more(t, 300)
	want := s.monotone()
	const kills = 3
	for n := 0; n < kills; {
		l := s.until("two workers", func(st status) bool { return len(st.serving()) == 2 }).serving()[n%2]
		if _, dead := s.killWorker(l.PID); !dead {
			continue // it was dead already, and that was not noticed yet
		}
		n++
		s.successor(l.Slot, l.PID)
		w.more(t, 200)
	}
	want()
	w.end()
	lost, whole := len(w.lost()), int(w.whole.Load())
	s.wantCounted(w, lost)
	least := int(s.metrics(t)["lb_access_log_lines_total"])
	testkit.Until(t, "the lines to be written", func() bool { return s.lines() >= least })
	if n := s.lines(); n < least || n > least+kills || n < whole-lost || n > whole+lost { // a line may stand in the buffer and not in the count
		t.Errorf("%d lines in the access log, and lb counts %d; %d requests were answered and %d cut off", n, least, whole, lost)
	}
	t.Logf("%d answered, %d cut off, %d lines", whole, lost, least)
}
