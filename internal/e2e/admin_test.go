package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// scraper has no conns that stay, which would count as lb's descriptors.
var scraper = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// metrics returns what /metrics shows, by name with labels.
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

// After a load of many clients /metrics has what the clients have counted, over
// all loops, by status class and by backend.
func TestMetrics(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		a, b := demo(t, "127.0.0.1:0", "a"), demo(t, "127.0.0.1:0", "b")
		p := start(t, mode, setup{backends: to(a.Addr(), b.Addr()), admin: true})
		const clients, each = 16, 40
		paths := []string{"/", "/bytes/2000", "/chunked/2000", "/status/301", "/status/404", "/status/503"}
		var mu sync.Mutex
		byClass, byBackend, bytes := map[int]int{}, map[string]int{}, 0
		var all sync.WaitGroup
		for range clients {
			client := newClient(t)
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			all.Go(func() {
				for i := range each {
					resp, body, err := tryGet(client, p.url(paths[i%len(paths)]))
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
		got := p.metrics(t)
		for name, want := range map[string]int{
			"lb_loops":                             2,
			`lb_replies_total{code="2xx"}`:         byClass[2],
			`lb_replies_total{code="3xx"}`:         byClass[3],
			`lb_replies_total{code="4xx"}`:         byClass[4] + 1,
			`lb_replies_total{code="5xx"}`:         byClass[5],
			`lb_own_replies_total{code="4xx"}`:     1,
			`lb_own_replies_total{code="5xx"}`:     0,
			"lb_exchanges":                         0,
			"lb_panics_total":                      0,
			"lb_client_connections_accepted_total": clients + 1,
			ofBackend("attempts_total", a.Addr()):  byBackend["a"],
			ofBackend("attempts_total", b.Addr()):  byBackend["b"],
		} {
			if v, ok := got[name]; !ok || v != float64(want) {
				t.Errorf("%s is %v (there: %v), want %d", name, v, ok, want)
			}
		}
		answered := 0.0
		for name, v := range got {
			if strings.HasPrefix(name, "lb_requests_total{") {
				answered += v
			}
		}
		if answered != clients*each {
			t.Errorf("lb_requests_total adds up to %v, want %d", answered, clients*each)
		}
		if out := got[`lb_bytes_total{direction="out",side="client"}`]; out < float64(bytes) || out > float64(bytes+clients*each*500) {
			t.Errorf("%v bytes to clients, want %d and some for the heads", out, bytes)
		}
		if code := p.health(t); code != 200 {
			t.Errorf("/healthz is %d, want 200", code)
		}
	})
}

// ofBackend is the name of a metric of one backend.
func ofBackend(metric, addr string) string {
	return fmt.Sprintf("lb_backend_%s{backend=%q,pool=\"default\"}", metric, addr)
}
