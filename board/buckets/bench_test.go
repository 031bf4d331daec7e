package buckets

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkTake takes tokens of one bucket, and of so many that none is in a cache.
func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000, 500_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			a, q, now := newArea(Shape{Loops: 1}), rate(1_000_000, 1000), int64(time.Hour)
			all := make([]uint64, 1<<20)
			for i := range all {
				all[i] = 1 + uint64(rand.IntN(keys))*0x9e3779b97f4a7c15
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				now += 300
				a.Take(all[i&(len(all)-1)], q, now)
				i++
			}
		})
	}
}

// BenchmarkFloor reads and swaps one word in each of so many lines that none is in a cache:
// what BenchmarkTake costs at least.
func BenchmarkFloor(b *testing.B) {
	words := make([]uint64, placesMax*placeWords)
	all := make([]uint32, 1<<20)
	for i := range all {
		all[i] = rand.Uint32N(uint32(len(words)))
	}
	i := 0
	for b.Loop() {
		at := &words[all[i&(len(all)-1)]]
		old := atomic.LoadUint64(at)
		atomic.CompareAndSwapUint64(at, old, old+1)
		i++
	}
}
