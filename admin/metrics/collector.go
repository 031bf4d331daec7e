package metrics

import (
	"compress/gzip"
	"sync/atomic"
	"time"

	"lb/board"
	"lb/upstream/usable"
)

// collector writes the sums over the board. Every scrape reads the board again; only the
// texts of labels are kept between scrapes. Any goroutine may use it.
type collector struct {
	board *board.Board
	now   func() int64 // the clock of the board
	view  func() View

	shown atomic.Pointer[shown] // of the last scrape
}

// shown is what a configuration shows. Nothing changes it.
type shown struct {
	view     View
	backends []shownBackend
	pools    []shownPool
}

// shownBackend is a backend's ID on the board and its labels. No two backends have
// the same labels, because config refuses a pool that has a backend twice.
type shownBackend struct {
	id, series int // series is -1 for none
	pool, name label
	drain, tls bool // by the configuration
}

// shownPool has the backends from first to end, of all that are shown.
type shownPool struct {
	name       label
	first, end int
	tls        bool // one of the backends speaks TLS
}

// loopMetric is a metric without a backend label.
type loopMetric struct {
	family family
	series []loopSeries
}

// loopSeries has the labels of one series, and returns its value.
type loopSeries struct {
	labels []label
	value  func(*board.LoopTotals) uint64
}

// backendMetric is a metric by pool and backend.
type backendMetric struct {
	family family
	series []backendSeries
}

// backendSeries has the label besides pool and backend, or none.
type backendSeries struct {
	label label
	value func(*board.BackendTotals) uint64
}

// poolMetric is a metric by pool.
type poolMetric struct {
	family family
	series []poolSeries
	// poolless returns what belongs to no pool, by status class; nil for nothing.
	poolless func(*board.LoopTotals) *[6]uint64
}

// poolSeries has the label besides pool, or none, and returns the part of one backend.
type poolSeries struct {
	label label
	value func(*board.State, *board.BackendTotals) uint64
}

// controlMetric is a metric of lb as a whole.
type controlMetric struct {
	family family
	value  func(b *board.Board, v View, t *board.LoopTotals) float64
}

// stateMetric is a gauge by pool and backend, read from the backend's state.
type stateMetric struct {
	family family
	value  func(s *board.State, now moment) float64
}

// moment is one time on two clocks.
type moment struct {
	board int64 // nanoseconds
	wall  time.Time
}

// scrape is the memory of one scrape, kept for the next.
type scrape struct {
	encoder
	loops    board.LoopTotals
	backends []board.BackendTotals // by the backends that are shown
	sum      board.HistogramSum
	reading  reading
	gzip     *gzip.Writer // or nil
}

// shownNow returns what the configuration in use shows.
func (c *collector) shownNow() *shown {
	view := c.view()
	if s := c.shown.Load(); s != nil && s.view.Config == view.Config && s.view.Number == view.Number {
		return s
	}
	s := &shown{view: view}
	for i, pool := range view.Config.Pools {
		p := shownPool{name: newLabel("pool", pool.Name), first: len(s.backends)}
		for j, b := range pool.Backends {
			series := -1
			if i < len(view.BackendSeries) {
				series = view.BackendSeries[i][j]
			}
			p.tls = p.tls || b.TLS
			s.backends = append(s.backends, shownBackend{view.IDs[i][j], series, p.name, newLabel("backend", b.String()), b.Drain, b.TLS})
		}
		p.end = len(s.backends)
		s.pools = append(s.pools, p)
	}
	c.shown.Store(s)
	return s
}

// giveWayEvery is how many backends are read between two calls of giveWay.
const giveWayEvery = 100

// write writes all metrics of the board with s.
func (c *collector) write(s *scrape) {
	now := c.shownNow()
	s.loops = c.board.Totals()
	for i := range controlMetrics {
		m := &controlMetrics[i]
		s.begin(&m.family)
		s.sample(m.value(c.board, now.view, &s.loops))
	}
	for i := range loopMetrics {
		m := &loopMetrics[i]
		s.begin(&m.family)
		for _, one := range m.series {
			s.sample(float64(one.value(&s.loops)), one.labels...)
		}
	}
	writeFaults(s)
	writeHandshakes(s)
	s.backends = s.backends[:0]
	for i, b := range now.backends {
		if i%giveWayEvery == 0 {
			giveWay()
		}
		s.backends = append(s.backends, c.board.BackendTotals(b.id))
	}
	for i := range poolMetrics {
		c.writePools(s, now, &poolMetrics[i])
	}
	s.begin(&failOpen)
	for i, pool := range now.pools {
		if pool.first != pool.end {
			open := 0.0
			if usable.Of(c.board, &now.view.Config.Pools[i], now.view.IDs[i]).Open {
				open = 1
			}
			s.sample(open, pool.name)
		}
	}
	c.writeSeries(s, now)
	c.writeBackends(s, now)
}

// writePools adds m up for each pool that has backends.
func (c *collector) writePools(s *scrape, now *shown, m *poolMetric) {
	s.begin(&m.family)
	for _, pool := range now.pools {
		if pool.first == pool.end {
			continue
		}
		for _, one := range m.series {
			sum := uint64(0)
			for i := pool.first; i < pool.end; i++ {
				sum += one.value(c.board.State(now.backends[i].id), &s.backends[i])
			}
			s.sample(float64(sum), one.label, pool.name)
		}
	}
	if m.poolless != nil {
		for class := 1; class < len(classes); class++ {
			s.sample(float64(m.poolless(&s.loops)[class]), classes[class], noPool)
		}
	}
}

// writeBackends writes what is known of each backend.
func (c *collector) writeBackends(s *scrape, now *shown) {
	for i := range backendMetrics {
		m := &backendMetrics[i]
		s.begin(&m.family)
		for j := range now.backends {
			b := &now.backends[j]
			for _, one := range m.series {
				s.sample(float64(one.value(&s.backends[j])), b.name, one.label, b.pool)
			}
			if m.family.name == backendFaults.name {
				c.writeStateFaults(s, b)
			}
		}
	}
	at := moment{c.now(), time.Now()}
	for i := range stateMetrics {
		m := &stateMetrics[i]
		s.begin(&m.family)
		for _, b := range now.backends {
			s.sample(m.value(c.board.State(b.id), at), b.name, b.pool)
		}
	}
	s.begin(&adminState)
	for _, b := range now.backends {
		decided := board.Admin(c.board.State(b.id).Admin.Load())
		if decided == board.Enabled && b.drain {
			decided = board.Draining
		}
		for state, l := range adminStates {
			is := 0.0
			if board.Admin(state) == decided {
				is = 1
			}
			s.sample(is, b.name, b.pool, l)
		}
	}
}

// writeStateFaults writes those causes of backendFaults that are words of the state. Those
// in TLS are shown if the backend speaks it, or has.
func (c *collector) writeStateFaults(s *scrape, b *shownBackend) {
	state := c.board.State(b.id)
	s.sample(float64(state.StatusFaults.Load()), b.name, statusCause, b.pool)
	for i, l := range tlsCauses {
		if n := state.TLSFaults[i].Load(); b.tls || n > 0 {
			s.sample(float64(n), b.name, l, b.pool)
		}
	}
}
