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

// hashing sends the same key to the same backend, by a Maglev table (Eisenbud et
// al., NSDI 2016, section 3.4). The table follows from the names and weights of all
// configured backends alone, so machines agree without talking, unless an operator
// changes a weight on one of them.
//
// The table does not change when a backend goes down. A key whose backend may not
// be picked tries further places, which follow from the key. So only the keys of
// that backend move, spread over the others by weight, and they return when it
// does.
type hashing struct {
	table     []int32  // index of a backend
	names     []uint64 // hash of the name of each backend
	factor    float64  // bound of a backend's load; 0: none
	allWeight uint64   // sum over the open backends
	weights   uint64   // roster.weights that table was built from
}

// tableSizes are the sizes of a table: the smallest that has 100 places for each
// backend, so that shares are right within 1 %, or the largest. There are few sizes
// because nearly all keys move when a pool grows out of one.
var tableSizes = []int{65537, 200003, 1000003}

const placesEach = 100

func newHashing(cfg config.Pool, r *roster) *hashing {
	h := &hashing{names: namesOf(r.entries), factor: cfg.Hash.BalanceFactor}
	if h.factor > 0 {
		r.inFlight.counted = true
	}
	return h
}

// Table is what a pool with the strategy hash goes by. It takes milliseconds to make, and may
// be shared by the pools of several loops.
type Table []int32

// TableOf returns the table of cfg, or nil if it needs none.
func TableOf(cfg *config.Pool) Table {
	if cfg.Strategy != config.HashOnKey {
		return nil
	}
	entries := make([]entry, len(cfg.Backends))
	for i, b := range cfg.Backends {
		entries[i].name, entries[i].weight = b.String(), uint64(max(1, b.Weight))
	}
	return maglev(entries)
}

// UseTable gives p, from which nothing was picked yet, the table of its configuration. It is
// of no use, and not taken, if a weight was changed at run time.
func (p *Pool[C]) UseTable(t Table) {
	h, ok := p.roster.picker.(*hashing)
	if ok && !slices.ContainsFunc(p.roster.entries, func(e entry) bool { return e.weight != e.given }) {
		h.table = t
	}
}

// namesOf returns the hash of each name. Indexes would not do: machines that find backends
// for themselves may have them in another order.
func namesOf(entries []entry) []uint64 {
	names := make([]uint64, len(entries))
	for i := range entries {
		names[i] = xxhash.Sum64String(entries[i].name)
	}
	return names
}

// maglev fills a table: backends take turns by weight, and in each turn take the
// next free place of a pseudo-random walk of their own. The paper walks in equal
// steps; there one walk may follow another for long, and when the first backend
// goes, many keys move.
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
		w := &walks[filled%len(walks)] // the first turn of each backend: all get at least one place
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

// walk is the order in which a backend visits the places, some of them repeatedly.
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

// walksOf returns the walks sorted by name, so that the order of the file does not
// matter, and the turns that they take, as indexes into walks.
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
	} else if h.table == nil { // the first pick
		h.table = maglev(r.entries)
	}
	h.allWeight = 0
	for _, i := range r.open {
		h.allWeight += r.entries[i].weight
	}
}

// next picks by the key, or by weight at random if there is none.
func (h *hashing) next(r *roster, d draw) int {
	key := d.key
	if key == 0 {
		key = r.rand.Uint64()
	}
	if d.try == lookAhead-1 {
		return h.rendezvous(r, d.tried, key)
	}
	at, _ := bits.Mul64(avalanche(key+uint64(d.try)*prime1), uint64(len(h.table)))
	i := int(h.table[at])
	if !r.isOpen(i) || !r.admits(i, uint32(avalanche(key^h.names[i]*prime4)), d.now) {
		return pass
	}
	if h.factor > 0 && r.load(i)+1 > h.bound(r, i, d.now) {
		return pass
	}
	return i
}

// bound returns how many attempts may be active at a backend: its share by weight
// of all active ones, times the factor.
func (h *hashing) bound(r *roster, i int, now tick.Instant) uint64 {
	all := float64(r.inFlight.sum(r, now) + 1)
	return uint64(math.Ceil(h.factor * all * float64(r.entries[i].weight) / float64(h.allWeight)))
}

// rendezvousMax is how many backends rendezvous compares.
const rendezvousMax = 256

// rendezvous picks for keys whose walk met no usable backend, which means that few
// are left. Of those it takes the one that scores highest with the key, so that
// again only the keys of a backend that goes down move.
func (h *hashing) rendezvous(r *roster, tried *Tried, key uint64) int {
	open := r.open
	if len(open) > rendezvousMax {
		at, _ := bits.Mul64(key, uint64(len(open)-rendezvousMax+1))
		open = open[at:][:rendezvousMax]
	}
	best, bestScore := pass, uint64(0)
	for _, i := range open {
		if score := avalanche(key ^ avalanche(h.names[i]+prime3)); score >= bestScore && !tried.Has(int(i)) {
			best, bestScore = int(i), score
		}
	}
	return best
}

// inFlight is the number of active attempts at all open backends, over all loops.
// The sum reads one word for each backend and loop, so it is renewed only now and
// then; in between, this loop adds its own attempts.
type inFlight struct {
	counted bool
	total   int64
	next    tick.Instant // when the sum is renewed
}

// sumEvery is the time between two sums for each word that a sum reads. It keeps
// the cost a small share of the loop's time, whatever the size of the pool.
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
