package board

import (
	"math"
	"math/bits"
	"time"
)

// The bounds of histograms are those of Prometheus' native histograms of schema 3, so that
// no count has to be moved when they are exported: 2^(k/8) seconds. A quantile is off by at
// most 4.4 %.
const (
	boundsPerOctave = 8
	lowestOctave    = -20 // 0.95 us
	highestOctave   = 12  // 68 minutes

	// HistogramBuckets is the number of buckets. The first has everything up to its bound,
	// the last has no bound.
	HistogramBuckets = (highestOctave-lowestOctave)*boundsPerOctave + 2
)

// FirstBound is the number of the first bucket's bound in schema 3: it is 2^(FirstBound/8)
// seconds, and those that follow have the numbers that follow.
const FirstBound = lowestOctave * boundsPerOctave

// Bound returns the upper bound of a bucket in seconds, which belongs to the bucket, and
// +Inf for the last.
func Bound(bucket int) float64 {
	if bucket >= HistogramBuckets-1 {
		return math.Inf(1)
	}
	return math.Exp2(float64(FirstBound+bucket) / boundsPerOctave)
}

// boundNanos are the bounds in nanoseconds, rounded down.
var boundNanos [HistogramBuckets]uint64

// firstBucket has, by the length in bits of a number of nanoseconds and the three bits that
// follow its first, the lowest bucket that such a number can belong to.
var firstBucket [65 * 8]uint16

func init() {
	for i := range boundNanos {
		boundNanos[i] = math.MaxUint64
		if i < HistogramBuckets-1 {
			boundNanos[i] = uint64(Bound(i) * 1e9)
		}
	}
	for at := range firstBucket {
		length, low := at/8, uint64(0)
		if length > 3 {
			low = (8 | uint64(at%8)) << (length - 4)
		}
		for low > boundNanos[firstBucket[at]] {
			firstBucket[at]++
		}
	}
}

// bucketOf returns the bucket for n nanoseconds.
func bucketOf(n uint64) int {
	at := 0
	if length := bits.Len64(n); length > 3 {
		at = length*8 | int(n>>(length-4)&7)
	}
	i := int(firstBucket[at])
	for n > boundNanos[i] {
		i++
	}
	return i
}

// Histogram counts durations in one loop, which alone writes it.
type Histogram struct {
	counts [HistogramBuckets]Counter
	nanos  Counter // their sum
}

// Observe counts d. A negative duration is taken for 0.
func (h *Histogram) Observe(d time.Duration) {
	n := uint64(max(0, d))
	h.counts[bucketOf(n)].Add(1)
	h.nanos.Add(n)
}

// Series is what one loop has counted of a pool, or of one of its backends. The loop alone
// writes it.
type Series struct {
	Total     Histogram // from the first byte of a request to the end of its answer
	FirstByte Histogram // from the end of the request at the backend to the head of its answer
	Connect   Histogram // a new conn to a backend, without TLS
	Queue     Histogram // of those that waited for room: how long
	Handshake Histogram // TLS with a backend
}

// HistogramSum is a histogram over all loops.
type HistogramSum struct {
	Counts [HistogramBuckets]uint64
	Nanos  uint64 // the sum of what was counted, in nanoseconds
}

// SeriesSum is a series over all loops, with the fields of Series.
type SeriesSum struct{ Total, FirstByte, Connect, Queue, Handshake HistogramSum }

// Count returns how many durations were counted.
func (h *HistogramSum) Count() (n uint64) {
	for _, k := range h.Counts {
		n += k
	}
	return n
}

// Minus returns what was counted since before, which is an earlier sum of the same
// histogram. Where that had more, the histogram has begun again, and all counts.
func (h *HistogramSum) Minus(before *HistogramSum) (d HistogramSum) {
	for i, n := range h.Counts {
		if n < before.Counts[i] {
			return *h
		}
		d.Counts[i] = n - before.Counts[i]
	}
	d.Nanos = h.Nanos - min(h.Nanos, before.Nanos)
	return d
}

// Quantile returns the duration that a share q, from 0 to 1, of those counted does not
// exceed, interpolated within a bucket, or 0 if none was counted.
func (h *HistogramSum) Quantile(q float64) time.Duration {
	rank := q * float64(h.Count())
	below := 0.0
	for i, n := range h.Counts {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		low, high := 0.0, Bound(min(i, HistogramBuckets-2))
		if i > 0 {
			low = Bound(i - 1)
		}
		return time.Duration((low + (high-low)*max(0, rank-below)/float64(n)) * 1e9)
	}
	return 0
}

// AddTo adds what the loop has counted to sum. Any goroutine may call it.
func (h *Histogram) AddTo(sum *HistogramSum) {
	for i := range h.counts {
		sum.Counts[i] += h.counts[i].Load()
	}
	sum.Nanos += h.nanos.Load()
}
