package admin

import (
	"net"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"lb/board"
	"lb/config"
	"lb/internal/invariant"
)

// boardCollector shows the sums over the board. Each scrape reads it anew;
// nothing is kept between two of them.
type boardCollector struct {
	board    *board.Board
	backends []shownBackend
}

// shownBackend is one pool and backend label. A backend that a pool names
// twice is shown once: two series of the same labels are no valid answer.
type shownBackend struct {
	pool, name string
	ids        []int // places on the board
}

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

// newBoardCollector numbers the backends as upstream does: pool after pool, in
// the order of the configuration.
func newBoardCollector(b *board.Board, cfg *config.Config) *boardCollector {
	c := &boardCollector{board: b}
	type key struct{ pool, name string }
	places := make(map[key]int)
	id := 0
	for _, pool := range cfg.Pools {
		for _, backend := range pool.Backends {
			k := key{valid(pool.Name), valid(nameOf(backend))}
			place, ok := places[k]
			if !ok {
				place = len(c.backends)
				places[k] = place
				c.backends = append(c.backends, shownBackend{pool: k.pool, name: k.name})
			}
			c.backends[place].ids = append(c.backends[place].ids, id)
			id++
		}
	}
	invariant.Check(id <= b.Backends(), "admin: the board has a slot for every backend")
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
	for _, b := range c.backends {
		c.collectBackend(out, b)
	}
}

func (c *boardCollector) collectBackend(out chan<- prometheus.Metric, b shownBackend) {
	totals := c.board.BackendTotals(b.ids...)
	for _, m := range backendMetrics {
		for _, s := range m.series {
			labels := append([]string{b.pool, b.name}, s.labels...)
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(s.value(&totals)), labels...)
		}
	}
}

// nameOf returns how a backend is called in labels, as upstream names it.
func nameOf(b config.Backend) string {
	if b.Socket != "" {
		return "unix:" + b.Socket
	}
	return net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
}

// valid returns s as a label may hold it: a path need not be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
