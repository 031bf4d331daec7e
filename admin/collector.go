package admin

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lb/board"
)

// boardCollector exports the sums over the board. Every scrape reads the board again;
// nothing is kept between scrapes.
type boardCollector struct {
	board *board.Board
	now   func() int64 // the clock of the board
	view  func() View
}

// shownBackend is a backend's ID on the board and its labels. No two backends have
// the same labels, because config refuses a pool that has a backend twice.
type shownBackend struct {
	id         int
	pool, name string
	drain, tls bool // by the configuration
}

// loopMetric is a metric without a backend label.
type loopMetric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	series []loopSeries
}

// loopSeries has the label values of one series, and returns its value.
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

// backendSeries is loopSeries with the labels that follow pool and backend.
type backendSeries struct {
	labels []string
	value  func(*board.BackendTotals) uint64
}

// poolMetric is a metric by pool.
type poolMetric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	series []poolSeries
	// poolless returns what belongs to no pool, by status class; nil for nothing.
	poolless func(*board.LoopTotals) *[6]uint64
}

// poolSeries has the labels that follow pool, and returns the part of one backend.
type poolSeries struct {
	labels []string
	value  func(*board.State, *board.BackendTotals) uint64
}

// controlMetric is a metric of lb as a whole.
type controlMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(b *board.Board, v View) float64
}

// stateMetric is a gauge by pool and backend, read from the backend's state.
type stateMetric struct {
	desc  *prometheus.Desc
	value func(s *board.State, now moment) float64
}

// moment is one time on two clocks.
type moment struct {
	board int64 // nanoseconds
	wall  time.Time
}

// backends returns the backends of v, which are exactly those that are shown.
func (v View) backends() (list []shownBackend) {
	for i, pool := range v.Config.Pools {
		for j, b := range pool.Backends {
			list = append(list, shownBackend{v.IDs[i][j], valid(pool.Name), valid(b.String()), b.Drain, b.TLS})
		}
	}
	return list
}

// Describe implements prometheus.Collector.
func (c *boardCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range controlMetrics {
		out <- m.desc
	}
	for _, m := range loopMetrics {
		out <- m.desc
	}
	for _, m := range backendMetrics {
		out <- m.desc
	}
	for _, m := range stateMetrics {
		out <- m.desc
	}
	for _, m := range poolMetrics {
		out <- m.desc
	}
	out <- adminState
	out <- handshakeSeconds
}

// Collect implements prometheus.Collector.
func (c *boardCollector) Collect(out chan<- prometheus.Metric) {
	view := c.view()
	for _, m := range controlMetrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(c.board, view))
	}
	totals := c.board.Totals()
	for _, m := range loopMetrics {
		for _, s := range m.series {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(s.value(&totals)), s.labels...)
		}
	}
	out <- handshakeTimes(&totals)
	now := moment{c.now(), time.Now()}
	for _, b := range view.backends() {
		c.collectBackend(out, b, now)
	}
	for _, m := range poolMetrics {
		c.collectPools(out, m, view)
		if m.poolless == nil {
			continue
		}
		for class := 1; class < len(classes); class++ {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.poolless(&totals)[class]), "", classes[class])
		}
	}
}

// collectPools adds m up for each pool that has backends.
func (c *boardCollector) collectPools(out chan<- prometheus.Metric, m poolMetric, v View) {
	for i, pool := range v.Config.Pools {
		if len(pool.Backends) == 0 {
			continue
		}
		sums := make([]uint64, len(m.series))
		for _, id := range v.IDs[i] {
			totals := c.board.BackendTotals(id)
			for k, s := range m.series {
				sums[k] += s.value(c.board.State(id), &totals)
			}
		}
		for k, s := range m.series {
			labels := append([]string{valid(pool.Name)}, s.labels...)
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(sums[k]), labels...)
		}
	}
}

func (c *boardCollector) collectBackend(out chan<- prometheus.Metric, b shownBackend, now moment) {
	totals := c.board.BackendTotals(b.id)
	for _, m := range backendMetrics {
		for _, s := range m.series {
			labels := append([]string{b.pool, b.name}, s.labels...)
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(s.value(&totals)), labels...)
		}
	}
	state := c.board.State(b.id)
	out <- prometheus.MustNewConstMetric(backendFaults, prometheus.CounterValue, float64(state.StatusFaults.Load()), b.pool, b.name, statusCause)
	for i, why := range board.TLSReasons {
		if n := state.TLSFaults[i].Load(); b.tls || n > 0 {
			out <- prometheus.MustNewConstMetric(backendFaults, prometheus.CounterValue, float64(n), b.pool, b.name, why.String())
		}
	}
	for _, m := range stateMetrics {
		out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(state, now), b.pool, b.name)
	}
	decided := board.Admin(state.Admin.Load())
	if decided == board.Enabled && b.drain {
		decided = board.Draining
	}
	for name, one := range adminStates {
		is := 0.0
		if one == decided {
			is = 1
		}
		out <- prometheus.MustNewConstMetric(adminState, prometheus.GaugeValue, is, b.pool, b.name, name)
	}
}

// valid returns s as a valid label, because a path need not be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
