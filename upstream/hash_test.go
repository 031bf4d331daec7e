package upstream

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lb/board"
	"lb/config"
)

// TestHash compares Hash with XXH64, seed 0, of the reference implementation. Any
// other value would move every key of every user.
func TestHash(t *testing.T) {
	for text, want := range map[string]uint64{
		"":     0xef46db3751d8e999,
		"a":    0xd24ec4f1a98c6e5b,
		"as":   0x1c330fb2d66be179,
		"asd":  0x631c37ce72a97393,
		"asdf": 0x415872f599cea71e,
		"Call me Ishmael. Some years ago--never mind how long precisely-": 0x02a2e85470d6fd96,
	} {
		if got := Hash([]byte(text)); got != want {
			t.Errorf("%q: %#x, want %#x", text, got, want)
		}
	}
}

// picks returns the backend of each of n keys.
func picks(t *testing.T, p *Pool[*conn], n int) []string {
	t.Helper()
	k, list := newKeys(17), make([]string, n)
	for i := range list {
		b, why := p.Pick(Ask{Key: k.next()}, start)
		if why != Picked {
			t.Fatalf("key %d: %d", i, why)
		}
		list[i] = p.Backends[b].Name
		p.Release(b)
	}
	return list
}

// moved returns the share of keys that changed their backend.
func moved(before, after []string) float64 {
	n := 0
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return float64(n) / float64(len(before))
}

// TestHashAgrees: machines with the same backends send a key to the same one, in
// any order of the file, with any number of loops and any seed.
func TestHashAgrees(t *testing.T) {
	set := buildOf(config.HashOnKey, 3, 1, 1, 7, 2, 1, 1)
	p, _ := set.pool()
	want := picks(t, p, 5000)
	other := buildOf(config.HashOnKey, 3, 1, 1, 7, 2, 1, 1)
	slices.Reverse(other.Backends)
	other.loops = 5
	q := other.on(board.New(5, 7), 3)
	q.Seed(1)
	if got := moved(want, picks(t, q, 5000)); got != 0 {
		t.Errorf("%.3f of the keys go elsewhere on another machine", got)
	}
}

// TestHashMoves: if one of n backends is removed from the configuration, at most
// 1/n + 2 % of the keys move. If it goes down, only its own keys move, and they
// return with it.
func TestHashMoves(t *testing.T) {
	const n = 20_000
	for _, weights := range [][]int{
		{1, 1}, equal(3, 5), equal(10, 1), equal(50, 1), equal(200, 1), {7, 1, 3, 1, 2}, slices.Repeat([]int{5, 1, 60, 13}, 10),
	} {
		backends, gone := len(weights), len(weights)/2
		set := buildOf(config.HashOnKey, weights...)
		p, shared := set.pool()
		before := picks(t, p, n)
		limit := float64(weights[gone])/float64(total(weights)) + 0.02

		shared.SetHealth(gone, board.Down, board.ReasonConnect, 0, 1)
		down := picks(t, p, n)
		for i := range before {
			if before[i] != p.Backends[gone].Name && down[i] != before[i] {
				t.Fatalf("%d backends: key %d moved from one that is not down", backends, i)
			}
		}
		if got := moved(before, down); got > limit {
			t.Errorf("%d backends, one down: %.4f of the keys moved, want at most %.4f", backends, got, limit)
		}
		shared.SetHealth(gone, board.Up, board.ReasonOK, 200, 2)
		if got := moved(before, picks(t, p, n)); got != 0 {
			t.Errorf("%d backends: %.4f of the keys did not come back", backends, got)
		}

		set.Backends = slices.Delete(set.Backends, gone, gone+1)
		q, _ := set.pool()
		if got := moved(before, picks(t, q, n)); got > limit {
			t.Errorf("%d backends, one removed: %.4f of the keys moved, want at most %.4f", backends, got, limit)
		}
	}
}

// TestHashFewLeft: with nearly all backends out, each key still has its backend,
// and only the keys of a backend that goes down move.
func TestHashFewLeft(t *testing.T) {
	p, shared := buildOf(config.HashOnKey, equal(1000, 1)...).pool()
	left := []int{3, 500, 501, 999}
	for i := range 1000 {
		if !slices.Contains(left, i) {
			shared.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
		}
	}
	before := picks(t, p, 4000)
	if got := moved(before, picks(t, p, 4000)); got != 0 {
		t.Errorf("%.3f of the keys went elsewhere the second time", got)
	}
	shared.SetHealth(500, board.Down, board.ReasonConnect, 0, 1)
	after := picks(t, p, 4000)
	counts := map[string]int{}
	for i := range before {
		counts[before[i]]++
		if before[i] != p.Backends[500].Name && after[i] != before[i] {
			t.Fatalf("key %d moved from one that is not down", i)
		}
	}
	for name, c := range counts {
		if c < 850 || c > 1150 {
			t.Errorf("%s has %d of 4000 keys, want about 1000", name, c)
		}
	}
}

