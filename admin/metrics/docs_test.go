package metrics

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/admin/api"
	"lb/board"
)

var update = flag.Bool("update", false, "write docs/metrics.md from the catalogue")

const metricsDoc = "../../docs/metrics.md"

// shownMetric is one metric as docs/metrics.md lists it.
type shownMetric struct{ name, kind, labels, help string }

// TestMetricsDoc holds docs/metrics.md to the catalogue.
func TestMetricsDoc(t *testing.T) {
	want := metricsText(t)
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the catalogue has; go test ./admin/metrics -run TestMetricsDoc -update", metricsDoc)
	}
}

// metricsText returns docs/metrics.md.
func metricsText(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" +
		"<!-- Generated from admin/metrics: go test ./admin/metrics -run TestMetricsDoc -update -->\n\n" +
		"`GET /metrics` on `admin.address` (127.0.0.1:9900) shows these in the formats of Prometheus, text or protocol\n" +
		"buffers, summed over all loops and workers. Counters go on over reloads, crashes of workers and upgrades.\n" +
		"`lb_workers` is there in `mp` only.\n\n" +
		"[alerts.yml](../packaging/alerts.yml) has eight alerts for Prometheus, [grafana.json](../packaging/grafana.json) a\n" +
		"dashboard for Grafana (Dashboards, New, Import).\n")
	all := shownMetrics(t)
	table := func(title string, belongs func(shownMetric) bool) {
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n|---|---|---|---|\n", title)
		for _, m := range all {
			if belongs(m) {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
			}
		}
	}
	perBackend := func(m shownMetric) bool { return strings.HasPrefix(m.labels, "`pool`, `backend`") }
	table("lb as a whole", func(m shownMetric) bool { return !perBackend(m) })
	table("Each backend", perBackend)
	b.WriteString("\nOf the labels, `pool` is the pool's name, `default` for the backends of the top, and `backend` its address as\n" +
		"in the configuration: `host:port`, `[v6]:port` or `unix:/path`.\n\n" +
		"## Histograms\n\n" +
		"Times are counted in 8 buckets for each power of two from 1 us to 68 minutes, so that a quantile is off by 4.4 % at\n" +
		"most. A Prometheus that was started with `--enable-feature=native-histograms` gets all of them, as native\n" +
		"histograms (schema 3); `histogram_quantile(0.99, sum by (pool) (rate(lb_request_seconds[5m])))` reads them. Text, and\n" +
		"every other Prometheus, has those at powers of two from 61 us to 64 s (`lb_per_backend_*`: every second one), in\n" +
		"`lb_request_seconds_bucket` and so on. `lb_handshake_seconds` has its own bounds and is never native.\n\n" +
		"`lb_request_seconds_count` counts every request for which a pool was chosen, once it has ended. A pool that leaves the\n" +
		"configuration and comes back goes on where it was. With `metrics.per_backend = true` each backend has histograms, too,\n" +
		"under names of their own, so that a sum over one name counts a request once: 1,000 backends are 65,000 lines.\n\n" +
		"`lb_faults_total` has a series for each side, phase and cause that has occurred. `lb faults` shows the exchanges.\n\n" +
		"## What a scrape costs\n\n" +
		"About 1.3 ms of processor time for 1,000 backends (21,000 lines), 4 ms with gzip, 7 ms with `metrics.per_backend`.\n" +
		"A scrape gives way to requests that wait for its core. At most 4 scrapes run at once; more get a 503.\n\n" +
		"## The process\n\n" +
		"`go_*` and `process_*` are the usual ones of the Go client library. In `mp` those of `go_*` are the supervisor's, and\n" +
		"`process_*` has a label on Linux: `process=\"supervisor\"`, `process=\"worker 0\"`, numbered as in the log and in `ps`.\n\n" +
		"## Useful expressions\n\n" +
		"```\n" +
		"sum by (code) (rate(lb_replies_total[1m]))                                   # requests per second, by class\n" +
		"histogram_quantile(0.99, sum by (pool, le) (rate(lb_request_seconds_bucket[5m]))) # p99 by pool\n" +
		"sum by (side, phase, cause) (rate(lb_faults_total[5m]))                      # whose fault, where and why\n" +
		"rate(lb_access_log_lost_total[5m]) > 0                                       # lines that the log lacks\n" +
		"sum by (pool, backend) (rate(lb_backend_faults_total[5m]))                   # what backends do wrong\n" +
		"rate(lb_retries_total[5m]) / rate(lb_client_requests_total[5m])              # share that is retried\n" +
		"lb_backend_up == 0 or lb_backend_ejected == 1                                # what is out\n" +
		"sum by (pool, code) (rate(lb_own_replies_total[5m]))                         # what lb answers itself\n" +
		"lb_config_last_reload_successful == 0                                        # the file in place was refused\n" +
		"lb_certificate_expiry_timestamp_seconds - time() < 14 * 86400               # what expires within two weeks\n" +
		"lb_discovery_up == 0                                                         # names and sources that fail; what is known stays\n" +
		"lb_config_store_up == 0                                                      # the store of the configuration; the one in use goes on\n" +
		"lb_queued_requests > 0                                                       # every backend of a pool is full\n" +
		"sum by (kind) (rate(lb_http2_floods_total[5m])) > 0                          # clients of HTTP/2 that lb cut off\n" +
		"increase(lb_worker_restarts_total[10m]) > 0 or increase(lb_panics_total[10m]) > 0\n" +
		"```\n")
	return b.String()
}

