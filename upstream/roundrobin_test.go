package upstream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lb/board"
	"lb/config"
)

// conn stands for a backend conn.
type conn struct {
	link Link[*conn]
	id   int
}

func poolOf(weights []int, loop, loops int) *Pool[*conn] {
	cfg := config.Pool{Name: "default"}
	for i, w := range weights {
		cfg.Backends = append(cfg.Backends, config.Backend{Host: "127.0.0.1", Port: 9001 + i, Weight: w})
	}
	shared := board.New(loops, len(weights))
	return NewPool(cfg, shared, backendsOf(cfg, shared, 0, loop), Seat{Slot: loop, Place: loop, Loops: loops})
}

// pickOf picks and ends the attempt at once. It returns a number below 0 if
// there is none.
func pickOf(p *Pool[*conn], tried *Tried) int {
	b, why := p.Pick(Ask{Tried: tried}, 1)
	if why == Picked {
		p.Release(b)
	}
	return b
}

func equal(n, weight int) []int { return slices.Repeat([]int{weight}, n) }

// letters returns n first picks as "aaba".
func letters(p *Pool[*conn], n int) string {
	var s strings.Builder
	for range n {
		s.WriteByte('a' + byte(pickOf(p, nil)))
	}
	return s.String()
}

// nginx is ngx_http_upstream_get_peer without failures, written as in nginx.
func nginx(weights []int, n int) []int32 {
	current := make([]int, len(weights))
	var picks []int32
	for range n {
		sum, best := 0, -1
		for i, w := range weights {
			current[i] += w
			sum += w
			if best < 0 || current[i] > current[best] {
				best = i
			}
		}
		current[best] -= sum
		picks = append(picks, int32(best))
	}
	return picks
}

func TestPickOrder(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		want    string // two cycles
	}{
		{[]int{1}, "aa"},
		{[]int{7}, "aa"},
		{[]int{1, 1}, "abab"},
		{[]int{3, 1}, "aabaaaba"},
		{[]int{6, 2}, "aabaaaba"},
		{[]int{1, 3}, "babbbabb"},
		{[]int{2, 1, 1}, "abcaabca"},
		{[]int{5, 1, 1}, "aabacaaaabacaa"}, // the example of nginx's commit 52327e0627f4
		{[]int{1, 2, 3}, "cbacbccbacbc"},
		{[]int{65535, 65535}, "abab"},
		{[]int{0, 0}, "abab"}, // config refuses 0; here it counts as 1
	} {
		if got := letters(poolOf(tc.weights, 0, 1), len(tc.want)); got != tc.want {
			t.Errorf("weights %v: %s, want %s", tc.weights, got, tc.want)
		}
	}
}

// TestPickIsNginx: any weights give nginx's order, over more than one cycle.
func TestPickIsNginx(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		weights := make([]int, 1+rng.IntN(12))
		for i := range weights {
			weights[i] = 1 + rng.IntN(1+rng.IntN(30))
		}
		p := poolOf(weights, 0, 1)
		for i, want := range nginx(weights, 2*total(weights)+3) {
			if got := pickOf(p, nil); got != int(want) {
				t.Fatalf("seed %d, weights %v, pick %d: %d, want %d", seed, weights, i, got, want)
			}
		}
	}
}

// TestPickExact: over a cycle each backend is picked exactly as often as its weight
// says, wherever the cycle begins, and at no point does it lag or lead by much.
func TestPickExact(t *testing.T) {
	thousand := make([]int, 1000)
	for i := range thousand {
		thousand[i] = 1 + i%7
	}
	for _, weights := range [][]int{{3, 1}, {5, 1, 1}, {10, 20, 30, 41}, {65000, 1}, equal(1000, 9), thousand} {
		short := divide(weights)
		cycle := total(short)
		for _, begin := range []int{0, 1, cycle / 3} {
			p := poolOf(weights, 0, 1)
			letters(p, begin)
			counts := make([]int, len(weights))
			for range 2 * cycle {
				counts[pickOf(p, nil)]++
			}
			for i, n := range counts {
				if n != 2*short[i] {
					t.Errorf("%d backends, cycle of %d from %d: backend %d picked %d times in two, want %d",
						len(weights), cycle, begin, i, n, 2*short[i])
				}
			}
		}
	}
}

