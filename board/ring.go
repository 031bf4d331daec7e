package board

import (
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// How many entries the rings of a loop keep.
const (
	FaultsKept = 256 // exchanges that failed or were slow
	TapsKept   = 64  // exchanges that the tap takes
	SpansKept  = 256 // exchanges whose trace is sampled
)

// kept are the lengths of the rings of a loop, in their order.
var kept = [...]int{FaultsKept, TapsKept, SpansKept}

// EntryMax is the length of the longest entry of a ring, in bytes.
const EntryMax = entryBytes - entryHead*wordBytes

const (
	entryBytes = 4096
	entryWords = entryBytes / wordBytes
	// entryHead is the number of words before the text: the number of the entry plus one,
	// its length in bytes, the hash of all of that.
	entryHead = 4
)

// Ring keeps the last entries that one loop has put into it. Any goroutine or process may
// read it; the loop never waits for a reader. An entry that is being overwritten while it
// is read, or that a loop has left incomplete when it was killed, does not have its hash.
type Ring struct {
	next    *uint64  // number of the next entry
	entries []uint64 // entryWords each
}

// ringOf returns the ring in words.
func ringOf(words []uint64) *Ring { return &Ring{next: &words[0], entries: words[lineWords:]} }

// FaultRing returns the loop's exchanges that failed or were slow. The ring is valid as
// long as the board. It panics if the slot was never claimed.
func (b *Board) FaultRing(loop int) *Ring { return b.ring(loop, 0) }

// TapRing is FaultRing for the exchanges that the tap takes.
func (b *Board) TapRing(loop int) *Ring { return b.ring(loop, 1) }

// SpanRing is FaultRing for the exchanges whose trace is sampled.
func (b *Board) SpanRing(loop int) *Ring { return b.ring(loop, 2) }

// ring returns the loop's ring of that kind.
func (b *Board) ring(loop, kind int) *Ring {
	words := b.rings(loop)[b.room.logWords():]
	for _, n := range kept[:kind] {
		words = words[b.room.ringWords(n):]
	}
	return ringOf(words[:b.room.ringWords(kept[kind])])
}

func (b *Board) rings(loop int) []uint64 {
	b.checkLoop(loop)
	return b.words[b.room.ringsStart(loop):b.room.ringsStart(loop+1)]
}

// Put appends an entry, in the place of the oldest one. What is longer than EntryMax is
// cut. Only the loop may call it. It does not allocate.
func (r *Ring) Put(entry []byte) {
	number := *r.next
	words := r.slot(number)
	entry = entry[:min(len(entry), EntryMax)]
	store(&words[2], 0) // what stands there is no entry any longer
	store(&words[0], number+1)
	store(&words[1], uint64(len(entry)))
	storeBytes(words[entryHead:], entry)
	store(&words[2], sumOf(number, entry))
	atomic.StoreUint64(r.next, number+1)
}

// slot returns the words of the entry of that number.
func (r *Ring) slot(number uint64) []uint64 {
	at := int(number%r.kept()) * entryWords
	return r.entries[at : at+entryWords]
}

// kept returns how many entries the ring keeps.
func (r *Ring) kept() uint64 { return uint64(len(r.entries) / entryWords) }

// Next returns the number of the next entry: a reader that begins there gets only what is
// put from now on. Numbers count from 0 over the life of the board.
func (r *Ring) Next() uint64 { return atomic.LoadUint64(r.next) }

// Read calls f for each entry from the number from on that is still there, the oldest
// first, and returns the number to read from next, and how many entries are lost. The
// entry is valid during the call.
func (r *Ring) Read(from uint64, f func(number uint64, entry []byte)) (next, lost uint64) {
	next = r.Next()
	first := from
	if next > r.kept() {
		first = max(from, next-r.kept())
	}
	if first > next { // another board, or another ring
		return next, 0
	}
	lost = first - from
	var text [EntryMax]byte
	for number := first; number < next; number++ {
		words := r.slot(number)
		size := atomic.LoadUint64(&words[1])
		if atomic.LoadUint64(&words[0]) != number+1 || size > EntryMax {
			lost++
			continue
		}
		sum := atomic.LoadUint64(&words[2])
		loadBytes(text[:size], words[entryHead:])
		if sum != sumOf(number, text[:size]) {
			lost++
			continue
		}
		f(number, text[:size])
	}
	return next, lost
}

// sumOf returns the hash of an entry, which is never 0.
func sumOf(number uint64, entry []byte) uint64 {
	return (xxhash.Sum64(entry) ^ (number * 0x9e3779b97f4a7c15)) | 1
}
