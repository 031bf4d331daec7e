package upstream

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"lb/config"
	"lb/loop/tick"
)

// hashing sends the same key to the same backend, by Maglev's table (Eisenbud
// and others, NSDI 2016, 3.4): made from the names and weights of all backends
// of the configuration and nothing else, so machines agree without talking, as
// long as no operator changes a weight on one of them.
//
// The table does not change when a backend goes down. A key whose place belongs
// to one that may not be picked walks on to another place, which follows from
// the key: so only the keys of that backend move, all over the others by weight,
// and they are back when it is.
type hashing struct {
	table     []int32 // index of a backend
	factor    float64 // bound of a backend's load; 0: none
	allWeight uint64  // of the open ones
	weights   uint64  // of the roster, that table is made from
}

// tableSizes: a table has a hundred places for each backend, so that
// shares are right within a percent, up to the last size. There are few sizes,
// for a pool that outgrows one of them moves nearly all of its keys.
var tableSizes = []int{65537, 200003, 1000003}

const placesEach = 100

func newHashing(cfg config.Pool, r *roster) *hashing {
	h := &hashing{table: maglev(r.entries), factor: cfg.Hash.BalanceFactor}
	if h.factor > 0 {
		r.inFlight.counted = true
	}
	return h
}

// maglev fills a table: backends take turns by weight, and in each turn the next
// place of a walk of their own that is still free. A walk comes by the places by
// chance, where the paper's goes in equal steps: of two that go in steps one may
// follow the other for long, and then many keys move when one goes.
func maglev(entries []entry) []int32 {
	if len(entries) == 0 {
		return nil
	}
	size := tableSizes[len(tableSizes)-1]
	for _, s := range slices.Backward(tableSizes) {
		if s >= placesEach*len(entries) {
			size = s
		}
	}
	walks, turns := walksOf(entries)
	table := slices.Repeat([]int32{-1}, size)
	for filled := range size {
		w := &walks[filled%len(walks)] // each has a place at least
		if n := filled - len(walks); n >= 0 {
			w = &walks[turns[n%len(turns)]]
		}
		at := w.step(size)
		for table[at] >= 0 {
			at = w.step(size)
		}
		table[at] = w.index
	}
	return table
}

// walk is the order in which a backend comes by the places; by some again and again.
type walk struct {
	index int32
	name  string
	state uint64
}

func (w *walk) step(size int) int {
	w.state += prime1
	at, _ := bits.Mul64(avalanche(w.state), uint64(size))
	return int(at)
}

// walksOf returns the walks in the order of names, whatever that of the file,
// and the turns that they take: places in walks.
func walksOf(entries []entry) (walks []walk, turns []int32) {
	for i := range entries {
		name := entries[i].name
		walks = append(walks, walk{int32(i), name, xxhash.Sum64String(name)})
	}
	slices.SortFunc(walks, func(a, b walk) int { return cmp.Compare(a.name, b.name) })
	weights := make([]int, len(walks))
	for i, w := range walks {
		weights[i] = int(entries[w.index].weight)
	}
	return walks, smooth(shorten(weights))
}

func (h *hashing) renew(r *roster) {
	if h.weights != r.weights {
		h.table, h.weights = maglev(r.entries), r.weights
	}
	h.allWeight = 0
	for _, i := range r.open {
		h.allWeight += r.entries[i].weight
	}
}

// next follows the key; without one it is chance by weight.
func (h *hashing) next(r *roster, d draw) int {
	key := d.key
	if key == 0 {
		key = r.rand.Uint64()
	}
	if d.try == lookAhead-1 {
		return rendezvous(r, d.tried, key)
	}
	at, _ := bits.Mul64(avalanche(key+uint64(d.try)*prime1), uint64(len(h.table)))
	i := int(h.table[at])
	if !r.isOpen(i) || !r.admits(i, uint32(avalanche(key^uint64(i)*prime4)), d.now) {
		return pass
	}
	if h.factor > 0 && r.load(i)+1 > h.bound(r, i, d.now) {
		return pass
	}
	return i
}

// bound returns how many attempts may be at work at a backend: its share of all
// of them, times the factor.
func (h *hashing) bound(r *roster, i int, now tick.Instant) uint64 {
	all := float64(r.inFlight.sum(r, now) + 1)
	return uint64(math.Ceil(h.factor * all * float64(r.entries[i].weight) / float64(h.allWeight)))
}

// rendezvousMax is how many backends rendezvous compares.
const rendezvousMax = 256

// rendezvous is for keys that came by nothing but backends that are out, which
// means that few are left: of those it takes the one that goes best with the
// key, so that again only the keys of one that goes down move.
func rendezvous(r *roster, tried *Tried, key uint64) int {
	open := r.open
	if len(open) > rendezvousMax {
		at, _ := bits.Mul64(key, uint64(len(open)-rendezvousMax+1))
		open = open[at:][:rendezvousMax]
	}
	best, bestScore := pass, uint64(0)
	for _, i := range open {
		if score := avalanche(key ^ avalanche(uint64(i)+prime3)); score >= bestScore && !tried.Has(int(i)) {
			best, bestScore = int(i), score
		}
	}
	return best
}

// inFlight is the sum of the attempts at work at all backends that are open,
// over all loops. Adding it up reads a word of each backend and loop, so it is
// done now and then, and this loop's own attempts are added in between.
type inFlight struct {
	counted bool
	total   int64
	next    tick.Instant // when it is added up again
}

// sumEvery bounds what adding up costs to a small share of the loop's time,
// whatever the size of the pool: it is for each word that is read.
const sumEvery = 100 * time.Nanosecond

func (f *inFlight) sum(r *roster, now tick.Instant) int64 {
	if now >= f.next {
		f.total = 0
		for _, i := range r.open {
			f.total += int64(r.load(int(i)))
		}
		f.next = now.Add(time.Duration(len(r.open)*r.board.Loops()) * sumEvery)
	}
	return max(0, f.total)
}

func (f *inFlight) taken() {
	if f.counted {
		f.total++
	}
}

func (f *inFlight) released() {
	if f.counted {
		f.total--
	}
}
