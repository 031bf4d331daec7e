package crew

import "time"

const (
	// A loop that has panicked more than panicsMax times within panicWindow is
	// replaced. The count on the board is looked at every panicLook.
	panicsMax   = 10
	panicWindow = time.Minute
	panicLook   = time.Second
)

// panicWatch keeps how often a loop has panicked of late. The zero value begins with
// the first look.
type panicWatch struct{ seen []panicCount }

// panicCount is the total of panics at a time.
type panicCount struct {
	at    time.Time
	total uint64
}

// note adds the total of panics at now, and returns true if there were too many
// within the window before now.
func (w *panicWatch) note(now time.Time, total uint64) bool {
	if n := len(w.seen); n == 0 || w.seen[n-1].total != total {
		w.seen = append(w.seen, panicCount{now, total})
	}
	for len(w.seen) > 1 && now.Sub(w.seen[1].at) >= panicWindow { // the first is what there was before the window
		w.seen = w.seen[1:]
	}
	return total-w.seen[0].total > panicsMax
}
