package buckets

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// newArea returns an area of its own, on the heap.
func newArea(s Shape) *Area {
	return Of(make([]uint64, s.Words()), s, [2]uint64{rand.Uint64(), rand.Uint64()})
}

// rate returns the Rate of n tokens a second.
func rate(n, burst int64) *Rate {
	every := int64(time.Second) / n
	return &Rate{Every: every, Burst: burst, Most: every * burst}
}

// reference is a token bucket as a textbook has it.
type reference struct {
	rate   *Rate
	tokens float64
	at     int64
}

func (b *reference) take(now int64) bool {
	b.tokens = min(float64(b.rate.Burst), b.tokens+float64(now-b.at)/float64(b.rate.Every))
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// TestReference: a bucket gives and refuses as a textbook's, and says how many are left and
// when there will be one again.
func TestReference(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		a := newArea(Shape{Loops: 1, Shrink: 4})
		// A power of 2, so that the reference does not round.
		every := int64(1) << r.IntN(30)
		q := &Rate{Every: every, Burst: 1 + r.Int64N(20)}
		q.Most = q.Every * q.Burst
		now := 1 + r.Int64N(1<<40)
		ref := reference{q, float64(q.Burst), now}
		for range 500 {
			now += r.Int64N(every * 2 * (1 + r.Int64N(q.Burst)/8))
			look := a.Look(7, q, now)
			got, want := a.Take(7, q, now), ref.take(now)
			if got != look {
				t.Fatalf("Take says %+v, Look before it %+v", got, look)
			}
			if got.OK != want || want && got.Left != int64(ref.tokens) {
				t.Fatalf("every %d, burst %d: %+v at %d, want %t with %v left", every, q.Burst, got, now, want, ref.tokens)
			}
			if !want && (a.Take(7, q, now+got.Wait-1).OK || !a.Look(7, q, now+got.Wait).OK) {
				t.Fatalf("there is no token exactly after the wait of %d", got.Wait)
			}
		}
	}
}

// TestRefund: a token that is given back leaves the bucket as it was.
func TestRefund(t *testing.T) {
	a, q, now := newArea(Shape{Loops: 1, Shrink: 4}), rate(10, 3), int64(time.Hour)
	for i := range 4 {
		before := a.Look(1, q, now)
		a.Take(1, q, now)
		if before.OK {
			a.Refund(1, q)
		}
		if after := a.Look(1, q, now); after != before {
			t.Errorf("%d: %+v, want %+v", i, after, before)
		}
		a.Take(1, q, now)
	}
	a.Refund(2, q) // never taken from
	if got := a.Look(2, q, now); got.Left != 2 {
		t.Errorf("%+v", got)
	}
}

// TestChangedRate: no more than a full bucket is ever missing.
func TestChangedRate(t *testing.T) {
	a, now := newArea(Shape{Loops: 1, Shrink: 4}), int64(time.Hour)
	slow, fast := rate(1, 100), rate(100, 10)
	for range 100 {
		a.Take(1, slow, now)
	}
	if got := a.Take(1, fast, now); got.OK || got.Wait != fast.Every {
		t.Errorf("%+v, want a wait of %d", got, fast.Every)
	}
	if got := a.Take(1, fast, now+fast.Every*10); !got.OK || got.Left != 9 {
		t.Errorf("%+v once it has filled", got)
	}
}

// TestGiveWay: the fullest bucket gives way, and only one that is not full is lost.
func TestGiveWay(t *testing.T) {
	a, q, now := newArea(Shape{Loops: 1, Shrink: 4}), rate(1, 1000), int64(time.Hour)
	places := a.shape.places()
	for key := uint64(1); key <= uint64(places)*100; key++ {
		a.Take(key, q, now)
		now += q.Every // each has filled before the next comes
	}
	if a.Lost() != 0 {
		t.Errorf("%d are lost, want none", a.Lost())
	}
	now += int64(time.Hour)
	for key := uint64(1); key <= uint64(places)*2; key++ {
		a.Take(key, q, now)
	}
	if lost := a.Lost(); lost < uint64(places) || lost > uint64(places)*3/2 {
		t.Errorf("%d of %d are lost with %d places", lost, places*2, places)
	}
	a.Raise(1<<40, q.Most, now) // the emptiest of its set stays while others come
	for key := uint64(1); key < 1000; key++ {
		a.Take(key<<20, q, now)
	}
	if got := a.Missing(1<<40, now); got != q.Most {
		t.Errorf("%d is missing, want %d", got, q.Most)
	}
}

