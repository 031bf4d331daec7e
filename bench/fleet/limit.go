package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// limitModel is a rate limit and one client that goes beyond it, whose requests are spread
// evenly over all machines.
type limitModel struct {
	rate    float64 // requests a second
	burst   float64
	sync    time.Duration // between two exchanges of a machine with the store
	offered float64       // requests of the client, as a multiple of rate
}

// passed is how many requests were let through, by second.
type passed [60]int

// text returns the requests a second over the first seconds.
func (p passed) text(seconds int) string {
	sum := 0
	for _, n := range p[:seconds] {
		sum += n
	}
	return fmt.Sprint((sum + seconds/2) / seconds)
}

// bucket counts as lb does: by the time at which the bucket will be full again (GCRA).
type bucket struct{ full float64 }

// take takes n requests at now, in seconds, if the bucket has one.
func (b *bucket) take(now, interval, burst float64) bool {
	full := max(b.full, now)
	if full-now > (burst-1)*interval {
		return false
	}
	b.full = full + interval
	return true
}

// without returns what n machines let through that know nothing of each other.
func (m limitModel) without(n int) passed { return m.run(n, false) }

// with returns what n machines let through that share a store.
func (m limitModel) with(n int) passed { return m.run(n, true) }

func (m limitModel) run(n int, store bool) (out passed) {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	interval, every := 1/m.rate, m.sync.Seconds()
	local, used, due := make([]bucket, n), make([]int, n), make([]float64, n)
	for i := range due {
		due[i] = r.Float64() * every // machines are not in step
	}
	var shared bucket
	for now := r.ExpFloat64() / (m.rate * m.offered); now < float64(len(out)); now += r.ExpFloat64() / (m.rate * m.offered) {
		i := r.IntN(n)
		if store && now >= due[i] {
			// The machine hands in what it has let through, and takes over the time of all.
			shared.full = max(shared.full, now) + float64(used[i])*interval
			local[i].full, used[i] = shared.full, 0
			due[i] = now + every
		}
		if local[i].take(now, interval, m.burst) {
			used[i]++
			out[int(now)]++
		}
	}
	return out
}

// storeLoad returns how many entries a second n machines hand to the store if each has rate
// requests a second of as many different clients: each request is an entry then, and the
// store sees all of them.
func storeLoad(n, rate int) int { return n * rate }
