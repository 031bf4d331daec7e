package top

import (
	"math"
	"time"

	"lb/admin/api"
)

// trendLen is how many rates are kept of each pool and backend, for its sparkline.
const trendLen = 20

// flow is how much goes through a pool, a backend, a loop, or all of lb.
type flow struct {
	known    bool          // there were two samples
	rate     float64       // attempts, or requests, a second
	errors   float64       // faults, or replies of class 5xx, a second
	p50, p99 time.Duration // total time of a request; 0 if not known
	ttfb     time.Duration // to the first byte of the answer; a moving average of a backend
	trend    []float64     // the last rates, oldest first

	requests, faults uint64 // the counters of the last sample
	seen             uint64 // the number of the last sample
}

// next takes the counters of the next sample, which came dt after the last one. Counters
// that fell belong to another lb.
func (f *flow) next(requests, faults, number uint64, dt time.Duration) {
	again := f.seen > 0 && f.seen+1 == number && dt > 0 && requests >= f.requests && faults >= f.faults
	if f.known = again; again {
		f.rate = float64(requests-f.requests) / dt.Seconds()
		f.errors = float64(faults-f.faults) / dt.Seconds()
		if len(f.trend) == trendLen {
			copy(f.trend, f.trend[1:])
			f.trend = f.trend[:trendLen-1]
		}
		f.trend = append(f.trend, f.rate)
	}
	f.requests, f.faults, f.seen = requests, faults, number
}

// key is the identity of a row: a backend, or a pool if address is "".
type key struct{ pool, address string }

// samples turns one status after another into flows.
type samples struct {
	status api.Status
	at     time.Time // when status came
	number uint64    // of status, counted from 1
	whole  flow
	loops  map[int]*flow
	flows  map[key]*flow // of pools and backends
}

// take takes the next status, which came at now, and the newest point of the history.
func (s *samples) take(st api.Status, past api.History, now time.Time) {
	if s.flows == nil {
		s.flows, s.loops = map[key]*flow{}, map[int]*flow{}
	}
	dt := now.Sub(s.at)
	s.status, s.at = st, now
	s.number++
	s.whole.next(st.Totals.Requests, st.Totals.Replies[5], s.number, dt)
	for _, l := range st.Loops {
		of(s.loops, l.Slot).next(l.Requests, 0, s.number, dt)
	}
	for i := range st.Pools {
		pool, attempts, faults := &st.Pools[i], uint64(0), uint64(0)
		for j := range pool.Backends {
			b := &pool.Backends[j]
			attempts, faults = attempts+b.Attempts, faults+b.Faults
			of(s.flows, key{pool.Name, b.Address}).next(b.Attempts, b.Faults, s.number, dt)
		}
		of(s.flows, key{pool: pool.Name}).next(attempts, faults, s.number, dt)
	}
	s.whole.measured(past.Total)
	for _, pool := range past.Pools {
		of(s.flows, key{pool: pool.Name}).measured(pool.Course)
		for _, b := range pool.Backends {
			of(s.flows, key{pool.Name, b.Address}).measured(b.Course)
		}
	}
	forget(s.loops, s.number)
	forget(s.flows, s.number)
}

// measured takes the newest quantiles. They are 0 if there are none: nothing was measured,
// or lb keeps no histograms of backends (metrics.per_backend).
func (f *flow) measured(c api.Course) {
	f.p50, f.p99, f.ttfb = newest(c.P50), newest(c.P99), newest(c.FirstByte)
}

func newest(milliseconds []float32) time.Duration {
	if len(milliseconds) == 0 {
		return 0
	}
	us := math.Round(1000 * float64(milliseconds[len(milliseconds)-1]))
	return time.Duration(us) * time.Microsecond
}

// of returns the flow of k, which is new if there is none.
func of[K comparable](m map[K]*flow, k K) *flow {
	f := m[k]
	if f == nil {
		f = &flow{}
		m[k] = f
	}
	return f
}

// forget drops the flows that the newest sample has not.
func forget[K comparable](m map[K]*flow, number uint64) {
	for k, f := range m {
		if f.seen != number {
			delete(m, k)
		}
	}
}