// TestPickNoRepeats: with equal weights no backend is picked twice before all
// others have had their turn, for any number of backends.
func TestPickNoRepeats(t *testing.T) {
	for _, n := range []int{2, 3, 10, 1000} {
		p := poolOf(equal(n, 65535), 0, 1)
		for i := range 3 * n {
			if got := pickOf(p, nil); got != i%n {
				t.Fatalf("%d backends, pick %d: %d, want %d", n, i, got, i%n)
			}
		}
	}
}

// TestSequenceBound: the sequence is short whatever the weights, and every backend
// is in it about as often as it should be.
func TestSequenceBound(t *testing.T) {
	for _, weights := range [][]int{
		{65535, 65534},
		{65535, 1},
		{65535, 65535, 1},
		append(equal(999, 65535), 1),
		append(equal(500, 65521), equal(500, 65519)...),
	} {
		r := newRoundRobin(entriesOf(poolConfig(weights)), Seat{Loops: 1})
		if limit := sequenceMax + len(weights); len(r.sequence) > limit {
			t.Errorf("%d backends: a sequence of %d, want at most %d", len(weights), len(r.sequence), limit)
		}
		counts := make([]int, len(weights))
		for _, index := range r.sequence {
			counts[index]++
		}
		for i, n := range counts {
			share := float64(n) / float64(len(r.sequence))
			want := float64(weights[i]) / float64(total(weights))
			// Rounding down loses less than an entry in sequenceMax, and 0 becomes 1.
			if n < 1 || share < want-2.0/sequenceMax || share > want+2.0/sequenceMax {
				t.Errorf("%d backends, weight %d: share %f, want %f", len(weights), weights[i], share, want)
			}
		}
	}
}

func poolConfig(weights []int) []config.Backend {
	backends := make([]config.Backend, len(weights))
	for i, w := range weights {
		backends[i].Weight = w
	}
	return backends
}

// TestStagger: loops that begin together do not all begin with the same backend;
// together their first picks are shared as those of one loop.
func TestStagger(t *testing.T) {
	for _, tc := range []struct {
		weights []int
		loops   int
		want    string // the loops' first picks
	}{
		{[]int{1, 1}, 1, "a"},
		{[]int{1, 1}, 2, "ab"},
		{[]int{1, 1}, 4, "aabb"},
		{[]int{3, 1}, 4, "aaba"},
		{[]int{1, 1, 1, 1}, 2, "ac"},
	} {
		var got string
		for loop := range tc.loops {
			got += letters(poolOf(tc.weights, loop, tc.loops), 1)
		}
		if got != tc.want {
			t.Errorf("weights %v: %d loops begin with %s, want %s", tc.weights, tc.loops, got, tc.want)
		}
	}
}

// TestPickTried: no tried backend is picked while there is an untried one, for any
// number of backends, weights and tried ones.
func TestPickTried(t *testing.T) {
	for _, tc := range []struct {
		name    string
		weights []int
	}{
		{"one", []int{1}},
		{"two", []int{1, 1}},
		{"three to one", []int{3, 1}},
		{"one far behind the other", []int{65535, 1}},
		{"two far behind the other", []int{1, 60000, 1}},
		{"thousand", equal(1000, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poolOf(tc.weights, 0, 1)
			var tried Tried
			for range tc.weights {
				b := pickOf(p, &tried)
				if tried.Has(b) {
					t.Fatalf("pick %d is %d again, and %d others are left", tried.Len(), b, len(tc.weights)-tried.Len())
				}
				tried.Add(b)
			}
			for range 3 {
				if pickOf(p, &tried) < 0 {
					t.Fatal("all tried: no backend, want any")
				}
			}
		})
	}
}

