package metrics

import (
	"cmp"

	"lb/board"
	"lb/proxy/record"
)

// seriesMetric is a histogram by pool, and the same by pool and backend. Those of backends
// have names of their own, because a sum over one name must not count a request twice.
type seriesMetric struct {
	pools, backends family
	of              func(*board.Series) *board.Histogram
	tls             bool // only if a backend speaks TLS
}

var seriesMetrics = []seriesMetric{
	byPool("request", "How long requests took whose pool was chosen, from the first byte to the end of the answer, tunnels included",
		func(s *board.Series) *board.Histogram { return &s.Total }),
	byPool("first_byte", "How long backends took to begin their answer, from the end of the request to the head of the answer",
		func(s *board.Series) *board.Histogram { return &s.FirstByte }),
	byPool("connect", "How long new connections to backends took, without TLS",
		func(s *board.Series) *board.Histogram { return &s.Connect }),
	byPool("queue", "How long requests waited for room at a backend, of those that had to wait",
		func(s *board.Series) *board.Histogram { return &s.Queue }),
	{
		family{"lb_backend_handshake_seconds", handshakeHelp + ", by pool. Pools without TLS have none.", histogram},
		family{"lb_per_backend_handshake_seconds", handshakeHelp + ", by backend; with metrics.per_backend.", histogram},
		func(s *board.Series) *board.Histogram { return &s.Handshake }, true,
	},
}

const handshakeHelp = "How long TLS handshakes with backends took that succeeded"

func byPool(name, help string, of func(*board.Series) *board.Histogram) seriesMetric {
	return seriesMetric{
		family{"lb_" + name + "_seconds", help + ", by pool.", histogram},
		family{"lb_per_backend_" + name + "_seconds", help + ", by backend; with metrics.per_backend.", histogram},
		of, false,
	}
}

// The cumulative buckets of pools, 61 us to 64 s, and of backends, of which there may be
// many.
var (
	poolOctaves    = octaves(-14, 6, 1)
	backendOctaves = octaves(-14, 6, 2)
)

// writeSeries writes the histograms of pools and, if they are counted, of backends.
func (c *collector) writeSeries(s *scrape, now *shown) {
	for i := range seriesMetrics {
		m := &seriesMetrics[i]
		s.begin(&m.pools)
		for j, p := range now.pools {
			if j < len(now.view.Series) && !(m.tls && !p.tls) {
				c.writeOne(s, m, now.view.Series[j], poolOctaves, p.name)
			}
		}
		s.begin(&m.backends)
		for _, b := range now.backends {
			if !(m.tls && !b.tls) {
				c.writeOne(s, m, b.series, backendOctaves, b.name, b.pool)
			}
		}
	}
}

// writeOne writes a histogram of one series, unless its number is negative: then nothing is
// counted.
func (c *collector) writeOne(s *scrape, m *seriesMetric, series int, at []octave, labels ...label) {
	if series < 0 {
		return
	}
	s.sum = board.HistogramSum{}
	for loop := range c.board.Loops() {
		m.of(c.board.Series(loop, series)).AddTo(&s.sum)
	}
	s.reading.set(&s.sum, at)
	s.histogram(&s.reading, labels...)
}

var faults = family{"lb_faults_total",
	"Exchanges that ended in a fault, by the side at fault (none: a deadline that is nobody's fault), the phase and the cause. A series appears with its first fault.", counter}

// faultLabels returns the labels of a fault by its board.FaultKind, or nil if there is no
// such fault.
func faultLabels(kind int) []label {
	side, phase, cause := board.FaultOf(kind)
	if side > uint8(record.LBSide) || phase >= uint8(record.Phases) || cause == 0 || int(cause) >= record.Causes {
		return nil
	}
	name := cmp.Or(record.Side(side).String(), "none")
	return labels("cause", record.Cause(cause).String(), "phase", record.Phase(phase).String(), "side", name)
}

// writeFaults writes those that have happened: most of what can be put together never does.
func writeFaults(s *scrape) {
	s.begin(&faults)
	for kind, n := range s.loops.Faults {
		if n == 0 {
			continue
		}
		if l := faultLabels(kind); l != nil {
			s.sample(float64(n), l...)
		}
	}
}

// handshakeBounds are those of board.HandshakeBounds.
var handshakeBounds = func() (list []bound) {
	for _, d := range board.HandshakeBounds {
		list = append(list, newBound(d.Seconds()))
	}
	return list
}()

// writeHandshakes writes the times of handshakes with clients, whose buckets are older than
// those of the other histograms.
func writeHandshakes(s *scrape) {
	r := &s.reading
	r.bounds, r.counts, r.count, r.native = handshakeBounds, r.counts[:0], 0, nil
	for _, n := range s.loops.HandshakeTimes {
		r.count += n
		r.counts = append(r.counts, r.count)
	}
	r.sum = float64(s.loops.HandshakeNanos) / 1e9
	s.begin(&handshakeSeconds)
	s.histogram(r)
	r.bounds = nil // not to be written to
}
