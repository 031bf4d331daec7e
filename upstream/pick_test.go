package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
)

// strategies are all strategies.
var strategies = config.Strategies()

// start is when tests begin: not a round number, and well above zero.
const start tick.Instant = 1_000_000_007_123

// build collects a test's settings and then makes a pool for one loop.
type build struct {
	config.Pool
	loops int
}

// buildOf returns the settings for a pool with these weights.
func buildOf(strategy string, weights ...int) *build {
	b := &build{Pool: config.NewPool("web"), loops: 1}
	b.Strategy = strategy
	for i, w := range weights {
		b.Backends = append(b.Backends, config.Backend{Host: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: 80, Weight: w})
	}
	return b
}

// pool returns the pool of a single loop, and its board.
func (b *build) pool() (*Pool[*conn], *board.Board) {
	shared := board.New(b.loops, len(b.Backends))
	return b.on(shared, 0), shared
}

// on returns the pool of one loop on a board.
func (b *build) on(shared *board.Board, loop int) *Pool[*conn] {
	p := NewPool(b.Pool, shared, backendsOf(b.Pool, shared, 0, loop), Seat{Slot: loop, Place: loop, Loops: b.loops})
	p.Seed(42)
	return p
}

// backendsOf returns a pool's backends in a slot, with consecutive IDs.
func backendsOf(cfg config.Pool, shared *board.Board, firstID, slot int) (list []*Backend[*conn]) {
	for i, b := range cfg.Backends {
		list = append(list, NewBackend[*conn](shared, slot, firstID+i, b.String()))
	}
	return list
}

// entriesOf returns backends as a roster has them, with their weights only.
func entriesOf(backends []config.Backend) (entries []entry) {
	for _, b := range backends {
		entries = append(entries, entry{member: member{name: b.String()}, weight: uint64(b.Weight)})
	}
	return entries
}

// eachStrategy runs a test for each strategy.
func eachStrategy(t *testing.T, f func(t *testing.T, strategy string)) {
	for _, s := range strategies {
		t.Run(s, func(t *testing.T) { f(t, s) })
	}
}

// keys is a source of keys. The key 0 means none.
type keys struct{ *rand.Rand }

func newKeys(seed uint64) keys { return keys{rand.New(rand.NewPCG(seed, 7))} }

func (k keys) next() uint64 { return max(1, k.Uint64()) }

// count picks n times, one after another, and returns how often each backend was
// picked.
func count(t *testing.T, p *Pool[*conn], n int, now tick.Instant) []int {
	t.Helper()
	counts, k := make([]int, len(p.Backends)), newKeys(1)
	for range n {
		b, why := p.Pick(Ask{Key: k.next()}, now)
		if why != Picked {
			t.Fatalf("no backend: %d", why)
		}
		counts[b]++
		p.Release(b)
	}
	return counts
}

// chiSquare returns how far counts are from their shares by weight, as the equally
// likely deviation of a normal distribution (Wilson and Hilferty). Chance exceeds 4
// once in 30,000 times.
func chiSquare(counts []int, weights []float64) float64 {
	n, sum, square, free := 0.0, 0.0, 0.0, -1.0
	for i, c := range counts {
		n += float64(c)
		sum += weights[i]
	}
	for i, c := range counts {
		if want := n * weights[i] / sum; want > 0 {
			square += (float64(c) - want) * (float64(c) - want) / want
			free++
		} else if c > 0 {
			return math.Inf(1)
		}
	}
	spread := 2 / (9 * free)
	return (math.Cbrt(square/free) - 1 + spread) / math.Sqrt(spread)
}

