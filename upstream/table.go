package upstream

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Table is what a pool with the strategy hash goes by. It may be shared by the pools of
// several loops.
type Table []int32

// Share is a backend as a table knows it.
type Share struct {
	Name   string
	Weight uint64
}

// tableSizes are the sizes of a table: the smallest that has 100 places for each
// backend, so that shares are right within 1 %, or the largest. There are few sizes
// because nearly all keys move when a pool grows out of one.
var tableSizes = []int{65537, 200003, 1000003}

const placesEach = 100

// restEvery is after how many tries for a place MakeTable rests.
const restEvery = 1 << 15

// MakeTable fills a table: backends take turns by weight, and in each turn take the
// next free place of a pseudo-random walk of their own. The paper walks in equal
// steps; there one walk may follow another for long, and when the first backend
// goes, many keys move.
//
// It takes milliseconds, and calls rest, unless that is nil, many times in between.
func MakeTable(list []Share, rest func()) Table {
	if len(list) == 0 {
		return nil
	}
	size := tableSizes[len(tableSizes)-1]
	for _, s := range slices.Backward(tableSizes) {
		if s >= placesEach*len(list) {
			size = s
		}
	}
	walks, turns := walksOf(list)
	table, taken := make(Table, size), make([]uint64, size/64+1)
	tries := 0
	for filled := range size {
		w := &walks[filled%len(walks)] // the first turn of each backend: all get at least one place
		if n := filled - len(walks); n >= 0 {
			w = &walks[turns[n%len(turns)]]
		}
		at := w.step(size)
		for taken[at/64]>>(at%64)&1 != 0 {
			at = w.step(size)
			tries++
		}
		taken[at/64] |= 1 << (at % 64)
		table[at] = w.index
		if tries++; tries >= restEvery && rest != nil {
			tries = 0
			rest()
		}
	}
	return table
}

// walk is the order in which a backend visits the places, some of them repeatedly.
type walk struct {
	index int32
	name  string
	state uint64
}

func (w *walk) step(size int) uint {
	w.state += prime1
	at, _ := bits.Mul64(avalanche(w.state), uint64(size))
	return uint(at)
}

// walksOf returns the walks sorted by name, so that the order of the file does not
// matter, and the turns that they take, as indexes into walks.
func walksOf(list []Share) (walks []walk, turns []int32) {
	for i := range list {
		walks = append(walks, walk{int32(i), list[i].Name, xxhash.Sum64String(list[i].Name)})
	}
	slices.SortFunc(walks, func(a, b walk) int { return cmp.Compare(a.name, b.name) })
	weights := make([]int, len(walks))
	for i, w := range walks {
		weights[i] = int(list[w.index].Weight)
	}
	return walks, smooth(shorten(weights))
}

func sharesOf(entries []entry) []Share {
	list := make([]Share, len(entries))
	for i := range entries {
		list[i] = Share{entries[i].name, entries[i].weight}
	}
	return list
}

// TablesFrom has p ask for its table, instead of making it at the first pick, if it goes on
// where another pool is (ContinueFrom) of which at least half stays: at once if that one was
// picked from, else at the first pick. Until take is called, which has to be on the loop, p
// goes by that pool's table: keys of backends that are gone have others.
func (p *Pool[C]) TablesFrom(ask func(list []Share, take func(Table))) {
	if h, ok := p.roster.picker.(*hashing); ok {
		h.ask = ask
	}
}

// goOn has h, the picker of r, go by the table of old, if that is of use.
func (h *hashing) goOn(old *hashing, r *roster) {
	if h.ask == nil || old.table == nil {
		return
	}
	at := make(map[uint64]int32, len(h.names))
	for i, name := range h.names {
		at[name] = int32(i)
	}
	of := make([]int32, len(old.names)) // by index in old
	for i, name := range old.names {
		of[i] = pass
		if k, ok := at[name]; ok {
			of[i] = k
		}
	}
	moved := of
	if old.moved != nil {
		moved = slices.Clone(old.moved)
		for i, k := range moved {
			if k >= 0 {
				moved[i] = of[k]
			}
		}
	}
	stay := 0
	for _, k := range moved {
		if k >= 0 {
			stay++
		}
	}
	if 2*stay >= len(moved) && 2*stay >= len(h.names) {
		h.table, h.moved = old.table, moved
		if old.picked {
			h.askFor(r)
		}
	}
}

// askFor asks for the table of h, the picker of r.
func (h *hashing) askFor(r *roster) {
	h.asked = true
	h.ask(sharesOf(r.entries), h.takerOf(h.weights))
}

// takerOf returns what gives h the table that was made with these weights.
func (h *hashing) takerOf(weights uint64) func(Table) {
	return func(t Table) {
		if h.moved != nil && h.weights == weights {
			h.table, h.moved = t, nil
		}
	}
}
