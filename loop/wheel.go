package loop

import (
	"math/bits"
	"time"

	"lb/internal/invariant"
	"lb/loop/tick"
)

const (
	// bucketWidth is how late a timer may fire, in addition to the length of a turn.
	bucketWidth = 8 * time.Millisecond
	// bucketCount buckets give a horizon of about 33 s. Later deadlines wait in the
	// furthest bucket and are placed again from there.
	bucketCount = 4096

	entryNone tick.Instant = 0  // not in the wheel
	entryDue  tick.Instant = -1 // in the due list
)

// wheel holds timers by when to look at them, each in the first bucket that begins
// at or after its deadline, so none fires early.
type wheel struct {
	heads   [bucketCount]*Timer
	filled  [bucketCount / 64]uint64 // one bit for each bucket: it is not empty
	summary uint64                   // one bit for each word of filled: it is not zero
	pos     int64                    // number of the last bucket collected
	due     *Timer                   // taken from their buckets but not yet called
	len     int
}

// arm sets t's deadline. t moves only if the deadline is earlier than its bucket.
func (w *wheel) arm(t *Timer, at tick.Instant) {
	invariant.Check(at > 0, "loop: deadline not above zero")
	t.deadline = at
	switch {
	case t.entry == entryNone:
		w.place(t)
	case at <= t.entry.Add(-bucketWidth):
		w.unlink(t)
		w.place(t)
	}
}

// disarm removes t from wherever it is.
func (w *wheel) disarm(t *Timer) {
	t.deadline = 0
	if t.entry != entryNone {
		w.unlink(t)
	}
}

// place links t into the bucket for its deadline.
func (w *wheel) place(t *Timer) {
	number := int64(t.deadline-1)/int64(bucketWidth) + 1
	number = min(max(number, w.pos+1), w.pos+bucketCount)
	t.entry = tick.Instant(number * int64(bucketWidth))
	i := uint(number) % bucketCount
	w.filled[i/64] |= 1 << (i % 64)
	w.summary |= 1 << (i / 64)
	push(&w.heads[i], t)
	w.len++
}

func push(head **Timer, t *Timer) {
	t.prev, t.next = nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
}

// unlink takes t out of its bucket or the due list.
func (w *wheel) unlink(t *Timer) {
	if t.next != nil {
		t.next.prev = t.prev
	}
	switch {
	case t.prev != nil:
		t.prev.next = t.next
	case t.entry == entryDue:
		w.due = t.next
	default:
		i := uint(int64(t.entry)/int64(bucketWidth)) % bucketCount
		w.heads[i] = t.next
		if t.next == nil {
			w.empty(i)
		}
	}
	t.next, t.prev, t.entry = nil, nil, entryNone
	w.len--
}

// empty records that bucket i has no timers left.
func (w *wheel) empty(i uint) {
	if w.filled[i/64] &^= 1 << (i % 64); w.filled[i/64] == 0 {
		w.summary &^= 1 << (i / 64)
	}
}

// collect moves every bucket due at now to the due list. Timers are placed again
// only afterwards, because the furthest bucket may be one that is emptied here.
func (w *wheel) collect(now tick.Instant) {
	last := int64(now) / int64(bucketWidth)
	if last <= w.pos {
		return
	}
	for number := w.next(); number >= 0 && number <= last; number = w.next() {
		i := uint(number) % bucketCount
		for t := w.heads[i]; t != nil; t = w.heads[i] {
			w.heads[i] = t.next
			t.entry = entryDue
			push(&w.due, t)
		}
		w.empty(i)
	}
	w.pos = last
}

// pop removes and returns the next timer whose deadline has passed, or nil if there
// is none. Call collect first, once per turn.
func (w *wheel) pop(now tick.Instant) *Timer {
	for t := w.due; t != nil; t = w.due {
		w.unlink(t)
		if t.deadline <= now {
			t.deadline = 0
			return t
		}
		w.place(t)
	}
	return nil
}

// next returns the number of the first bucket that is not empty, or -1.
func (w *wheel) next() int64 {
	if w.summary == 0 {
		return -1
	}
	from := uint(w.pos+1) % bucketCount
	i := w.after(from)
	return w.pos + 1 + int64((i-from)%bucketCount)
}

// after returns the index of the first filled bucket at or after from, wrapping
// around. One must be filled.
func (w *wheel) after(from uint) uint {
	word := from / 64
	if b := w.filled[word] >> (from % 64); b != 0 {
		return from + uint(bits.TrailingZeros64(b))
	}
	rest := w.summary &^ (1<<(word+1) - 1)
	if rest == 0 {
		rest = w.summary // wrapped around; from's own word comes last
	}
	word = uint(bits.TrailingZeros64(rest))
	return word*64 + uint(bits.TrailingZeros64(w.filled[word]))
}

// wakeAt returns when the wheel must be looked at next, or 0 for never.
func (w *wheel) wakeAt() tick.Instant {
	if number := w.next(); number >= 0 {
		return tick.Instant(number * int64(bucketWidth))
	}
	return 0
}
