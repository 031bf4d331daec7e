package health

import "time"

// A process that stands still (SIGSTOP, a frozen cgroup, a machine that is moved) finds
// its deadlines past when it goes on, though the answers have come in time. So a probe
// that fails during which this process stood still says nothing, and is made again.

const (
	// againMax is how many probes in a row are not counted. On a machine that stands
	// still all the time, backends that are down are found down nevertheless.
	againMax = 3
	// A process stands still if it does not run for this part of a probe's timeout.
	standstillPart = 4
	standstillMin  = 50 * time.Millisecond
	// How often it looks, in parts of that.
	looks = 4
)

// gaps notices that there was too long a time between two looks at the clock.
type gaps struct {
	max  time.Duration
	last time.Time
	seen bool
}

// look is called again and again. Wall time counts too: the other clock does not go on
// while a machine is suspended.
func (g *gaps) look(now time.Time) {
	gap := max(now.Sub(g.last), now.Round(0).Sub(g.last.Round(0)))
	g.seen = g.seen || gap > g.max
	g.last = now
}

// watch is watchStandstill, except in tests.
var watch = watchStandstill

// watchStandstill begins to look at the clock, for a probe with this timeout. stop ends
// that, and reports whether this process stood still meanwhile.
func watchStandstill(timeout time.Duration) (stop func() bool) {
	limit := max(timeout/standstillPart, standstillMin)
	g := gaps{max: limit + limit/looks, last: time.Now()}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(limit / looks)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				g.look(time.Now()) // not the ticker's time, which may be old
			case <-done:
				return
			}
		}
	}()
	return func() bool {
		close(done)
		<-ended
		g.look(time.Now())
		return g.seen
	}
}
