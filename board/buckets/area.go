package buckets

import (
	"math/bits"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// The words of an area, in order: a head; the limits whose counts it has, by the hash of
// their names; for each loop its counts and its notes; and the table. Each begins on a line
// of its own, see package board.
const (
	lineWords = 16
	headWords = lineWords // the first word counts lost states
	limitsMax = 256
	notesMax  = 1 << 14
	noteWords = 2
	notesHead = 2 * lineWords // the number of the next note, that of the next to be read, and how many were lost
)

// Shape is the size of an area.
type Shape struct {
	Loops int
	// Shrink makes it smaller, by powers of 2: for boards of tests, which make thousands.
	Shrink int
}

func (s Shape) limits() int { return limitsMax >> s.Shrink }
func (s Shape) notes() int  { return notesMax >> (2 * s.Shrink) }
func (s Shape) places() int { return placesMax >> (3 * s.Shrink) }
func (s Shape) countWords() int {
	return (s.limits()*countWords + lineWords - 1) / lineWords * lineWords
}
func (s Shape) loopWords() int { return s.countWords() + notesHead + s.notes()*noteWords }
func (s Shape) loopStart(loop int) int {
	return headWords + (s.limits()+lineWords-1)/lineWords*lineWords + loop*s.loopWords()
}

// Words returns how many words an area takes.
func (s Shape) Words() int { return s.loopStart(s.Loops) + s.places()*placeWords }

// Area is a view of the words.
type Area struct {
	Table
	shape Shape
	all   []uint64
}

// Of returns the view of words, which are s.Words() many and zero at first. secret is known
// to lb alone, and the same for all views.
func Of(words []uint64, s Shape, secret [2]uint64) *Area {
	table := words[s.loopStart(s.Loops):s.Words()]
	return &Area{shape: s, all: words, Table: Table{
		words:  table,
		bits:   uint(bits.Len(uint(s.places()/ways))) - 1,
		secret: [2]uint64{secret[0], secret[1] | 1},
		lost:   &words[0],
	}}
}

// Lost returns how many buckets had to give way that were not full.
func (a *Area) Lost() uint64 { return atomic.LoadUint64(&a.all[0]) }

// Limit returns the number of the limit with that name, which stays as long as the area. If
// there are too many names, the last ones share a number.
func (a *Area) Limit(name string) int {
	hash := max(1, xxhash.Sum64String(name))
	last := a.shape.limits() - 1
	for i := range last {
		w := &a.all[headWords+i]
		if atomic.LoadUint64(w) == hash || atomic.CompareAndSwapUint64(w, 0, hash) || atomic.LoadUint64(w) == hash {
			return i
		}
	}
	return last
}

// Counts are the counts of one limit in one loop. Only that loop adds to them.
type Counts struct {
	Passed  uint64 // requests
	Refused uint64
	Spared  uint64 // those that would have been refused, but for dry_run
}

// countWords is the size of Counts, rounded up.
const countWords = 4

// counts returns the words of Counts.
func (a *Area) counts(loop, limit int) []uint64 {
	at := a.shape.loopStart(loop) + limit*countWords
	return a.all[at : at+countWords]
}

// Totals returns the counts of a limit over all loops.
func (a *Area) Totals(limit, loops int) (c Counts) {
	for loop := range loops {
		w := a.counts(loop, limit)
		c.Passed += atomic.LoadUint64(&w[passed])
		c.Refused += atomic.LoadUint64(&w[refused])
		c.Spared += atomic.LoadUint64(&w[spared])
	}
	return c
}

const (
	passed = iota
	refused
	spared
)

// Counter adds to the counts of one limit in one loop.
type Counter struct{ words []uint64 }

// Counter returns the counter of a limit for a loop, which alone may use it.
func (a *Area) Counter(loop, limit int) Counter { return Counter{a.counts(loop, limit)} }

// Pass counts a request that passed.
func (c Counter) Pass() { c.add(passed) }

// Refuse counts a request that was refused.
func (c Counter) Refuse() { c.add(refused) }

// Spare counts a request that would have been refused.
func (c Counter) Spare() { c.add(spared) }

func (c Counter) add(i int) { atomic.StoreUint64(&c.words[i], c.words[i]+1) }
