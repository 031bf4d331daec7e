package upstream

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// How long an idle backend conn may be reused is learned from the backend, for all
// loops: from its Keep-Alive: timeout= promise, and from idle conns that it closed.
// A request sent just when the backend closes the conn is lost or has to be
// retried, so lb gives the conn up a while earlier.
//
// A promise holds until the next one. A close may have been a restart instead of a
// timeout, so it is trusted less with age: the time it stands for doubles every
// idleDoubts, until a close within that time is seen again.

// idleDoubts is how long it takes for an observed close to stand for twice the
// time.
const idleDoubts = 10 * time.Second

// idleLeast is the shortest idle time that is believed. A conn closed sooner points
// to a restart. If a backend really always closes that soon, believing it would end
// all reuse; instead the lost requests are retried where that is allowed.
const idleLeast = 500 * time.Millisecond

// idleMargin is how long before its end an idle conn is given up, but at most half
// of its time.
const idleMargin = time.Second

// IdlePromised records what the Keep-Alive of a backend's answer, keepAlive, says.
func IdlePromised(s *board.State, keepAlive []byte) {
	for part := range bytes.SplitSeq(keepAlive, []byte{','}) {
		if v, ok := bytes.CutPrefix(bytes.TrimSpace(part), []byte("timeout=")); ok {
			if n, err := strconv.Atoi(string(v)); err == nil && n >= 0 {
				IdleTold(s, n)
			}
		}
	}
}

// IdleTold records that a backend sent Keep-Alive: timeout=seconds.
func IdleTold(s *board.State, seconds int) {
	const most = math.MaxInt64 / int64(time.Second)
	told := uint64(max(1, time.Duration(min(max(0, int64(seconds)), most))*time.Second)) // 0 means "none" on the board
	if s.IdleTold.Load() != told {
		s.IdleTold.Store(told)
	}
}

// IdleClosed records that a backend closed a conn that had been idle for age. lb
// itself closes conns older than the believed time, so only a shorter age is news.
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

// seenIdle returns the idle time that observed closes stand for at now, or 0 if
// unknown.
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

// inTime returns when to give up a conn that ends after d.
func inTime(d time.Duration) time.Duration { return d - min(idleMargin, d/2) }
