package buckets

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// The places of the table.
const (
	placesMax  = 1 << 20
	ways       = 8 // places in a set
	placeWords = 2 // a key and its TAT
	setWords   = ways * placeWords
)

// skew is how much the clocks of two loops may differ, which read theirs once a turn: what is
// missing by an old clock has been taken by a newer one.
const skew = int64(time.Second)

// Rate says how a bucket fills. Times are in nanoseconds.
type Rate struct {
	Every int64 // from one token to the next, above 0
	Burst int64 // tokens in a full bucket, above 0
	// Most is how much may be missing, at least Every*Burst. What a TAT says beyond that is
	// not believed, so that a rate that has become faster does not wait for the old one.
	Most int64
}

// Table holds the buckets. Any loop or process may call all methods.
type Table struct {
	words  []uint64
	bits   uint      // of the number of sets
	secret [2]uint64 // decides which set a key belongs to; the second is odd
	lost   *uint64
}

// Taken is what Take did.
type Taken struct {
	OK   bool
	Wait int64 // until there is a token again, if OK is false
	Left int64 // whole tokens that are left
}

// Take takes a token out of the bucket of key, if it has one. Without a token it changes
// nothing. now is the moment on the clock of the board. key must not be 0.
func (t *Table) Take(key uint64, r *Rate, now int64) Taken {
	full := r.Every * (r.Burst - 1) // with more than this missing there is no token
	for {
		at := t.find(key)
		if at < 0 {
			t.claim(key, now)
			continue
		}
		tat := atomic.LoadUint64(&t.words[at+1])
		missing := max(0, int64(tat)-now)
		if missing > r.Most+skew {
			atomic.CompareAndSwapUint64(&t.words[at+1], tat, uint64(now+r.Most))
			continue
		}
		if missing > full {
			return Taken{Wait: missing - full}
		}
		if !atomic.CompareAndSwapUint64(&t.words[at+1], tat, uint64(now+missing+r.Every)) {
			continue
		}
		if atomic.LoadUint64(&t.words[at]) == key {
			return Taken{OK: true, Left: (full - missing) / r.Every}
		}
		atomic.AddUint64(&t.words[at+1], -uint64(r.Every)) // it was another bucket by then
	}
}

// Refund gives back a token that Take has taken.
func (t *Table) Refund(key uint64, r *Rate) {
	if at := t.find(key); at >= 0 {
		atomic.AddUint64(&t.words[at+1], -uint64(r.Every))
	}
}

// Look returns what Take would return, and changes nothing.
func (t *Table) Look(key uint64, r *Rate, now int64) Taken {
	full, missing := r.Every*(r.Burst-1), t.Missing(key, now)
	if missing > r.Most+skew {
		missing = r.Most
	}
	if missing > full {
		return Taken{Wait: missing - full}
	}
	return Taken{OK: true, Left: (full - missing) / r.Every}
}

// Missing returns how much of the bucket is missing at now, as the time in which it comes
// back.
func (t *Table) Missing(key uint64, now int64) int64 {
	at := t.find(key)
	if at < 0 {
		return 0
	}
	return max(0, int64(atomic.LoadUint64(&t.words[at+1]))-now)
}

// Raise makes at least missing be missing at now.
func (t *Table) Raise(key uint64, missing, now int64) {
	at := t.find(key)
	for ; at < 0 && missing > 0; at = t.find(key) {
		t.claim(key, now)
	}
	if at >= 0 {
		t.raise(at, now+missing)
	}
}

// set returns the first word of the set of key. It depends on the secret, so that clients
// that know how keys are made cannot aim at a set.
func (t *Table) set(key uint64) int {
	high, low := bits.Mul64(key^t.secret[0], t.secret[1])
	return int((high^low)>>(64-t.bits)) * setWords
}

// find returns the first word of the place of key, or -1.
func (t *Table) find(key uint64) int {
	set := t.set(key)
	for at := set; at < set+setWords; at += placeWords {
		if atomic.LoadUint64(&t.words[at]) == key {
			return at
		}
	}
	return -1
}

// claim gives key the place with the smallest TAT of its set, unless the set has changed
// meanwhile. The caller looks for key again in any case.
func (t *Table) claim(key uint64, now int64) {
	set := t.set(key)
	at, least := set, int64(math.MaxInt64)
	for i := set; i < set+setWords; i += placeWords {
		tat := int64(atomic.LoadUint64(&t.words[i+1]))
		if atomic.LoadUint64(&t.words[i]) == 0 {
			tat = math.MinInt64
		}
		if tat < least {
			at, least = i, tat
		}
	}
	old, tat := atomic.LoadUint64(&t.words[at]), atomic.LoadUint64(&t.words[at+1])
	if int64(tat) > now {
		if old != 0 && int64(tat) != least || !atomic.CompareAndSwapUint64(&t.words[at+1], tat, 0) {
			return
		}
		if old != 0 {
			atomic.AddUint64(t.lost, 1)
		}
	}
	if old != key && atomic.CompareAndSwapUint64(&t.words[at], old, key) {
		t.unite(key, set)
	}
}

// unite leaves one place of a set with key, if two loops have claimed two at the same time:
// the first one, where find looks first.
func (t *Table) unite(key uint64, set int) {
	first := -1
	for at := set; at < set+setWords; at += placeWords {
		switch {
		case atomic.LoadUint64(&t.words[at]) != key:
		case first < 0:
			first = at
		default:
			tat := int64(atomic.LoadUint64(&t.words[at+1]))
			if atomic.CompareAndSwapUint64(&t.words[at], key, 0) {
				t.raise(first, tat)
			}
		}
	}
}

// raise makes the TAT of a place at least tat.
func (t *Table) raise(at int, tat int64) {
	for {
		old := atomic.LoadUint64(&t.words[at+1])
		if int64(old) >= tat || atomic.CompareAndSwapUint64(&t.words[at+1], old, uint64(tat)) {
			return
		}
	}
}
