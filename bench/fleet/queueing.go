package main

import (
	"container/heap"
	"math/rand/v2"
	"slices"
)

// waited is how long requests took, in times that a backend needs for one.
type waited struct{ mean, p99 float64 }

// departure is a request that a backend will have answered.
type departure struct {
	at               float64
	machine, backend int
}

type departures []departure

func (d departures) Len() int           { return len(d) }
func (d departures) Less(i, j int) bool { return d[i].at < d[j].at }
func (d departures) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)        { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// queueing has n machines choose backends by p2c, each by the requests that it has in flight
// itself, and returns how long requests take at this load of the backends.
func queueing(n, backends, workers int, load float64) waited {
	const requests, warm = 400_000, 50_000
	r := rand.New(rand.NewPCG(8, uint64(n)))
	inFlight := make([]int32, n*backends)
	free := make([][]float64, backends) // when each worker of a backend is free
	for i := range free {
		free[i] = make([]float64, workers)
	}
	var ends departures
	var times []float64
	sum, now := 0.0, 0.0
	for k := range requests {
		now += r.ExpFloat64() / (load * float64(backends*workers))
		for len(ends) > 0 && ends[0].at <= now {
			e := heap.Pop(&ends).(departure)
			inFlight[e.machine*backends+e.backend]--
		}
		m := r.IntN(n)
		b, other := r.IntN(backends), r.IntN(backends-1)
		if other >= b {
			other++
		}
		if inFlight[m*backends+other] < inFlight[m*backends+b] {
			b = other
		}
		// The worker that is free first takes it: one queue for each backend.
		first := 0
		for w, at := range free[b] {
			if at < free[b][first] {
				first = w
			}
		}
		end := max(now, free[b][first]) + r.ExpFloat64()
		free[b][first] = end
		inFlight[m*backends+b]++
		heap.Push(&ends, departure{end, m, b})
		if k >= warm {
			times = append(times, end-now)
			sum += end - now
		}
	}
	slices.Sort(times)
	return waited{sum / float64(len(times)), times[len(times)*99/100]}
}
