package admin

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lb/board"
	"lb/config"
	"lb/internal/invariant"
)

// boardCollector shows the sums over the board. Each scrape reads it anew;
// nothing is kept between two of them.
type boardCollector struct {
	board    *board.Board
	now      func() int64 // the clock of the board
	backends []shownBackend
}

// shownBackend is the labels of one backend, which differ from all others':
// config refuses a pool that has a backend twice. Its place in the list is its
// place on the board.
type shownBackend struct{ pool, name string }

// loopMetric is a metric without a backend label.
type loopMetric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	series []loopSeries
}

// loopSeries is the label values of one series and where its value lies.
type loopSeries struct {
	labels []string
	value  func(*board.LoopTotals) uint64
}

// backendMetric is a metric by pool and backend.
type backendMetric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	series []backendSeries
}

// backendSeries is the label values behind pool and backend, and the value.
type backendSeries struct {
	labels []string
	value  func(*board.BackendTotals) uint64
}

// stateMetric is a gauge by pool and backend, of the backend's state.
type stateMetric struct {
	desc  *prometheus.Desc
	value func(s *board.State, now moment) float64
}

// moment is one time on two clocks.
type moment struct {
	board int64 // nanoseconds
	wall  time.Time
}

// newBoardCollector numbers the backends as upstream does: pool after pool, in
// the order of the configuration.
func newBoardCollector(b *board.Board, cfg *config.Config, now func() int64) *boardCollector {
	c := &boardCollector{board: b, now: now}
	for _, pool := range cfg.Pools {
		for _, backend := range pool.Backends {
			c.backends = append(c.backends, shownBackend{valid(pool.Name), valid(backend.String())})
		}
	}
	invariant.Check(len(c.backends) <= b.Backends(), "admin: the board has a slot for every backend")
	return c
}

// Describe implements prometheus.Collector.
func (c *boardCollector) Describe(out chan<- *prometheus.Desc) {
	out <- loopsDesc
	for _, m := range loopMetrics {
		out <- m.desc
	}
	for _, m := range backendMetrics {
		out <- m.desc
	}
	for _, m := range stateMetrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *boardCollector) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(loopsDesc, prometheus.GaugeValue, float64(c.board.Loops()))
	totals := c.board.Totals()
	for _, m := range loopMetrics {
		for _, s := range m.series {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(s.value(&totals)), s.labels...)
		}
	}
	now := moment{c.now(), time.Now()}
	for id := range c.backends {
		c.collectBackend(out, id, now)
	}
}

func (c *boardCollector) collectBackend(out chan<- prometheus.Metric, id int, now moment) {
	b, totals := c.backends[id], c.board.BackendTotals(id)
	for _, m := range backendMetrics {
		for _, s := range m.series {
			labels := append([]string{b.pool, b.name}, s.labels...)
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(s.value(&totals)), labels...)
		}
	}
	state := c.board.State(id)
	for _, m := range stateMetrics {
		out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(state, now), b.pool, b.name)
	}
}

// valid returns s as a label may hold it: a path need not be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
