package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lb/internal/testkit"
)

// scraper keeps no conns, because they would count as lb's descriptors.
var scraper = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testkit.Patience}

// metrics returns the values of /metrics, by name with labels.
func (p *process) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	all, err := scrape(p.admin)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// scrape is metrics for any goroutine.
func scrape(admin string) (map[string]float64, error) {
	resp, err := scraper.Get("http://" + admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		line := in.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all[line[:at]] = v
	}
	return all, nil
}

// health returns the status of /healthz.
func (p *process) health(t *testing.T) int {
	t.Helper()
	resp, err := scraper.Get("http://" + p.admin + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// After a load of many clients /metrics shows what the clients have counted: the sum
// over all loops, by status class and by backend.
func TestMetrics(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(a.Addr(), b.Addr()), admin: true})
		const clients, each = 16, 40
		paths := []string{"/", "/bytes/2000", "/chunked/2000", "/status/301", "/status/404", "/status/503"}
		var mu sync.Mutex
		byClass, byBackend, bytes := map[int]int{}, map[string]int{}, 0
		var all sync.WaitGroup
		for _, c := range open(t, p.addr, clients) {
			all.Go(func() {
				for i := range each {
					resp, body, err := c.ask(lines("GET "+paths[i%len(paths)]+" HTTP/1.1", "Host: x"))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					byClass[resp.StatusCode/100]++
					byBackend[resp.Header.Get("X-Backend")]++
					bytes += len(body)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		c := dial(t, p.addr) // one answer of lb's own
		c.send(t, lines("GET / HTTP/1.1"))
		if resp, _ := c.answer(t); resp.StatusCode != 400 {
			t.Fatalf("without a Host: %s, want 400", resp.Status)
		}
		want := map[string]float64{
			"lb_loops":                                 2,
			`lb_replies_total{code="2xx"}`:             float64(byClass[2]),
			`lb_replies_total{code="3xx"}`:             float64(byClass[3]),
			`lb_replies_total{code="4xx"}`:             float64(byClass[4] + 1),
			`lb_replies_total{code="5xx"}`:             float64(byClass[5]),
			`lb_own_replies_total{code="4xx",pool=""}`: 1,
			`lb_own_replies_total{code="5xx",pool=""}`: 0,
			"lb_exchanges":                             0,
			"lb_panics_total":                          0,
			"lb_client_connections_accepted_total":     clients + 1,
			ofBackend("attempts_total", a.Addr()):      float64(byBackend["a"]),
			ofBackend("attempts_total", b.Addr()):      float64(byBackend["b"]),
			"lb_requests_total":                        clients * each, // over all of its labels
		}
		got := p.untilMetrics(t, want)
		if out := got[`lb_bytes_total{direction="out",side="client"}`]; out < float64(bytes) || out > float64(bytes+clients*each*500) {
			t.Errorf("%v bytes to clients, want %d and some for the heads", out, bytes)
		}
		if code := p.health(t); code != 200 {
			t.Errorf("/healthz is %d, want 200", code)
		}
	})
}

// untilMetrics waits until each metric of want has its value, and returns them all.
// A name without the labels that its metric has stands for the sum over them. An
// exchange ends, and is counted, a moment after the client has the answer.
func (p *process) untilMetrics(t *testing.T, want map[string]float64) (got map[string]float64) {
	t.Helper()
	var wrong []string
	look := func() bool {
		got, wrong = p.metrics(t), nil
		for name, v := range want {
			if now, ok := sumOf(got, name); !ok || now != v {
				wrong = append(wrong, fmt.Sprintf("%s is %v (there: %v), want %v", name, now, ok, v))
			}
		}
		return len(wrong) == 0
	}
	if !testkit.Happens(look) {
		t.Fatalf("after %v:\n%s", testkit.Patience, strings.Join(wrong, "\n"))
	}
	return got
}

// sumOf returns the metric of that name, or the sum of those that have the name and
// labels after it, and whether there is any.
func sumOf(all map[string]float64, name string) (sum float64, ok bool) {
	for of, v := range all {
		if of == name || strings.HasPrefix(of, name+"{") {
			sum, ok = sum+v, true
		}
	}
	return sum, ok
}

// ofBackend is the name of a metric of one backend.
func ofBackend(metric, addr string) string {
	return fmt.Sprintf("lb_backend_%s{backend=%q,pool=\"default\"}", metric, addr)
}