// TestSharesByWeight: 100,000 picks by each strategy pass a chi-square test against
// the weights, in an idle pool of equally fast backends.
func TestSharesByWeight(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for _, weights := range [][]int{{1, 1}, {3, 1}, {1, 2, 3, 4}, {7, 7, 7}, {65535, 65535}, equal(50, 2)} {
			p, _ := buildOf(strategy, weights...).pool()
			var want []float64
			for _, w := range weights {
				want = append(want, float64(w))
			}
			if strategy == config.HashOnKey { // keys are spread evenly over a table that is exact within one place
				for i := range want {
					want[i] = 0
				}
				p.roster.refresh(start)
				for _, i := range p.roster.picker.(*hashing).table {
					want[i]++
				}
			}
			if got := count(t, p, 100_000, start); chiSquare(got, want) > 4 {
				t.Errorf("weights %v: picks %v, chi-square %f deviations off", weights, got, chiSquare(got, want))
			}
		}
	})
}

// serve runs a closed loop: a fixed number of exchanges is always active, spread
// over all loops, and each takes a random time with the same mean for all backends.
// It returns how many exchanges each backend got, and the ratio of the busiest
// backend's active ones to the idlest's, averaged over time.
func serve(pools []*Pool[*conn], shared *board.Board, concurrency, exchanges int) (got []float64, uneven float64) {
	type work struct {
		pool *Pool[*conn]
		b    int
		ends tick.Instant
	}
	rng, k := rand.New(rand.NewPCG(3, 3)), newKeys(2)
	n := len(pools[0].Backends)
	got = make([]float64, n)
	now := start
	var working []work
	for i := range exchanges + concurrency {
		if len(working) == concurrency {
			first := 0
			for j := range working {
				if working[j].ends < working[first].ends {
					first = j
				}
			}
			now = working[first].ends
			working[first].pool.Succeeded(working[first].b, time.Duration(8+rng.IntN(5))*time.Millisecond, now)
			working[first].pool.Release(working[first].b)
			working[first] = working[len(working)-1]
			working = working[:len(working)-1]
		}
		p := pools[rng.IntN(len(pools))]
		b, _ := p.Pick(Ask{Key: k.next()}, now)
		working = append(working, work{p, b, now.Add(time.Duration(5+rng.IntN(11)) * time.Millisecond)})
		if i >= concurrency {
			got[b]++
			least, most := math.Inf(1), 0.0
			for j := range n {
				least, most = min(least, float64(shared.InFlight(j))), max(most, float64(shared.InFlight(j)))
			}
			uneven += most / max(1, least)
		}
	}
	return got, uneven / float64(exchanges)
}

// TestSharesUnderLoad: 3:1 within 2 % by each strategy, with eight active loops.
func TestSharesUnderLoad(t *testing.T) {
	eachStrategy(t, func(t *testing.T, strategy string) {
		for _, concurrency := range []int{1, 16, 64, 256} {
			set := buildOf(strategy, 3, 1)
			set.loops = 8
			shared := board.New(set.loops, 2)
			var pools []*Pool[*conn]
			for loop := range set.loops {
				pools = append(pools, set.on(shared, loop))
			}
			got, _ := serve(pools, shared, concurrency, 20_000)
			share := got[0] / (got[0] + got[1])
			if math.Abs(share-0.75) > 0.015 {
				t.Errorf("%d at work: the first of 3:1 got %.4f, want 0.75", concurrency, share)
			}
		}
	})
}

// TestEvenLoad: with eight loops and four backends, the loads at any moment differ
// by a factor of 1.3 at most.
func TestEvenLoad(t *testing.T) {
	for _, strategy := range []string{config.LeastConn, config.P2C} {
		for _, concurrency := range []int{64, 256} {
			set := buildOf(strategy, 1, 1, 1, 1)
			set.loops = 8
			shared := board.New(set.loops, 4)
			var pools []*Pool[*conn]
			for loop := range set.loops {
				pools = append(pools, set.on(shared, loop))
			}
			if _, uneven := serve(pools, shared, concurrency, 20_000); uneven > 1.3 {
				t.Errorf("%s, %d at work: the most is %.3f of the least, want at most 1.3", strategy, concurrency, uneven)
			}
		}
	}
}
