package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"lb/internal/testkit"
)

// prometheus is Debian's Prometheus, which scrapes one lb.
type prometheus struct {
	t    *testing.T
	addr string
}

// scrapedBy starts a Prometheus with the rules that lb ships, and these flags.
func (p *process) scrapedBy(t *testing.T, flags ...string) *prometheus {
	t.Helper()
	installed(t, "prometheus")
	rules, err := filepath.Abs("../../packaging/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	testkit.WriteFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"+
		"rule_files: [%q]\nscrape_configs: [{job_name: lb, static_configs: [{targets: [%q]}]}]\n", rules, p.admin))
	of := &prometheus{t, testkit.FreePort(t)}
	cmd := exec.Command("prometheus", append([]string{"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--log.level=warn",
		"--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + of.addr}, flags...)...)
	cmd.Dir = dir
	testkit.Start(t, cmd)
	return of
}

// ask asks for a path of the API and puts data into it, if there is an answer.
func (p *prometheus) ask(path string, data any) error {
	resp, err := scraper.Get("http://" + p.addr + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(&struct{ Data any }{data})
}

// value returns what a query of one value finds now; ok is false if that is nothing.
func (p *prometheus) value(query string) (v float64, ok bool) {
	var data struct{ Result []struct{ Value [2]any } }
	if p.ask("query?query="+url.QueryEscape(query), &data) != nil || len(data.Result) != 1 {
		return 0, false
	}
	text, _ := data.Result[0].Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// until waits until query finds a value that is right.
func (p *prometheus) until(query string, right func(float64) bool) {
	p.t.Helper()
	var v float64
	var ok bool
	if !testkit.Happens(func() bool { v, ok = p.value(query); return ok && right(v) }) {
		var targets struct {
			ActiveTargets []struct{ LastError string }
		}
		p.ask("targets", &targets)
		p.t.Errorf("%s is %v (there: %v); last error of the scrapes: %v", query, v, ok, targets.ActiveTargets)
	}
}

// TestPrometheus: a Prometheus as Debian has it scrapes lb, finds what clients have counted,
// in buckets of both kinds, and evaluates the alerts without an error.
func TestPrometheus(t *testing.T) {
	bytesOnly(t)
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(a.Addr(), b.Addr()), admin: true, tables: "[metrics]\nper_backend = true\n"})
		const requests = 600
		c := dial(t, p.addr)
		for range requests {
			if _, _, err := c.ask(lines("GET / HTTP/1.1", "Host: x")); err != nil {
				t.Fatal(err)
			}
		}
		is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
		quick := func(v float64) bool { return v > 0 && v < testkit.Patience.Seconds() }
		text, native := p.scrapedBy(t), p.scrapedBy(t, "--enable-feature=native-histograms")
		text.until("up", is(1))
		text.until(`sum(lb_requests_total{code="2xx"})`, is(requests))
		text.until("sum(lb_request_seconds_count)", is(requests))
		text.until(`sum(lb_first_byte_seconds_bucket{le="+Inf"})`, is(requests))
		text.until("sum(lb_per_backend_request_seconds_count)", is(requests))
		text.until("histogram_quantile(0.99, sum by (le) (lb_request_seconds_bucket))", quick)
		native.until("up", is(1))
		native.until(`sum(lb_requests_total{code="2xx"})`, is(requests))
		native.until("histogram_count(sum(lb_request_seconds))", is(requests))
		native.until("histogram_count(sum(lb_per_backend_first_byte_seconds))", is(requests))
		native.until("histogram_sum(sum(lb_request_seconds))", quick)
		native.until("histogram_quantile(0.99, sum(lb_request_seconds))", quick)
		native.until("count(lb_handshake_seconds_count)", is(1))
		for _, p := range []*prometheus{text, native} {
			p.wantRules(8)
		}
	})
}

// wantRules waits until n rules are evaluated, and checks that none has an error.
func (p *prometheus) wantRules(n int) {
	p.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	testkit.Until(p.t, "the rules to be evaluated", func() bool {
		if p.ask("rules", &data) != nil || len(data.Groups) != 1 || len(data.Groups[0].Rules) != n {
			return false
		}
		for _, r := range data.Groups[0].Rules {
			if r.Health == "unknown" {
				return false
			}
		}
		return true
	})
	for _, r := range data.Groups[0].Rules {
		if r.Health != "ok" {
			p.t.Errorf("%s: %s, %s", r.Name, r.Health, r.LastError)
		}
	}
}