// TestHashAgreesWithFewLeft: with nearly all backends down, machines agree as well, in
// whatever order they have found the backends.
func TestHashAgreesWithFewLeft(t *testing.T) {
	few := func(reverse bool) (*Pool[*conn], []string) {
		set := buildOf(config.HashOnKey, equal(100, 1)...)
		if reverse {
			slices.Reverse(set.Backends)
		}
		p, shared := set.pool()
		var names []string
		for i, b := range p.Backends {
			if !slices.Contains([]int{3, 40, 97, 2, 59, 96}, i) {
				shared.SetHealth(i, board.Down, board.ReasonConnect, 0, 1)
				continue
			}
			names = append(names, b.Name)
		}
		slices.Sort(names)
		return p, names
	}
	p, here := few(false)
	q, there := few(true)
	if !slices.Equal(here, there) {
		t.Fatalf("other backends are left: %v and %v", here, there)
	}
	if got := moved(picks(t, p, 4000), picks(t, q, 4000)); got != 0 {
		t.Errorf("%.3f of the keys go elsewhere on another machine", got)
	}
}

// TestHashWithoutKey: without a key the pick is random, by weight.
func TestHashWithoutKey(t *testing.T) {
	p, _ := buildOf(config.HashOnKey, 3, 1).pool()
	counts := make([]int, 2)
	for range 40_000 {
		b, _ := p.Pick(Ask{}, start)
		counts[b]++
		p.Release(b)
	}
	if share := float64(counts[0]) / 40_000; share < 0.74 || share > 0.76 {
		t.Errorf("%v, want 3:1", counts)
	}
}

// TestMaglev: every backend has its share of the places, exact within one without
// weights, and none has no place.
func TestMaglev(t *testing.T) {
	for _, weights := range [][]int{{1}, {1, 1}, {3, 1}, {65535, 1}, {1, 2, 3, 4, 5}, equal(51, 1), equal(1000, 5)} {
		table := MakeTable(sharesOf(entriesOf(buildOf(config.HashOnKey, weights...).Backends)), nil)
		if len(table) < placesEach*len(weights) {
			t.Errorf("%d backends: a table of %d", len(weights), len(table))
		}
		counts := make([]int, len(weights))
		for _, i := range table {
			counts[i]++
		}
		for i, c := range counts {
			want := float64(len(table)) * float64(weights[i]) / float64(total(weights))
			if c < 1 || float64(c) < want*0.98-2 || float64(c) > want*1.02+2 {
				t.Errorf("%d backends, weight %d: %d places, want %.1f", len(weights), weights[i], c, want)
			}
		}
	}
}

// TestBoundedLoad: for any keys, no backend has more active attempts than the
// factor times the mean, rounded up. With varied keys each keeps its backend.
func TestBoundedLoad(t *testing.T) {
	for _, factor := range []float64{1.1, 1.25, 2} {
		const n, exchanges = 10, 400
		set := buildOf(config.HashOnKey, equal(n, 1)...)
		set.Hash.BalanceFactor = factor
		p, shared := set.pool()
		rng := rand.New(rand.NewPCG(1, 12))
		now := start
		var held []int
		for i := range 5000 {
			now += 5000
			if len(held) == exchanges {
				at := rng.IntN(len(held))
				p.Release(held[at])
				held = slices.Delete(held, at, at+1)
			}
			b, why := p.Pick(Ask{Key: 77}, now) // always the same key
			if why != Picked {
				t.Fatal(why)
			}
			held = append(held, b)
			bound := uint64(factor*float64(len(held))/n) + 1
			if got := shared.InFlight(b); got > bound {
				t.Fatalf("factor %v, exchange %d: %d at work of %d, want at most %d", factor, i, got, len(held), bound)
			}
		}
		for _, b := range held {
			p.Release(b)
		}
		plain, _ := buildOf(config.HashOnKey, equal(n, 1)...).pool()
		if got := moved(picks(t, plain, 1000), picks(t, p, 1000)); got != 0 {
			t.Errorf("factor %v: %.3f of the keys moved in an idle pool", factor, got)
		}
	}
}

func TestHashNoAlloc(t *testing.T) {
	b := []byte(strings.Repeat("session-id;", 9))
	if n := testing.AllocsPerRun(100, func() { Hash(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHash(b *testing.B) {
	text := []byte("203.0.113.77:/a/path/of/some/length")
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Hash(text)
	}
}

// BenchmarkMaglev is a cost at the start of a loop.
func BenchmarkMaglev(b *testing.B) {
	list := sharesOf(entriesOf(buildOf(config.HashOnKey, equal(1000, 1)...).Backends))
	b.ReportAllocs()
	for b.Loop() {
		MakeTable(list, nil)
	}
}
