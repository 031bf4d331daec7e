package bench

import (
	"time"

	"lb/loop/tick"
)

// schedule says when the requests of an open loop are due. They are numbered from
// 0. Those below warm are not counted.
type schedule struct {
	origin tick.Instant // of request 0
	step   float64      // ns from one to the next
	next   int64        // number of the next request to start
	warm   int64
	end    int64 // number after the last

	behind   bool  // requests are due and no conn is free
	waitedTo int64 // number after the last request counted as waiting
	backlog  Backlog
}

// at returns when request k is due.
func (s *schedule) at(k int64) tick.Instant {
	return s.origin + tick.Instant(min(float64(k)*s.step, 1<<61))
}

// before returns how many requests are due before t, regardless of end.
func (s *schedule) before(t tick.Instant) int64 {
	if t <= s.origin {
		return 0
	}
	k := int64(float64(t-s.origin) / s.step)
	for s.at(k) < t { // twice at most: k is the quotient, rounded
		k++
	}
	for k > 0 && s.at(k-1) >= t {
		k--
	}
	return k
}

// due returns the number after the last request that is due.
func (s *schedule) due(now tick.Instant) int64 { return min(s.before(now+1), s.end) }

// fallBehind records that the requests from next to due have no conn.
func (s *schedule) fallBehind(due int64) {
	s.behind = true
	from := max(s.next, s.warm)
	if due <= from {
		return
	}
	s.backlog.Max = max(s.backlog.Max, due-from)
	if from = max(from, s.waitedTo); from < due {
		s.backlog.Waited += due - from
		s.waitedTo = due
	}
}

// giveUp drops the requests that have not been started.
func (s *schedule) giveUp() {
	s.backlog.Unsent += s.end - max(s.next, s.warm)
	s.next, s.behind = s.end, false
}

// newSchedule returns the share of loop i of n in a run that begins at start.
func newSchedule(o *Options, i, n int, start tick.Instant) schedule {
	gap := float64(time.Second) / o.Rate
	all := schedule{origin: start, step: gap}
	from := start.Add(o.Warmup)
	all.warm = all.before(from)
	all.end = 1 << 61
	if o.Duration > 0 {
		all.end = all.before(from.Add(o.Duration))
	}
	if o.Requests > 0 {
		all.end = min(all.end, all.warm+o.Requests)
	}
	share := func(k int64) int64 { return (k - int64(i) + int64(n) - 1) / int64(n) }
	return schedule{
		origin: start + tick.Instant(gap*float64(i)), step: gap * float64(n),
		warm: share(all.warm), end: share(all.end),
	}
}
