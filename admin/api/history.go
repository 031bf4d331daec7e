package api

import "time"

// History is what lb, its pools and its backends did during the last ten minutes: a point
// every Seconds, the oldest first. The last element of each list is the newest, of At. A
// pool or a backend that came later has fewer points than others. It is empty for the
// first few seconds of a process.
type History struct {
	At      time.Time     `json:"at,omitzero"` // of the newest point; the zero time if there is none
	Seconds float64       `json:"seconds"`     // from one point to the next
	Total   Course        `json:"total"`       // of all pools, and of requests that no pool has got
	Pools   []PoolHistory `json:"pools"`       // in the order of the configuration
}

// PoolHistory is the history of a pool.
type PoolHistory struct {
	Name string `json:"name"`
	Course
	Backends []BackendHistory `json:"backends"` // in the order of the configuration
}

// BackendHistory is the history of a backend.
type BackendHistory struct {
	Address string `json:"address"` // that of Backend
	Course
}

// Course is how values changed. All lists have the same length, or are left out: P50 and
// P99 of backends, FirstByte of pools and of the total. Numbers are rounded to three digits.
type Course struct {
	Rate      []float32 `json:"rate"`                    // requests each second; of a backend those that it answered
	Errors    []float32 `json:"errors"`                  // each second: answers of 5xx; of a backend failed attempts as well
	InFlight  []float32 `json:"in_flight"`               // at the time of the point
	P50       []float32 `json:"p50_ms,omitempty"`        // of the total time of a request, in milliseconds; 0 without requests
	P99       []float32 `json:"p99_ms,omitempty"`        // as P50
	FirstByte []float32 `json:"first_byte_ms,omitempty"` // average time to the first byte; 0 if it is not known, which takes metrics.per_backend or least_time
}

// Last returns a copy of h with at most the newest n points. It shares the memory of h.
func (h History) Last(n int) History {
	h.Total = h.Total.last(n)
	pools := make([]PoolHistory, len(h.Pools))
	for i, p := range h.Pools {
		pools[i] = PoolHistory{p.Name, p.Course.last(n), make([]BackendHistory, len(p.Backends))}
		for j, b := range p.Backends {
			pools[i].Backends[j] = BackendHistory{b.Address, b.Course.last(n)}
		}
	}
	h.Pools = pools
	return h
}

func (c Course) last(n int) Course {
	for _, list := range []*[]float32{&c.Rate, &c.Errors, &c.InFlight, &c.P50, &c.P99, &c.FirstByte} {
		*list = (*list)[max(0, len(*list)-n):]
	}
	for _, list := range []*[]float32{&c.Rate, &c.Errors, &c.InFlight} {
		if *list == nil {
			*list = []float32{} // JSON has [] for it, not null
		}
	}
	return c
}
