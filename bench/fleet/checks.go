package main

import (
	"math/rand/v2"
	"time"
)

// checks are the settings of [health] and [eject] that matter for how fast a fleet sees that
// a backend is gone.
type checks struct {
	interval time.Duration
	fall     int
	faults   int // eject.faults
}

// rate returns how many checks a second each backend gets from n machines.
func (c checks) rate(n int) float64 { return float64(n) / c.interval.Seconds() }

// lastToSee returns when the last of n machines has found a backend down by its checks, on
// average over many failures: each machine checks at times of its own.
func (c checks) lastToSee(n int) time.Duration {
	const failures = 2000
	r := rand.New(rand.NewPCG(5, 6))
	var sum time.Duration
	for range failures {
		var last time.Duration
		for range n {
			first := time.Duration(r.Int64N(int64(c.interval)))
			last = max(last, first+time.Duration(c.fall-1)*c.interval)
		}
		sum += last
	}
	return sum / failures
}

// attempts returns how many attempts fail at a backend that refuses connects before all n
// machines have ejected it: each finds out by itself. All are retried elsewhere.
func (c checks) attempts(n int) int { return n * c.faults }
