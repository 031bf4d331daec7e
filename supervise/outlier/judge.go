package outlier

import (
	"slices"
	"time"

	"lb/board"
	"lb/config/health"
	"lb/loop/tick"
)

// point is what the counters of a backend showed at a moment, over all loops.
type point struct {
	at           tick.Instant
	replies, bad uint64 // final answers that were passed on; those of 5xx
	statuses     uint64 // answers of a status that is a fault, or that was asked for again
	firstBytes   uint64 // see board.FirstBytesOf
}

func pointOf(b *board.Board, id int, now tick.Instant) point {
	t := b.BackendTotals(id)
	return point{at: now, replies: t.Requests(), bad: t.Replies[5-2], statuses: b.State(id).StatusFaults.Load(), firstBytes: t.FirstBytes}
}

// course is what one backend did in the last window.
type course struct {
	name   string
	points []point // oldest first
}

// seen is what a backend did in a window.
type seen struct {
	answers, bad uint64        // bad: of 5xx
	timed        uint64        // answers whose first byte was timed
	mean         time.Duration // until that
}

// move adds p to the course, forgets what is older than window, and returns what was done in
// it.
func (c *course) move(p point, window time.Duration) seen {
	c.points = append(c.points, p)
	first := 0
	for first+1 < len(c.points) && p.at.Sub(c.points[first+1].at) >= window {
		first++
	}
	c.points = slices.Delete(c.points, 0, first)
	from := c.points[0]
	if p.replies < from.replies || p.statuses < from.statuses { // the counters began again
		c.points = append(c.points[:0], p)
		return seen{}
	}
	s := seen{answers: p.replies - from.replies, bad: p.bad - from.bad}
	if again := p.statuses - from.statuses; again > s.bad { // an answer that was asked for again is no reply
		s.answers, s.bad = s.answers+again-s.bad, again
	}
	s.timed, s.mean = board.FirstBytesOf(from.firstBytes, p.firstBytes)
	return s
}

// finding is a backend that stands out.
type finding struct {
	index  int
	why    board.Reason
	detail uint64
}

const (
	// apart is how many times the share of 5xx of the others, taken together, that of an
	// outlier has to be: where all answer so, the backends are not at fault, or all are.
	apart = 2
	// timedMin is how many backends have to be timed for a median.
	timedMin = 3
	// slowMin is how much slower than the median an outlier is at least: below that, chance
	// decides on a fast network.
	slowMin = 2 * time.Millisecond
)

// judge returns the backends that stand out by e, the worst of each kind first.
func judge(e *health.Eject, all []seen) (list []finding) {
	var answers, bad uint64
	var means []time.Duration
	for _, s := range all {
		answers, bad = answers+s.answers, bad+s.bad
		if s.timed >= uint64(e.RequestsMin) {
			means = append(means, s.mean)
		}
	}
	slices.Sort(means)
	for i, s := range all {
		if e.ErrorRate > 0 && s.answers >= uint64(e.RequestsMin) && s.bad > 0 {
			share := float64(s.bad) / float64(s.answers)
			others := float64(bad-s.bad) / float64(max(1, answers-s.answers))
			if share >= e.ErrorRate && share >= apart*others {
				list = append(list, finding{i, board.ReasonErrorRate, max(1, uint64(share*100+0.5))})
				continue
			}
		}
		if e.LatencyFactor == 0 || len(means) < timedMin || s.timed < uint64(e.RequestsMin) {
			continue
		}
		median := means[(len(means)-1)/2]
		if float64(s.mean) > e.LatencyFactor*float64(median) && s.mean-median >= slowMin {
			list = append(list, finding{i, board.ReasonLatency, max(1, uint64(s.mean/time.Millisecond))})
		}
	}
	slices.SortStableFunc(list, func(a, b finding) int {
		if a.why != b.why {
			return int(a.why) - int(b.why)
		}
		return int(b.detail) - int(a.detail)
	})
	return list
}
