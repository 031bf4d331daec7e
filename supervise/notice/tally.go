package notice

import (
	"time"

	"lb/loop/tick"
)

// Every is the least time between two lines about the same.
const Every = 10 * time.Second

// tally is what is known of one thing that is counted on the board, and what of it has
// been told.
type tally struct {
	seen        uint64 // the count, when it was last looked at
	untold      uint64
	since       time.Time // when the first that is untold came
	first, last string    // of those, in words
	told        tick.Instant
}

// look takes the present count. at and words are those of the last one.
func (t *tally) look(count uint64, at time.Time, words string) {
	if count < t.seen { // the place on the board has another owner
		t.seen = 0
	}
	n := count - t.seen
	t.seen = count
	if n == 0 {
		return
	}
	if t.untold == 0 {
		t.since, t.first = at, words
	}
	t.untold += n
	t.last = words
}

// due reports whether there is something to tell, and it is time.
func (t *tally) due(now tick.Instant, last bool) bool {
	return t.untold > 0 && (last || t.told == 0 || now.Sub(t.told) >= Every)
}

// taken notes that everything was told at now.
func (t *tally) taken(now tick.Instant) { t.untold, t.told = 0, now }

// sinceText returns the second in which the first that is untold came. The board has it to
// a millisecond.
func (t *tally) sinceText() string {
	return t.since.Round(time.Millisecond).Truncate(time.Second).Format(time.RFC3339)
}
