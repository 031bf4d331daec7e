package report

import "slices"

// spread is the median and the range of some figures.
type spread struct{ median, min, max float64 }

// spreadOf returns the spread of xs. It is zero if xs is empty.
func spreadOf(xs []float64) spread {
	if len(xs) == 0 {
		return spread{}
	}
	xs = slices.Sorted(slices.Values(xs))
	n := len(xs)
	return spread{median: (xs[(n-1)/2] + xs[n/2]) / 2, min: xs[0], max: xs[n-1]}
}

// of returns the spread of pick over all rounds.
func of(rounds []Round, pick func(*Round) float64) spread {
	xs := make([]float64, len(rounds))
	for i := range rounds {
		xs[i] = pick(&rounds[i])
	}
	return spreadOf(xs)
}

// ratio returns the spread of pick of a divided by pick of b, taken round by round.
// Rounds in which b has 0 are left out.
func ratio(a, b []Round, pick func(*Round) float64) spread {
	var xs []float64
	for i := range min(len(a), len(b)) {
		if d := pick(&b[i]); d > 0 {
			xs = append(xs, pick(&a[i])/d)
		}
	}
	return spreadOf(xs)
}

// Functions to pick a figure of a round, in the units of Round.
func cpuOf(r *Round) float64        { return r.User + r.System }
func userOf(r *Round) float64       { return r.User }
func systemOf(r *Round) float64     { return r.System }
func throughputOf(r *Round) float64 { return r.Throughput }
func p50Of(r *Round) float64        { return r.P50 }
func p99Of(r *Round) float64        { return r.P99 }
func p999Of(r *Round) float64       { return r.P999 }
func memoryOf(r *Round) float64     { return float64(r.Memory) }
func idleOf(r *Round) float64       { return r.IdleBytes }
