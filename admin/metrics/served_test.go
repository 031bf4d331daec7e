package metrics

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"lb/board"
	"lb/config"
)

// options returns a board of two loops and the backends of two pools.
func options() Options {
	cfg := &config.Config{
		Pools: []config.Pool{
			{Name: "default", Backends: []config.Backend{
				{Host: "10.0.0.1", Port: 9001, Weight: 1},
				{Socket: "/run/app.sock", Weight: 1},
			}},
			{Name: "api", Backends: []config.Backend{{Host: "::1", Port: 80, Weight: 1, TLS: true}}},
		},
	}
	now := func() int64 { return int64(time.Hour) }
	view := View{Config: cfg, IDs: [][]int{{0, 1}, {2}}, Number: 7, Series: []int{1, 0}}
	return Options{Board: board.New(2, 3), Now: now, View: func() View { return view }, Version: "1.2.3"}
}

// handlerOf returns the handler for o, whose errors fail t.
func handlerOf(t *testing.T, o Options) http.Handler {
	return Handler(o, log.New(t.Output(), "", 0))
}

// start serves o until t ends, and returns where.
func start(t *testing.T, o Options) string {
	s := httptest.NewServer(handlerOf(t, o))
	t.Cleanup(s.Close)
	return s.URL
}

// fetch returns the text at url.
func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return string(b)
}

// scraped returns what h answers to a request with this field Accept.
func scraped(t *testing.T, h http.Handler, accept string) *httptest.ResponseRecorder {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	h.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w
}

// served returns what the handler for o shows, as text that the library has read.
func served(t *testing.T, o Options) prometheus.GathererFunc {
	h := handlerOf(t, o)
	return func() ([]*dto.MetricFamily, error) {
		p := expfmt.NewTextParser(model.LegacyValidation)
		byName, err := p.TextToMetricFamilies(strings.NewReader(scraped(t, h, "text/plain").Body.String()))
		var list []*dto.MetricFamily
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			slices.SortFunc(byName[name].Metric, func(a, b *dto.Metric) int {
				return strings.Compare(fmt.Sprint(a.Label), fmt.Sprint(b.Label)) // as the library wants them
			})
			list = append(list, byName[name])
		}
		return list, err
	}
}

// pieces is a writer that knows how much it was given at once.
type pieces struct{ all, longest int }

func (p *pieces) Write(b []byte) (int, error) {
	p.all, p.longest = p.all+len(b), max(p.longest, len(b))
	return len(b), nil
}

// A loop that waits for the core of a scrape waits for one piece of the answer.
func TestAnswersComeInPieces(t *testing.T) {
	h := handlerOf(t, crowded(false)).(*handler)
	for _, proto := range []bool{false, true} {
		s, w := new(scrape), new(pieces)
		s.reset(w, proto)
		h.write(s)
		if err := s.end(); err != nil || w.all < 1<<20 || w.longest >= 2*flushBytes {
			t.Errorf("proto %v: %v after %d bytes, up to %d at once, want below %d", proto, err, w.all, w.longest, 2*flushBytes)
		}
	}
}