// TestRetriesKeepShares: one of three backends always fails. First picks are not
// affected, and its load is spread evenly over the other two.
func TestRetriesKeepShares(t *testing.T) {
	const exchanges, failing = 3000, 1
	p := poolOf([]int{1, 1, 1}, 0, 1)
	var first, answered [3]int
	var tried Tried
	for range exchanges {
		tried.Reset()
		b := pickOf(p, &tried)
		first[b]++
		if b == failing {
			tried.Add(b)
			b = pickOf(p, &tried)
		}
		answered[b]++
	}
	if want := [3]int{1000, 1000, 1000}; first != want {
		t.Errorf("first picks %v, want %v", first, want)
	}
	if want := [3]int{1500, 0, 1500}; answered != want {
		t.Errorf("answered %v, want %v", answered, want)
	}
}

func TestEmptyPool(t *testing.T) {
	if b := pickOf(poolOf(nil, 0, 1), nil); b >= 0 {
		t.Errorf("an empty pool picked %v", b)
	}
}

func TestNewPool(t *testing.T) {
	const firstID, loop = 2, 1
	cfg := config.Pool{Name: "api", Backends: []config.Backend{
		{Host: "10.0.0.1", Port: 80, Weight: 1},
		{Host: "::1", Port: 8080, Weight: 1},
		{Host: "app.example", Port: 9001, Weight: 1},
		{Socket: "/run/app.sock", Weight: 1},
	}}
	b := board.New(2, firstID+len(cfg.Backends))
	p := NewPool(cfg, b, backendsOf(cfg, b, firstID, loop), Seat{Slot: loop, Place: loop, Loops: 2})
	if p.Name != "api" || len(p.Backends) != len(cfg.Backends) {
		t.Fatalf("pool %q of %d, want api of %d", p.Name, len(p.Backends), len(cfg.Backends))
	}
	for i, name := range []string{"10.0.0.1:80", "[::1]:8080", "app.example:9001", "unix:/run/app.sock"} {
		got := p.Backends[i]
		if got.Name != name || got.ID != firstID+i {
			t.Errorf("backend %d: %s, ID %d, want %s, %d", i, got.Name, got.ID, name, firstID+i)
		}
		if got.Slot != b.Backend(loop, firstID+i) {
			t.Errorf("%s counts in a slot that is not its own", name)
		}
	}
}

func TestPickNoAlloc(t *testing.T) {
	for _, n := range []int{1, 2, 10, 256} {
		p := poolOf(equal(n, 3), 0, 1)
		tried := new(Tried)
		allocs := testing.AllocsPerRun(100, func() {
			tried.Reset()
			for range n + 1 {
				tried.Add(pickOf(p, tried))
			}
		})
		if allocs != 0 {
			t.Errorf("%d backends: %v allocations in an exchange that tries them all", n, allocs)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{2, 10, 1000} {
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1 + i%5
		}
		p := poolOf(weights, 0, 1)
		var tried Tried
		b.Run(fmt.Sprintf("backends=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pickOf(p, &tried)
			}
		})
		b.Run(fmt.Sprintf("backends=%d/retry", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tried.Reset()
				tried.Add(pickOf(p, &tried))
				pickOf(p, &tried)
			}
		})
	}
}

// BenchmarkNewPool is a cost at the start of a loop, for the worst weights.
func BenchmarkNewPool(b *testing.B) {
	weights := make([]int, 1000)
	for i := range weights {
		weights[i] = 1 + i%131
	}
	entries := entriesOf(poolConfig(weights))
	b.ReportAllocs()
	for b.Loop() {
		newRoundRobin(entries, Seat{Loops: 1})
	}
}
