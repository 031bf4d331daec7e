package upstream

import (
	"math"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// How long an idle conn to a backend may be used is learned from the backend,
// for all loops: from what it promises with Keep-Alive: timeout=, and from idle
// conns that it closed. A request sent on a conn just when the backend closes it
// is lost, or has to be sent again; so a conn is given up a while before.
//
// What was promised holds until another promise. What was seen may have been a
// restart and no timeout, so it is believed less and less: every idleDoubts the
// time doubles, until a close is seen again within it.

// idleDoubts is after how long what was seen counts for twice as long a time.
const idleDoubts = 10 * time.Second

// idleLeast is the shortest idle time that is believed. A backend that closes a
// conn sooner has more likely been restarted, and one that always does so would
// have no conn reused: what it closes too soon is found out, and asked again where
// that is allowed.
const idleLeast = 500 * time.Millisecond

// idleMargin is how long before its end an idle conn is given up, if that is not
// more than half of its time.
const idleMargin = time.Second

// IdleTold notes that a backend said Keep-Alive: timeout=seconds.
func IdleTold(s *board.State, seconds int) {
	const most = int(math.MaxInt64 / int64(time.Second))
	told := uint64(max(1, time.Duration(min(max(0, seconds), most))*time.Second)) // 0 is "none" on the board
	if s.IdleTold.Load() != told {
		s.IdleTold.Store(told)
	}
}

// IdleClosed notes that a backend closed a conn which had been idle for age. An
// older conn than is used would be closed by lb itself, so a close tells of a
// time that is shorter than was believed.
func IdleClosed(s *board.State, age time.Duration, now tick.Instant) {
	if seen := seenIdle(s, now); age < idleLeast || seen > 0 && age >= seen {
		return
	}
	s.IdleSeen.Store(uint64(max(1, age)))
	s.IdleSeenAt.Store(uint64(now))
}

// IdleTimeout returns how long an idle conn to a backend may be used, at most
// limit.
func IdleTimeout(s *board.State, limit time.Duration, now tick.Instant) time.Duration {
	if told := time.Duration(s.IdleTold.Load()); told > 0 {
		limit = min(limit, inTime(told))
	}
	if seen := seenIdle(s, now); seen > 0 {
		limit = min(limit, inTime(seen))
	}
	return limit
}

// seenIdle returns the time after which the backend closes, as far as seen; 0: unknown.
func seenIdle(s *board.State, now tick.Instant) time.Duration {
	seen := time.Duration(s.IdleSeen.Load())
	for doubts := now.Sub(tick.Instant(s.IdleSeenAt.Load())); doubts >= idleDoubts && seen > 0; doubts -= idleDoubts {
		if seen > math.MaxInt64/2 {
			return 0
		}
		seen *= 2
	}
	return seen
}

// inTime returns when to give up what ends after d.
func inTime(d time.Duration) time.Duration { return d - min(idleMargin, d/2) }