// TestRaise: what a store says only ever empties a bucket.
func TestRaise(t *testing.T) {
	a, q, now := newArea(Shape{Loops: 1, Shrink: 4}), rate(10, 10), int64(time.Hour)
	a.Raise(1, 0, now)
	if a.find(1) >= 0 {
		t.Error("a full bucket takes a place")
	}
	for _, tc := range []struct{ to, want int64 }{{5, 5}, {3, 5}, {7, 7}, {0, 7}, {-1, 7}} {
		a.Raise(1, tc.to*q.Every, now)
		if got := a.Missing(1, now); got != tc.want*q.Every {
			t.Errorf("raised to %d: %d is missing", tc.to, got)
		}
	}
}

// TestLoops: over 8 loops, exactly as many tokens are given as there are, of one bucket and
// of many.
func TestLoops(t *testing.T) {
	const loops, burst, rounds = 8, 1000, 20000
	for _, keys := range []int{1, 100} {
		a, q := newArea(Shape{Loops: loops, Shrink: 2}), rate(1_000_000, burst)
		var clock, given atomic.Int64
		clock.Store(int64(time.Hour))
		var all sync.WaitGroup
		for i := range loops {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 1))
				for range rounds {
					now := clock.Add(int64(keys) * q.Every / 4) // four are asked for where there is one
					if a.Take(uint64(1+r.IntN(keys)), q, now).OK {
						given.Add(1)
					}
				}
			})
		}
		all.Wait()
		passed := (clock.Load() - int64(time.Hour)) / q.Every
		want := passed + int64(keys)*burst
		if keys > 1 { // some of these buckets are not emptied
			want = min(want, loops*rounds)
		}
		t.Logf("%d keys: %d tokens, at most %d", keys, given.Load(), want)
		if got := given.Load(); got > want || keys == 1 && got < want-loops {
			t.Errorf("%d keys: %d tokens were given, want %d", keys, got, want)
		}
	}
}

// TestCrowd: loops that claim places of the same few sets for the same keys never give more
// tokens than there are, but for states that are lost.
func TestCrowd(t *testing.T) {
	const loops, keys, burst = 8, 64, 50
	a, q, now := newArea(Shape{Loops: loops, Shrink: 4}), rate(1, burst), int64(time.Hour)
	var all sync.WaitGroup
	var given [keys]atomic.Int64
	for i := range loops {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for range 20000 {
				key := r.IntN(keys)
				if a.Take(uint64(1+key), q, now).OK {
					given[key].Add(1)
				}
			}
		})
	}
	all.Wait()
	over := int64(0)
	for i := range given {
		n := given[i].Load()
		if n < burst {
			t.Errorf("key %d got %d", i, n)
		}
		over += n - burst
	}
	if most := int64(a.Lost()+loops) * burst; over > most {
		t.Errorf("%d too many with %d lost states", over, a.Lost())
	}
	t.Logf("%d too many with %d lost states", over, a.Lost())
}

// FuzzTable: whatever is in the words, calls end, and give no more than a full bucket.
func FuzzTable(f *testing.F) {
	f.Add(uint64(1), uint64(1), uint64(1<<63), int64(1000), int64(1), int64(5))
	f.Add(uint64(1), uint64(2), uint64(1<<62), int64(1<<50), int64(1<<40), int64(100))
	f.Fuzz(func(t *testing.T, key, other, tat uint64, now, every, burst int64) {
		if key == 0 || now <= 0 || now > 1<<61 || every <= 0 || burst <= 0 || burst > 1<<10 || every > 1<<50 {
			return
		}
		a, q := newArea(Shape{Loops: 1, Shrink: 4}), &Rate{Every: every, Burst: burst, Most: every * burst}
		set := a.set(key)
		for i := set; i < set+setWords; i += placeWords {
			a.words[i], a.words[i+1] = other+uint64(i)%3, tat
		}
		n := int64(0)
		for a.Take(key, q, now).OK {
			if n++; n > burst {
				t.Fatalf("%d tokens of %d", n, burst)
			}
		}
		a.Refund(key, q)
		if got := a.Take(key, q, now); !got.OK || got.Left != 0 {
			t.Fatalf("%+v after a refund", got)
		}
	})
}
