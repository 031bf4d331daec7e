package tally

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

// tables are those of some loops.
type tables [][]uint64

func (t tables) Loops() int              { return len(t) }
func (t tables) Tally(loop int) []uint64 { return t[loop] }

// newTables returns the tables of loops with that many lines, a power of 2.
func newTables(loops, lines int) tables {
	t := make(tables, loops)
	for i := range t {
		t[i] = make([]uint64, (1+lines)*lineWords)
	}
	return t
}

var keys = NewKeys(bytes.Repeat([]byte{7}, 32))

// TestTally: what loops count together is what a map counts, whatever they do in which order,
// also when loops end and their tables are cleared.
func TestTally(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all := newTables(1+rng.IntN(4), 1<<rng.IntN(5))
		loops := make([]*Tally, len(all))
		want := make([]map[uint64]uint64, len(all))
		for i := range all {
			loops[i], want[i] = New(all, i), map[uint64]uint64{}
		}
		sum := func(key uint64) (n uint64) {
			for _, m := range want {
				n += m[key]
			}
			return n
		}
		for step := range 3000 {
			i, key := rng.IntN(len(all)), keys.Text(fmt.Sprint(rng.IntN(40)))
			switch most := uint64(1 + rng.IntN(5)); {
			case rng.IntN(500) == 0:
				Clear(all[i])
				want[i] = map[uint64]uint64{}
			case rng.IntN(2) == 0 && want[i][key] > 0:
				loops[i].Leave(key)
				want[i][key]--
			default:
				before := sum(key)
				got := loops[i].Enter(key, most)
				if got == Entered {
					want[i][key]++
				}
				if got == Entered && before >= most || got == Over && before < most {
					t.Fatalf("seed %d, step %d: %d of %d there, Enter returns %d", seed, step, before, most, got)
				}
				if busy := len(want[i]); got == Full && busy < setOf {
					t.Fatalf("seed %d, step %d: full with %d keys", seed, step, busy)
				}
			}
			if got := Sum(all, key); got != sum(key) {
				t.Fatalf("seed %d, step %d: %d, want %d", seed, step, got, sum(key))
			}
		}
	}
}

// setOf is how many keys a line takes.
const setOf = lineWords / 2

// TestFull: a table with room for many keys takes nearly all of them.
func TestFull(t *testing.T) {
	const lines = 1 << 10
	all := newTables(1, lines)
	a := New(all, 0)
	n := 0
	for ; a.Enter(keys.Text(fmt.Sprint(n)), 1) == Entered; n++ {
	}
	t.Logf("full after %d of %d keys", n, lines*setOf)
	if n < lines*setOf*2/3 {
		t.Errorf("full after %d keys of %d", n, lines*setOf)
	}
	a.Leave(keys.Text("0"))
	if Sum(all, keys.Text("0")) != 0 {
		t.Error("a key that has left still counts")
	}
}

// TestLastPlace: loops that want the last places at the same moment never get more than there
// are, and get all of them in the end.
func TestLastPlace(t *testing.T) {
	const loops, most, rounds = 4, 3, 20_000
	all := newTables(loops, 16)
	key := keys.Text("one")
	var in, high, got atomic.Int64
	var run sync.WaitGroup
	for i := range loops {
		run.Go(func() {
			a := New(all, i)
			for range rounds {
				if a.Enter(key, most) != Entered {
					continue
				}
				n := in.Add(1)
				for old := high.Load(); n > old && !high.CompareAndSwap(old, n); old = high.Load() {
				}
				got.Add(1)
				in.Add(-1)
				a.Leave(key)
			}
		})
	}
	run.Wait()
	if high.Load() > most || Sum(all, key) != 0 || got.Load() < rounds {
		t.Errorf("%d at once of %d, %d left over, %d of %d had their turn", high.Load(), most, Sum(all, key), got.Load(), loops*rounds)
	}
	for i := range most {
		if New(all, i).Enter(key, most) != Entered {
			t.Errorf("place %d is not to be had", i)
		}
	}
	if New(all, 3).Enter(key, most) != Over {
		t.Error("one too many")
	}
}

// TestReaders: a reader never takes the count of one key for that of another, while places
// change hands.
func TestReaders(t *testing.T) {
	all := newTables(2, 1)
	a, b := keys.Text("a"), keys.Text("b")
	stop := make(chan struct{})
	var run sync.WaitGroup
	run.Go(func() {
		own := New(all, 0)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 3 {
				own.Enter(a, 10)
			}
			for range 3 {
				own.Leave(a)
			}
			for i := range setOf { // take its place away
				own.Enter(keys.Text(fmt.Sprint("other", i)), 100)
			}
			for i := range setOf {
				own.Leave(keys.Text(fmt.Sprint("other", i)))
			}
		}
	})
	for range 100_000 {
		if n := Sum(all, b); n != 0 {
			t.Errorf("%d of a key that never came", n)
			break
		}
		if n := Sum(all, a); n > 3 {
			t.Errorf("%d of 3", n)
			break
		}
	}
	close(stop)
	run.Wait()
}

// TestKeys: a client is an address, or a network of 64 bits of IPv6.
func TestKeys(t *testing.T) {
	key := func(s string) uint64 { return keys.Client(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{{"1.2.3.4", "::ffff:1.2.3.4"}, {"2001:db8::1", "2001:db8::ffff:1"}, {"fe80::1", "fe80::1%eth0"}} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%s and %s are two clients", same[0], same[1])
		}
	}
	seen := map[uint64]string{}
	for i := range 1 << 16 {
		for _, s := range []string{fmt.Sprintf("10.0.%d.%d", i>>8, i&255), fmt.Sprintf("2001:db8:0:%x::1", i)} {
			k := key(s)
			if other := seen[k]; other != "" || k == 0 {
				t.Fatalf("%s has the key of %s", s, other)
			}
			seen[k] = s
		}
	}
	if k := NewKeys(bytes.Repeat([]byte{8}, 32)); k.Client(netip.MustParseAddr("1.2.3.4")) == key("1.2.3.4") {
		t.Error("keys do not depend on the secret")
	}
}

func BenchmarkTally(b *testing.B) {
	for _, loops := range []int{1, 8} {
		all := newTables(loops, 1<<12)
		key := keys.Client(netip.MustParseAddr("192.0.2.1"))
		for i := range loops {
			New(all, i).Enter(key, 100)
		}
		a := New(all, 0)
		b.Run(fmt.Sprintf("%d loops", loops), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Enter(key, 100)
				a.Leave(key)
			}
		})
	}
}
