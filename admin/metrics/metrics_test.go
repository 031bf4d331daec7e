package metrics

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/board"
	"lb/config"
)

// tlsFaults are the lines about TLS: all causes for a backend with TLS.
const tlsFaults = `
lb_backend_faults_total{backend="10.0.0.1:9001",cause="tls_date",pool="default"} 1
lb_backend_faults_total{backend="unix:/run/app.sock",cause="tls_date",pool="default"} 2
lb_backend_faults_total{backend="[::1]:80",cause="tls",pool="api"} 0
lb_backend_faults_total{backend="[::1]:80",cause="tls_chain",pool="api"} 0
lb_backend_faults_total{backend="[::1]:80",cause="tls_date",pool="api"} 3
lb_backend_faults_total{backend="[::1]:80",cause="tls_name",pool="api"} 0
lb_backend_faults_total{backend="[::1]:80",cause="tls_version",pool="api"} 0`

// TestMetricsValues puts a number of its own on every word of the board, spread
// over two loops, and reads them all back over a socket.
func TestMetricsValues(t *testing.T) {
	url := start(t, counted())
	for _, tc := range []struct{ name, kind, samples string }{
		{"lb_loops", "gauge", "lb_loops 1"}, // the other slot has no loop
		{"lb_config_number", "gauge", "lb_config_number 7"},
		{"lb_start_timestamp_seconds", "gauge", "lb_start_timestamp_seconds 1.7000000005e+09"},
		{"lb_config_last_reload_successful", "gauge", "lb_config_last_reload_successful 0"},
		{"lb_config_last_reload_success_timestamp_seconds", "gauge", "lb_config_last_reload_success_timestamp_seconds 1.7000000005e+09"},
		{"lb_reloads_total", "counter", "lb_reloads_total 2"},
		{"lb_reload_faults_total", "counter", "lb_reload_faults_total 3"},
		{"lb_upgrades_total", "counter", "lb_upgrades_total 4"},
		{"lb_workers", "gauge", "lb_workers 2"},
		{"lb_worker_restarts_total", "counter", "lb_worker_restarts_total 5"},
		{"lb_client_connections", "gauge", "lb_client_connections 303"},
		{"lb_backend_connections", "gauge", "lb_backend_connections 306"},
		{"lb_backend_idle_connections", "gauge", "lb_backend_idle_connections 309"},
		{"lb_exchanges", "gauge", "lb_exchanges 312"},
		{"lb_tunnels", "gauge", "lb_tunnels 315"},
		{"lb_client_connections_accepted_total", "counter", "lb_client_connections_accepted_total 318"},
		{"lb_accept_errors_total", "counter", "lb_accept_errors_total 321"},
		{"lb_client_requests_total", "counter", "lb_client_requests_total 324"},
		{"lb_retries_total", "counter", "lb_retries_total 327"},
		{"lb_unrouted_requests_total", "counter", "lb_unrouted_requests_total 339"},
		{"lb_client_aborts_total", "counter", "lb_client_aborts_total 330"},
		{"lb_panics_total", "counter", "lb_panics_total 333"},
		{"lb_loop_turns_total", "counter", "lb_loop_turns_total 336"},
		{"lb_access_log_lines_total", "counter", "lb_access_log_lines_total 342"},
		{"lb_access_log_lost_total", "counter", "lb_access_log_lost_total 1345"},
		{"lb_spans_lost_total", "counter", "lb_spans_lost_total 2000"},
		{"lb_replies_total", "counter", byClass("lb_replies_total{", 600)},
		{"lb_own_replies_total", "counter", byClassIn("lb_own_replies_total{", "", 1200) + `
lb_own_replies_total{code="4xx",pool="api"} 3000
lb_own_replies_total{code="5xx",pool="api"} 6000
lb_own_replies_total{code="4xx",pool="default"} 3000
lb_own_replies_total{code="5xx",pool="default"} 6000
`},
		{"lb_queued_requests", "gauge", "lb_queued_requests{pool=\"api\"} 90\nlb_queued_requests{pool=\"default\"} 90"},
		{"lb_bytes_total", "counter", `
lb_bytes_total{direction="in",side="client"} 1203
lb_bytes_total{direction="out",side="client"} 1206
lb_bytes_total{direction="in",side="backend"} 1209
lb_bytes_total{direction="out",side="backend"} 1212`},
		{"lb_handshakes_total", "counter", `
lb_handshakes_total{result="full"} 1500
lb_handshakes_total{result="resumed"} 1503
lb_handshakes_total{result="failed"} 1506
lb_handshakes_total{result="refused"} 1509
lb_handshakes_total{result="timeout"} 1512`},
		{"lb_handshake_seconds", "histogram", handshakeSamples()},
		{"lb_backend_attempts_in_flight", "gauge", byBackend("lb_backend_attempts_in_flight", "", 1)},
		{"lb_backend_attempts_total", "counter", byBackend("lb_backend_attempts_total", "", 2)},
		{"lb_backend_connects_total", "counter", byBackend("lb_backend_connects_total", "", 3)},
		{"lb_requests_total", "counter",
			byBackend("lb_requests_total", `code="2xx"`, 12) +
				byBackend("lb_requests_total", `code="3xx"`, 13) + byBackend("lb_requests_total", `code="4xx"`, 14) +
				byBackend("lb_requests_total", `code="5xx"`, 15)},
		{"lb_backend_faults_total", "counter",
			byBackend("lb_backend_faults_total", `cause="connect"`, 4) + byBackend("lb_backend_faults_total", `cause="reset"`, 5) +
				byBackend("lb_backend_faults_total", `cause="timeout"`, 6) + byBackend("lb_backend_faults_total", `cause="bad_answer"`, 7) + byBackend("lb_backend_faults_total", `cause="status"`, 100) + tlsFaults},
		{"lb_backend_bytes_total", "counter",
			byBackend("lb_backend_bytes_total", `direction="in"`, 8) + byBackend("lb_backend_bytes_total", `direction="out"`, 9)},
	} {
		want := fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n%s\n",
			tc.name, helpOf(t, url, tc.name), tc.name, tc.kind, strings.TrimSpace(tc.samples))
		if err := testutil.ScrapeAndCompare(url+"/metrics", strings.NewReader(want), tc.name); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// counted returns options with a number of its own on every word of the board.
func counted() Options {
	o := options()
	o.Workers = func() int { return 2 }
	c := o.Board.Control()
	for i, word := range []*board.Counter{&c.Reloads, &c.ReloadFaults, &c.Upgrades, &c.WorkerRestarts} {
		word.Add(uint64(2 + i))
	}
	c.LogWriteLost.Add(1000)
	c.SpansLost.Add(2000)
	c.StartedAt.Set(1_700_000_000_500_000_000)
	o.Board.Loop(1).OldestConfig.Set(6)
	for loop, sign := range []uint64{1, 2} {
		count(o.Board.Loop(loop), sign)
		for backend := range o.Board.Backends() {
			countBackend(o.Board.Backend(loop, backend), sign*uint64(1+backend))
		}
	}
	for id, n := range []uint64{1, 2, 3} {
		o.Board.State(id).StatusFaults.Add(300 * n)
		for range n {
			o.Board.State(id).NoteFault(board.ReasonTLSDate, 0, 0, 1)
		}
		o.Board.State(id).Own[0].Add(1000 * n)
		o.Board.State(id).Own[1].Add(2000 * n)
	}
	o.LastReload = func() (bool, time.Time) { return false, time.UnixMilli(1_700_000_000_500) }
	return o
}

// count puts 100*sign, 200*sign and so on and a little more on each word, so
// that no two sums are the same.
func count(l *board.Loop, sign uint64) {
	for i, c := range []*board.Counter{
		&l.ClientConns, &l.BackendConns, &l.BackendIdle, &l.Exchanges, &l.Tunnels, &l.Accepted,
		&l.AcceptErrors, &l.Requests, &l.Retries, &l.ClientAborts, &l.Panics, &l.Turns, &l.Unrouted,
		&l.LogLines, &l.LogLost,
	} {
		c.Add(sign * uint64(100+i+1))
	}
	for class := range l.Replies {
		l.Replies[class].Add(sign * uint64(200+class))
		l.OwnReplies[class].Add(sign * uint64(300+class))
		l.PoolLess[class].Add(sign * uint64(400+class))
	}
	for end := range l.Handshakes {
		l.Handshakes[end].Add(sign * uint64(500+end))
	}
	for i := range l.HandshakeTimes {
		l.HandshakeTimes[i].Add(sign * uint64(600+i))
	}
	l.HandshakeNanos.Add(sign * 5e8)
	for i, c := range []*board.Counter{&l.BytesFromClient, &l.BytesToClient, &l.BytesFromBackend, &l.BytesToBackend} {
		c.Add(sign * uint64(400+i+1))
	}
}

// handshakeSamples are those of the histogram: the buckets are cumulative.
func handshakeSamples() string {
	var s strings.Builder
	sum := 0
	for i, le := range []string{"0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"} {
		sum += 3 * (600 + i)
		fmt.Fprintf(&s, "lb_handshake_seconds_bucket{le=\"%s\"} %d\n", le, sum)
	}
	fmt.Fprintf(&s, "lb_handshake_seconds_sum 1.5\nlb_handshake_seconds_count %d\n", sum)
	return s.String()
}

func countBackend(s *board.Backend, sign uint64) {
	for i, c := range []*board.Counter{
		&s.InFlight, &s.Attempts, &s.Conns, &s.ConnectFaults, &s.ResetFaults,
		&s.TimeoutFaults, &s.BadAnswers, &s.BytesFrom, &s.BytesTo, &s.Gauges,
	} {
		c.Add(sign * uint64(i+1))
	}
	for class := range s.Replies {
		s.Replies[class].Add(sign * uint64(12+class))
	}
}

// byClassIn is byClass with a label for the pool.
func byClassIn(start, pool string, base int) string {
	return strings.ReplaceAll(byClass(start, base), "\"}", "\",pool=\""+pool+"\"}")
}

// byClass returns the samples of the five classes whose sums are base plus three
// times the class.
func byClass(start string, base int) string {
	var s strings.Builder
	for class := 1; class <= 5; class++ {
		fmt.Fprintf(&s, "%scode=\"%dxx\"} %d\n", start, class, base+3*class)
	}
	return s.String()
}

// byBackend returns the samples of the three backends, whose sums are 3, 6 and 9
// times n. label is one more label, or empty.
func byBackend(name, label string, n int) string {
	if label != "" {
		label += ","
	}
	var s strings.Builder
	for i, backend := range []struct{ name, pool string }{
		{"10.0.0.1:9001", "default"}, {"unix:/run/app.sock", "default"}, {"[::1]:80", "api"},
	} {
		fmt.Fprintf(&s, "%s{backend=%q,%spool=%q} %d\n", name, backend.name, label, backend.pool, 3*(i+1)*n)
	}
	return s.String()
}

// helpOf returns the help text of a metric as it was served, which has to be there.
func helpOf(t *testing.T, url, name string) string {
	t.Helper()
	body := fetch(t, url+"/metrics")
	_, rest, found := strings.Cut(body, "# HELP "+name+" ")
	help, _, _ := strings.Cut(rest, "\n")
	if !found || len(help) < 10 {
		t.Errorf("%s has the help %q", name, help)
	}
	return help
}

// TestMetricsLint: Prometheus's own linter has nothing to say, and neither has a
// registry about series that occur twice.
func TestMetricsLint(t *testing.T) {
	o := options()
	o.Workers = func() int { return 0 }
	o.LastReload = func() (bool, time.Time) { return true, time.Time{} }
	o.Processes = func() []Process { return []Process{{"supervisor", os.Getpid()}} }
	problems, err := testutil.GatherAndLint(served(t, o))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsOthers: the build, the Go runtime and the process are shown too,
// and workers only where there are some.
func TestMetricsOthers(t *testing.T) {
	url := start(t, options())
	body := fetch(t, url+"/metrics")
	want := []string{
		fmt.Sprintf("\nlb_build_info{goversion=%q,version=\"1.2.3\"} 1\n", runtime.Version()),
		"\ngo_goroutines ",
	}
	if runtime.GOOS == "linux" {
		want = append(want, "\nprocess_open_fds ")
	}
	for _, w := range want {
		if !strings.Contains(body, w) {
			t.Errorf("no %q in the answer", w)
		}
	}
	if strings.Contains(body, "lb_workers") {
		t.Error("workers are shown where there are none")
	}
}

// TestMetricsOddPath: a path that is not UTF-8, which no label may hold, does not
// cost the whole answer.
func TestMetricsOddPath(t *testing.T) {
	o := options()
	cfg := &config.Config{Pools: []config.Pool{{Name: "default", Backends: []config.Backend{{Socket: "/run/\xff.sock", Weight: 1}}}}}
	o.View = func() View { return View{Config: cfg, IDs: [][]int{{0}}} }
	o.Board.Backend(0, 0).Attempts.Add(2)
	const name = "lb_backend_attempts_total"
	want := "# HELP " + name + " Attempts at a backend, retries included.\n# TYPE " + name + " counter\n" +
		name + "{backend=\"unix:/run/\ufffd.sock\",pool=\"default\"} 2\n"
	if err := testutil.GatherAndCompare(served(t, o), strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}

// TestScrapeBesideWriters: loops count while two clients scrape; for -race.
func TestScrapeBesideWriters(t *testing.T) {
	o := options()
	url := start(t, o)
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for loop := range o.Board.Loops() {
		writers.Go(func() {
			l, s := o.Board.Loop(loop), o.Board.Backend(loop, 0)
			for {
				select {
				case <-stop:
					return
				default:
					l.Requests.Add(1)
					s.Replies[2].Add(1)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for range 3 {
				fetch(t, url)
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
}

// TestMetricsFollowTheView: exactly the backends of the present view are shown,
// each from its own place on the board, whatever was shown before.
func TestMetricsFollowTheView(t *testing.T) {
	o := options()
	o.Board = board.New(1, 9)
	for id := range o.Board.Backends() {
		o.Board.Backend(0, id).Attempts.Add(uint64(100 + id))
		o.Board.SetHealth(id, []board.Health{board.Down, board.Up}[id%2], board.ReasonOK, 0, 1)
	}
	var view atomic.Pointer[View]
	o.View = func() View { return *view.Load() }
	at := func(ports ...int) (list []config.Backend) {
		for _, port := range ports {
			list = append(list, config.Backend{Host: "10.0.0.1", Port: port, Weight: 1})
		}
		return list
	}
	set := func(ids [][]int, pools ...config.Pool) {
		view.Store(&View{Config: &config.Config{Pools: pools}, IDs: ids})
	}
	set(nil)
	url := start(t, o)
	for _, tc := range []struct {
		set  func()
		want []string // pool, backend, attempts, up
	}{
		{func() { set([][]int{{0, 1}}, config.Pool{Name: "default", Backends: at(1, 2)}) },
			[]string{"default 10.0.0.1:1 100 0", "default 10.0.0.1:2 101 1"}},
		{func() { set([][]int{{1, 8}}, config.Pool{Name: "default", Backends: at(2, 1)}) },
			[]string{"default 10.0.0.1:1 108 0", "default 10.0.0.1:2 101 1"}},
		{func() {
			set([][]int{{1}, {}, {5}}, config.Pool{Name: "default", Backends: at(2)}, config.Pool{Name: "none"}, config.Pool{Name: "api", Backends: at(2)})
		},
			[]string{"api 10.0.0.1:2 105 1", "default 10.0.0.1:2 101 1"}},
		{func() { set([][]int{{}}, config.Pool{Name: "default"}) }, nil},
	} {
		tc.set()
		body := fetch(t, url+"/metrics")
		var got []string
		for line := range strings.Lines(body) {
			var pool, backend, value, up string
			if _, err := fmt.Sscanf(line, "lb_backend_attempts_total{backend=%q,pool=%q} %s", &backend, &pool, &value); err != nil {
				continue
			}
			_, up, _ = strings.Cut(body, fmt.Sprintf("lb_backend_up{backend=%q,pool=%q} ", backend, pool))
			up, _, _ = strings.Cut(up, "\n")
			got = append(got, strings.Join([]string{pool, backend, value, up}, " "))
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("shown: %q, want %q", got, tc.want)
		}
	}
}

// TestScrapeBesideReloads: views come and go while clients scrape; for -race.
func TestScrapeBesideReloads(t *testing.T) {
	o := options()
	b, file, err := board.Create(board.Size{Loops: 1, Backends: 64, Series: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer b.Close()
	b.ClaimLoop(0)
	o.Board = b
	var view atomic.Pointer[View]
	view.Store(&View{Config: &config.Config{}})
	o.View = func() View { return *view.Load() }
	url := start(t, o)
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for range 5 {
				fetch(t, url)
			}
		})
	}
	done := make(chan struct{})
	go func() { clients.Wait(); close(done) }()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		id := n % b.BackendsRoom()
		b.ClaimBackend(id)
		view.Store(&View{
			Config: &config.Config{Pools: []config.Pool{{Name: "default", Backends: []config.Backend{{Host: "a", Port: 1 + id, Weight: 1}}}}},
			IDs:    [][]int{{id}},
			Number: uint64(n),
		})
	}
}

// TestMetricsOfProcesses: in mp every process has the usual metrics, with its name as a
// label, and a process that is gone costs nothing but its own.
func TestMetricsOfProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the library reads other processes on Linux only")
	}
	o := options()
	o.Processes = func() []Process {
		return []Process{{"supervisor", os.Getpid()}, {"worker 0", os.Getppid()}, {"worker 1", 1 << 22}}
	}
	families, err := served(t, o)()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "process" {
					got[f.GetName()] = append(got[f.GetName()], l.GetValue())
				}
			}
		}
	}
	if len(got["process_network_receive_bytes_total"]) > 0 {
		t.Error("the bytes of the machine are shown for each process")
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} {
		if want := []string{"supervisor", "worker 0"}; !slices.Equal(got[name], want) {
			t.Errorf("%s is that of %q, want %q", name, got[name], want)
		}
	}
}

// TestMetricsAdminState: one of the three states is 1, by the board or by the file.
func TestMetricsAdminState(t *testing.T) {
	o := options()
	o.View().Config.Pools[0].Backends[1].Drain = true
	o.Board.SetAdmin(2, board.Disabled, 1)
	var want strings.Builder
	want.WriteString("# HELP lb_backend_admin_state " + adminStateHelp + "\n# TYPE lb_backend_admin_state gauge\n")
	for _, b := range []struct{ pool, name, state string }{
		{"default", "10.0.0.1:9001", "enabled"}, {"default", "unix:/run/app.sock", "draining"}, {"api", "[::1]:80", "disabled"},
	} {
		for _, state := range []string{"enabled", "draining", "disabled"} {
			is := 0
			if state == b.state {
				is = 1
			}
			fmt.Fprintf(&want, "lb_backend_admin_state{backend=%q,pool=%q,state=%q} %d\n", b.name, b.pool, state, is)
		}
	}
	if err := testutil.GatherAndCompare(served(t, o), strings.NewReader(want.String()), "lb_backend_admin_state"); err != nil {
		t.Error(err)
	}
}
