package upstream

import (
	"math"
	"math/bits"
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
	table     Table    // index of a backend
	names     []uint64 // hash of the name of each backend
	factor    float64  // bound of a backend's load; 0: none
	allWeight uint64   // sum over the open backends
	weights   uint64   // roster.weights that table was built from

	// moved is where the backends of table are now, -1 for those that are gone, or nil if
	// table is of this pool. See TablesFrom.
	moved  []int32
	asked  bool // for the table of this pool
	picked bool // something was picked from this pool
	ask    func(list []Share, take func(Table))
}

func newHashing(cfg config.Pool, r *roster) *hashing {
	h := &hashing{names: namesOf(r.entries), factor: cfg.Hash.BalanceFactor}
	if h.factor > 0 {
		r.inFlight.counted = true
	}
	return h
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

func (h *hashing) renew(r *roster) {
	h.picked = h.picked || !r.dry
	switch {
	case h.table == nil || h.weights != r.weights: // the first pick, or another weight
		h.table, h.moved, h.weights = MakeTable(sharesOf(r.entries), nil), nil, r.weights
	case h.moved != nil && !h.asked && !r.dry:
		h.askFor(r)
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
	if h.moved != nil {
		if i = int(h.moved[i]); i < 0 {
			return pass
		}
	}
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
