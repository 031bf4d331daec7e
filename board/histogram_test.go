package board

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBuckets: a duration is counted in the bucket whose bound is the first that is not
// below it, whatever its size.
func TestBuckets(t *testing.T) {
	check := func(n uint64) {
		t.Helper()
		i := bucketOf(n)
		s := float64(n) / 1e9
		if s > Bound(i)*(1+1e-12) || i > 0 && s <= Bound(i-1)*(1-1e-12) {
			t.Errorf("%d ns is in bucket %d, from %g to %g s", n, i, Bound(max(0, i-1)), Bound(i))
		}
	}
	chance := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		check(chance.Uint64() >> chance.UintN(64))
	}
	for i := range HistogramBuckets - 1 {
		for _, n := range []uint64{boundNanos[i] - 1, boundNanos[i], boundNanos[i] + 1} {
			check(n)
		}
		if bucketOf(boundNanos[i]) != i || bucketOf(boundNanos[i]+1) != i+1 {
			t.Errorf("bucket %d does not end at %d ns", i, boundNanos[i])
		}
	}
	for _, n := range []uint64{0, 1, 7, 8, 15, 16, math.MaxInt64} {
		check(n)
	}
	if !math.IsInf(Bound(HistogramBuckets-1), 1) || Bound(-FirstBound) != 1 {
		t.Errorf("bounds: the last is %g, that of number 0 is %g", Bound(HistogramBuckets-1), Bound(-FirstBound))
	}
}

// TestHistogramSum: what several loops count is added up, and a quantile is off by no more
// than a bucket is wide.
func TestHistogramSum(t *testing.T) {
	b := New(3, 2)
	chance := rand.New(rand.NewPCG(3, 4))
	var all []time.Duration
	for i := range 3000 {
		d := time.Duration(math.Exp(chance.NormFloat64()*2) * 1e6)
		all = append(all, d)
		b.Series(i%3, 1).FirstByte.Observe(d)
	}
	b.Series(0, 1).FirstByte.Observe(-time.Second) // a clock that went back
	all = append(all, 0)
	slices.Sort(all)
	sum := b.SeriesTotals(1).FirstByte
	var nanos uint64
	for _, d := range all {
		nanos += uint64(d)
	}
	if sum.Count() != uint64(len(all)) || sum.Nanos != nanos {
		t.Errorf("%d durations of %d ns, want %d of %d", sum.Count(), sum.Nanos, len(all), nanos)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := all[min(len(all)-1, int(q*float64(len(all))))].Seconds()
		if got := sum.Quantile(q).Seconds(); got < want/1.1 || got > want*1.1 {
			t.Errorf("quantile %g is %g s, want about %g", q, got, want)
		}
	}
	if other := b.SeriesTotals(0); other.FirstByte.Count() != 0 || other.FirstByte.Quantile(0.5) != 0 {
		t.Error("another series has counted")
	}
	before := sum
	b.Series(2, 1).FirstByte.Observe(time.Second)
	now := b.SeriesTotals(1).FirstByte
	if d := now.Minus(&before); d.Count() != 1 || d.Nanos != 1e9 {
		t.Errorf("since then %d durations of %d ns", d.Count(), d.Nanos)
	}
	b.ClearSeries(1)
	again := b.SeriesTotals(1).FirstByte
	if d := again.Minus(&now); d.Count() != 0 || again.Count() != 0 {
		t.Errorf("a cleared series has %d, and %d since", again.Count(), d.Count())
	}
}

func BenchmarkObserve(b *testing.B) {
	s := New(1, 1).Series(0, 0)
	d := time.Duration(1)
	for b.Loop() {
		d = d*5%1_000_003 + 100
		s.Total.Observe(d)
	}
}
