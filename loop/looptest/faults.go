package looptest

import (
	"math/rand/v2"
	"time"
)

const (
	bufferDefault  = 64 << 10
	connectTimeout = 127 * time.Second // Linux, with six SYNs
	laterMax       = time.Millisecond  // until the edge that follows a cut read or write
)

// Faults says what goes wrong and how often. A chance is between 0 and 1. With the
// zero value nothing goes wrong. It may be changed at any time; buffer sizes are
// drawn when a connection is made.
type Faults struct {
	CutReads  float64 // chance that a read returns less than it could, down to one byte
	CutWrites float64 // chance that a write takes less than it could, down to one byte
	NotReady  float64 // chance that a read or write does nothing although it could

	// BufferMin and BufferMax are the range of the size of each buffer of a
	// connection, in bytes. 0 means 64 KiB.
	BufferMin, BufferMax int

	Delay        time.Duration // bytes, ends and resets take up to this long, in pieces
	ConnectDelay time.Duration // a connect takes up to this long
	Creep        time.Duration // every Wait takes up to this long

	Refuse    float64 // chance that a dial is refused
	TimeOut   float64 // chance that a dial is never answered; ETIMEDOUT after 127 s
	Reset     float64 // chance, per piece of bytes sent either way, that the connection breaks
	HalfClose float64 // chance, per Peer.Send, that the peer ends its side after it

	Noise    float64 // chance, per Peer.Send with Layered, of a frame before it that has no bytes
	Truncate float64 // chance that a Layered peer ends without declaring it

	AcceptErrors float64 // chance that Accept fails: EMFILE, or ECONNABORTED when the client is gone
	FDMax        int     // open descriptors, including listeners, from which on there is EMFILE. 0: no limit

	// Spurious is the chance, per Wait, of an event without a change, of an event
	// for a closed descriptor, or of an early end of the Wait.
	Spurious  float64
	FullState bool // events report all that holds, as on Linux, not only what changed
	Shuffle   bool // events come in random order
}

// Draw returns the faults for one simulated run. Each knob is off for half of the
// seeds, so that some runs have many kinds of trouble and others only one. FDMax,
// Noise and Truncate are 0.
func Draw(seed uint64) Faults {
	rng := rand.New(rand.NewPCG(seed, 'f'))
	chance := func(most float64) float64 {
		return max(0, 2*rng.Float64()-1) * most
	}
	upTo := func(most time.Duration) time.Duration {
		return time.Duration(chance(1) * float64(most))
	}
	f := Faults{
		CutReads: chance(1), CutWrites: chance(1), NotReady: chance(0.5),
		Delay: upTo(20 * time.Millisecond), ConnectDelay: upTo(20 * time.Millisecond), Creep: upTo(time.Millisecond),
		Refuse: chance(0.3), TimeOut: chance(0.1), Reset: chance(0.02), HalfClose: chance(0.1),
		AcceptErrors: chance(0.3), Spurious: chance(0.3),
		FullState: rng.IntN(2) == 0, Shuffle: rng.IntN(2) == 0,
	}
	if rng.IntN(2) == 0 {
		f.BufferMin = 1 << rng.IntN(17)
		f.BufferMax = min(f.BufferMin<<rng.IntN(9), bufferDefault)
	}
	return f
}

// chance returns true with probability p. If p is 0 it draws nothing, so that an
// unused knob does not change the run.
func (k *Kernel) chance(p float64) bool { return p > 0 && k.rng.Float64() < p }

// upTo draws a time between 0 and most.
func (k *Kernel) upTo(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(k.rng.Int64N(int64(most) + 1))
}

// bufferMax draws the size of one buffer, in bytes.
func (k *Kernel) bufferMax() int {
	least, most := k.Faults.BufferMin, k.Faults.BufferMax
	if least <= 0 {
		least = bufferDefault
	}
	if most <= 0 {
		most = bufferDefault
	}
	if most <= least {
		return least
	}
	return least + k.rng.IntN(most-least+1)
}

// cut draws a count below n, and at least 1.
func (k *Kernel) cut(n int) int { return 1 + k.rng.IntN(n-1) }
