package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
)

// stickyBytes is how much of the HMAC a cookie carries: enough that nobody guesses
// it.
const stickyBytes = 16

// stickyLen is the length of a cookie's value in characters.
const stickyLen = (stickyBytes*8 + 5) / 6

// StickyValue returns the value of the cookie that leads back to a backend: a
// truncated HMAC-SHA256 of pool and backend under key. It reveals nothing about the
// backend, cannot be made without the key, and stays the same after a reload, on
// every machine, and whatever else is in the pool.
func StickyValue(key []byte, pool, backend string) string {
	mac := hmac.New(sha256.New, key)
	var length [8]byte // so that no two pairs of names give the same input
	binary.LittleEndian.PutUint64(length[:], uint64(len(pool)))
	mac.Write(length[:])
	mac.Write([]byte(pool))
	mac.Write([]byte(backend))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:stickyBytes])
}

// UseSticky gives each backend its cookie value, by which Pick then finds it.
func (p *Pool[C]) UseSticky(key []byte) {
	values := make([]string, len(p.Backends))
	for i, b := range p.Backends {
		values[i] = StickyValue(key, p.Name, b.Name)
	}
	p.roster.sticky = newStickyTable(values)
}

// Sticky returns the value of the cookie that leads back to a backend, or "" before
// UseSticky.
func (p *Pool[C]) Sticky(index int) string {
	if p.roster.sticky.values == nil {
		return ""
	}
	return p.roster.sticky.values[index]
}

// stickyTable finds a backend by its cookie value: a hash table with open
// addressing, at least twice as large as the pool. The value is random, so it
// serves as its own hash.
type stickyTable struct {
	values []string // by index
	places []int32  // index + 1; 0: free
}

func newStickyTable(values []string) stickyTable {
	size := 2
	for size < 2*len(values) {
		size *= 2
	}
	t := stickyTable{values: values, places: make([]int32, size)}
	for i, v := range values {
		at := t.place([]byte(v))
		for t.places[at] != 0 {
			at = (at + 1) % size
		}
		t.places[at] = int32(i) + 1
	}
	return t
}

// find returns the index of the backend with this value; ok is false if there is
// none, as for a made-up value.
func (t *stickyTable) find(value []byte) (index int, ok bool) {
	if len(value) != stickyLen || len(t.places) == 0 {
		return 0, false
	}
	for at := t.place(value); t.places[at] != 0; at = (at + 1) % len(t.places) {
		i := int(t.places[at]) - 1
		if subtle.ConstantTimeCompare([]byte(t.values[i]), value) == 1 {
			return i, true
		}
	}
	return 0, false
}

// place returns where the search for a value of stickyLen characters begins.
func (t *stickyTable) place(value []byte) int {
	return int(avalanche(binary.LittleEndian.Uint64(value)) % uint64(len(t.places)))
}
