package metrics

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lb/board"
	"lb/config"
)

// manyBackends are the backends of the measurement, in 10 pools.
const manyBackends = 1000

// crowded returns options with many backends, each with counters and, if perBackend,
// histograms of its own.
func crowded(perBackend bool) Options {
	o := options()
	o.Board = board.New(2, manyBackends+10)
	view := View{Config: &config.Config{}, Number: 1}
	for p := range 10 {
		pool := config.Pool{Name: fmt.Sprint("pool-", p)}
		var ids []int
		for i := range manyBackends / 10 {
			id := p*manyBackends/10 + i
			pool.Backends = append(pool.Backends, config.Backend{Host: fmt.Sprintf("10.0.%d.%d", p, i), Port: 8080, Weight: 1})
			ids = append(ids, id)
			for loop := range 2 {
				countBackend(o.Board.Backend(loop, id), uint64(1000+id))
				for k := range 50 {
					observe(o.Board.Series(loop, id), time.Duration(k*k)*time.Microsecond)
				}
			}
		}
		view.Config.Pools, view.IDs = append(view.Config.Pools, pool), append(view.IDs, ids)
		view.Series = append(view.Series, manyBackends+p)
	}
	if perBackend {
		view.BackendSeries = view.IDs
	}
	o.View = func() View { return view }
	return o
}

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	bytes  int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(b []byte) (int, error) { d.bytes += len(b); return len(b), nil }

// BenchmarkScrape is one scrape of 1,000 backends.
func BenchmarkScrape(b *testing.B) {
	for _, tc := range []struct {
		name, accept, encoding string
		perBackend             bool
	}{
		{"text", "", "", false},
		{"gzip", "", "gzip", false},
		{"proto", askProto, "", false},
		{"text/backends", "", "", true},
		{"proto/backends", askProto, "", true},
	} {
		b.Run(tc.name, func(b *testing.B) {
			h := Handler(crowded(tc.perBackend), log.New(io.Discard, "", 0))
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept", tc.accept)
			r.Header.Set("Accept-Encoding", tc.encoding)
			b.ReportAllocs()
			w := &discard{header: http.Header{}}
			for b.Loop() {
				w.bytes = 0
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(w.bytes), "answer-B")
		})
	}
}
