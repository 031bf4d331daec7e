// Package tally counts how many of a kind there are at the moment, such as conns of one client
// or requests of one route, over all loops of a board. A kind is a key of 64 bits.
//
// Each loop counts in a table of its own, in which it alone writes, and a sum reads all of
// them. A loop that is killed leaves a table that Clear empties. A table is fixed memory: a
// key has its place in one of two lines, and a line takes eight. If both are full, which two
// choices make rare before a table is three quarters full, Enter says so, and nothing is
// counted.
package tally

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"lb/internal/invariant"
)

// lineWords is how many words a line has: a key and its count in turn.
const lineWords = 16

// tries is how often Enter tries again after it and another loop both wanted the last place,
// and both withdrew.
const tries = 3

// Tables are those of all loops. board.Board has them.
type Tables interface {
	// Loops returns how many tables there are.
	Loops() int
	// Tally returns that of a loop: a line whose first word is not 0 once the table is used,
	// and a power of 2 of lines.
	Tally(loop int) []uint64
}

// Tally counts for one loop, to which it belongs.
type Tally struct {
	all    Tables
	own    []uint64
	tables [][]uint64 // those there are, as far as they have been looked at
}

// New returns the tally of a loop.
func New(all Tables, loop int) *Tally { return &Tally{all: all, own: all.Tally(loop)} }

// Result is what Enter has done.
type Result uint8

// The results.
const (
	Entered Result = iota // it is counted
	Over                  // all loops together would have more than they may
	Full                  // there is no place for its key: it is not counted
)

// Enter counts one more of key, unless all loops together would have more than most. Leave
// ends that. key must not be 0.
//
// It raises its own word first and reads the sum afterwards, so of two loops that want the
// last place, the later one sees both; see board.Reserve.
func (t *Tally) Enter(key, most uint64) Result {
	at := t.place(key)
	if at < 0 {
		return Full
	}
	for range tries {
		atomic.AddUint64(&t.own[at+1], 1)
		if t.sum(key) <= most {
			return Entered
		}
		atomic.AddUint64(&t.own[at+1], ^uint64(0))
		if t.sum(key) >= most {
			return Over
		}
	}
	return Over
}

// Leave ends what Enter has counted.
func (t *Tally) Leave(key uint64) {
	at := find(t.own, key)
	invariant.Check(at >= 0 && t.own[at+1] > 0, "tally: Leave without Enter")
	if at >= 0 {
		atomic.AddUint64(&t.own[at+1], ^uint64(0))
	}
}

// sum is Sum for the loop of t.
func (t *Tally) sum(key uint64) (sum uint64) {
	for n := t.all.Loops(); len(t.tables) < n; { // it only grows
		t.tables = append(t.tables, t.all.Tally(len(t.tables)))
	}
	a, b := sets(t.own, key)
	for _, table := range t.tables {
		sum += count(table, a, b, key)
	}
	return sum
}

// Sum returns how many of key there are, over all loops. Anyone may call it.
func Sum(all Tables, key uint64) (sum uint64) {
	for i := range all.Loops() {
		table := all.Tally(i)
		a, b := sets(table, key)
		sum += count(table, a, b, key)
	}
	return sum
}

// count returns how many of key a table has, which is in one of the lines at a and b.
func count(table []uint64, a, b int, key uint64) uint64 {
	if atomic.LoadUint64(&table[0]) == 0 {
		return 0
	}
	at := search(table, a, key)
	if at < 0 {
		if at = search(table, b, key); at < 0 {
			return 0
		}
	}
	n := atomic.LoadUint64(&table[at+1])
	if atomic.LoadUint64(&table[at]) != key { // its loop has just given the place to another
		return 0
	}
	return n
}

// sets returns the first words of the two lines in which key may be.
func sets(table []uint64, key uint64) (a, b int) {
	mask := uint64(len(table)/lineWords) - 2
	i, j := key&mask, key>>32&mask
	if i == j {
		j ^= mask & 1
	}
	return int(i+1) * lineWords, int(j+1) * lineWords
}

// search returns the word of key in the line of table that begins at set, or -1.
func search(table []uint64, set int, key uint64) int {
	line := (*[lineWords]uint64)(table[set : set+lineWords])
	for i := 0; i < lineWords; i += 2 {
		if atomic.LoadUint64(&line[i]) == key {
			return set + i
		}
	}
	return -1
}

// find returns the word of key in table, or -1.
func find(table []uint64, key uint64) int {
	a, b := sets(table, key)
	if at := search(table, a, key); at >= 0 {
		return at
	}
	return search(table, b, key)
}

// place returns the word of key in the own table, which it takes if need be, or -1. Of two
// lines the emptier one gets a new key.
func (t *Tally) place(key uint64) int {
	if at := find(t.own, key); at >= 0 {
		return at
	}
	a, b := sets(t.own, key)
	at, most := -1, 0
	for _, set := range [...]int{a, b} {
		free, n := -1, 0
		for i := set; i < set+lineWords; i += 2 {
			if t.own[i+1] == 0 {
				free = i
				n++
			}
		}
		if n > most {
			at, most = free, n
		}
	}
	if at >= 0 {
		atomic.StoreUint64(&t.own[0], 1)
		atomic.StoreUint64(&t.own[at], key)
	}
	return at
}

// Clear empties the table of a loop that has ended.
func Clear(table []uint64) {
	if atomic.LoadUint64(&table[0]) == 0 {
		return
	}
	for i := range table {
		atomic.StoreUint64(&table[i], 0)
	}
}

// Keys makes keys that clients cannot foresee, so that none can fill a line on purpose.
type Keys struct{ a, b uint64 }

// NewKeys returns the keys that go with a secret of 16 bytes or more.
func NewKeys(secret []byte) Keys {
	return Keys{binary.LittleEndian.Uint64(secret), binary.LittleEndian.Uint64(secret[8:])}
}

// Client returns the key of the client at addr: its address, or of IPv6 the network of 64
// bits, of which one client has as many addresses as it likes. No two have the same.
func (k Keys) Client(addr netip.Addr) uint64 {
	addr = addr.Unmap()
	if addr.Is4() {
		b := addr.As4()
		return k.mix(0xffffffff<<32 | uint64(binary.BigEndian.Uint32(b[:]))) // no network of clients begins so
	}
	b := addr.As16()
	return k.mix(binary.BigEndian.Uint64(b[:]))
}

// Text returns the key of something that has a name.
func (k Keys) Text(name string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return k.mix(h)
}

// mix is a bijection, but for 0.
func (k Keys) mix(x uint64) uint64 {
	x += k.a
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x = x ^ x>>31 ^ k.b
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x ^= x >> 31
	return max(x, 1)
}