// everything returns options with which every metric of lb is shown, with all values of
// those labels that have a fixed set of them.
func everything() Options {
	o := options()
	o.Workers = func() int { return 2 }
	o.LastReload = func() (bool, time.Time) { return true, time.Time{} }
	o.Certificates = func() (list []api.Certificate) {
		for _, source := range []string{"acme", "file", "internal"} {
			list = append(list, api.Certificate{Name: "example.com", Source: source, Expires: time.Unix(1, 0)})
		}
		return list
	}
	o.ConfigStore = func() *api.ConfigStore { return &api.ConfigStore{} }
	o.Discovery = func() []api.Discovery {
		return []api.Discovery{{Pool: "web", Source: "dns://web.internal:80", LastAnswer: time.Unix(1, 0)}}
	}
	view := o.View()
	view.BackendSeries = [][]int{{0, 0}, {0}}
	o.View = func() View { return view }
	for kind := range board.FaultKinds {
		labels := faultLabels(kind)
		if labels != nil {
			o.Board.Loop(0).Faults[kind].Add(1)
		}
	}
	return o
}

// shownMetrics returns all metrics of lb, by name. A label with a fixed set of
// values has them in parentheses.
func shownMetrics(t *testing.T) (all []shownMetric) {
	t.Helper()
	o := everything()
	families, err := served(t, o)()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "lb_") {
			continue
		}
		var names []string
		values := map[string][]string{}
		for _, series := range f.GetMetric() {
			for _, l := range series.GetLabel() {
				name, value := l.GetName(), l.GetValue()
				if values[name] == nil {
					names = append(names, name)
				}
				if !slices.Contains(values[name], value) {
					values[name] = append(values[name], value)
				}
			}
		}
		all = append(all, shownMetric{f.GetName(), strings.ToLower(f.GetType().String()), labelText(names, values), f.GetHelp()})
	}
	return all
}

// labelText lists labels: pool and backend first, whose values differ from one
// configuration to another.
func labelText(names []string, values map[string][]string) string {
	open := []string{"pool", "backend", "version", "goversion", "name", "resolver"}
	slices.SortStableFunc(names, func(a, b string) int {
		rank := func(s string) int {
			if i := slices.Index(open, s); i >= 0 {
				return i
			}
			return len(open)
		}
		return rank(a) - rank(b)
	})
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = "`" + name + "`"
		isURL := slices.ContainsFunc(values[name], func(v string) bool { return strings.Contains(v, "://") })
		if !slices.Contains(open, name) && !isURL {
			texts[i] += " (" + strings.Join(values[name], ", ") + ")"
		}
	}
	return strings.Join(texts, ", ")
}
