package loop

import (
	"time"

	"lb/loop/tick"
)

const (
	// standstill is how much later than it asked for a turn begins if the loop, its
	// process or its machine stood still. Busy turns are far shorter.
	standstill = 100 * time.Millisecond
	// graceMax is how long deadlines rest after a standstill at most: peers may have
	// stood still as well, and their bytes may be on their way.
	graceMax = time.Second
	// holdsMax standstills in a row may add to the grace, so that deadlines still pass
	// on a loop whose every turn is one.
	holdsMax = 4
)

// verdict says which deadlines may be judged.
type verdict struct {
	due  tick.Instant // when this turn should have begun at the latest; 0: whenever
	read tick.Instant // what had come by then has been handled
	full int          // polls in a row that may have left events behind

	hold    tick.Instant // no deadline is judged before
	holds   int          // standstills since the last one was judged
	resumed tick.Instant // the end of the last standstill
}

// prepare decides which deadlines may be judged in a turn that got n events, and before
// which the clock was last read at asked. A deadline has passed only if it passed
// before the events were asked for. So what came in time has been handled, however
// long the thread stood still in between.
func (l *Loop) prepare(n int, asked tick.Instant) {
	v := &l.verdict
	if n < eventsMax-1 || v.full > l.conns/eventsMax { // the kernel may keep one place for itself
		v.read, v.full = asked, 0
	} else {
		v.full++
	}
	late := time.Duration(0)
	if v.due > 0 {
		late = l.now.Sub(v.due)
	}
	switch {
	case late >= standstill && v.holds < holdsMax:
		v.holds++
		v.resumed = l.now
		v.hold = l.now.Add(min(late, graceMax))
	case l.now >= v.hold:
		v.holds = 0
	}
}

// StoodStill reports whether the loop has stood still since the instant since: for a
// good part of the time that has passed, it could not see what its peers did.
func (l *Loop) StoodStill(since tick.Instant) bool { return since < l.verdict.resumed }
