package report

import "slices"

// spread is the middle of some figures and how far they lie apart.
type spread struct{ median, min, max float64 }

// spreadOf returns the spread of xs, which is the zero value when there are none.
func spreadOf(xs []float64) spread {
	if len(xs) == 0 {
		return spread{}
	}
	xs = slices.Sorted(slices.Values(xs))
	n := len(xs)
	return spread{median: (xs[(n-1)/2] + xs[n/2]) / 2, min: xs[0], max: xs[n-1]}
}

// of returns the spread of what pick takes from each round.
func of(rounds []Round, pick func(*Round) float64) spread {
	xs := make([]float64, len(rounds))
	for i := range rounds {
		xs[i] = pick(&rounds[i])
	}
	return spreadOf(xs)
}

// ratio returns the spread of pick of a to pick of b, taken round by round;
// rounds in which b has nothing are left out.
func ratio(a, b []Round, pick func(*Round) float64) spread {
	var xs []float64
	for i := range min(len(a), len(b)) {
		if d := pick(&b[i]); d > 0 {
			xs = append(xs, pick(&a[i])/d)
		}
	}
	return spreadOf(xs)
}

// What is picked of a round.
func cpuOf(r *Round) float64        { return r.User + r.System }
func userOf(r *Round) float64       { return r.User }
func systemOf(r *Round) float64     { return r.System }
func throughputOf(r *Round) float64 { return r.Throughput }
func p50Of(r *Round) float64        { return r.P50 }
func p99Of(r *Round) float64        { return r.P99 }
func p999Of(r *Round) float64       { return r.P999 }
func memoryOf(r *Round) float64     { return float64(r.Memory) }
func idleOf(r *Round) float64       { return r.IdleBytes }
