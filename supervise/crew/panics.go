package crew

import "time"

const (
	// A loop that has panicked more than panicsMax times within panicWindow is
	// replaced. The count on the board is looked at every panicLook.
	panicsMax   = 10
	panicWindow = time.Minute
	panicLook   = time.Second
)

// panicWatch knows how often a loop has panicked of late. The zero value begins
// with the first look.
type panicWatch struct{ seen []panicCount }

// panicCount is how many panics there had been at a time.
type panicCount struct {
	at    time.Time
	total uint64
}

// note takes the total of panics at now, and returns true when there were too
// many within the window before it.
func (w *panicWatch) note(now time.Time, total uint64) bool {
	if n := len(w.seen); n == 0 || w.seen[n-1].total != total {
		w.seen = append(w.seen, panicCount{now, total})
	}
	for len(w.seen) > 1 && now.Sub(w.seen[1].at) >= panicWindow { // the first is what there was before the window
		w.seen = w.seen[1:]
	}
	return total-w.seen[0].total > panicsMax
}
