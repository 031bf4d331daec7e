package crowd

import (
	"time"

	"lb/loop/tick"
)

// grace is how long a client that has sent nothing yet is not taken for idle: it has just
// connected, and is sending its first request.
const grace = time.Second

// Member is a conn of a client that may be idle.
type Member interface {
	// MakeRoom ends the conn in an orderly way, and reports whether it has: a request may
	// have come.
	MakeRoom() bool
}

// Link is a member's place among those that are idle. The zero value is in no list.
type Link struct {
	older, newer *Link
	list         *list
	member       Member
	since        tick.Instant
}

// Listed reports whether l is among those that are idle.
func (l *Link) Listed() bool { return l.list != nil }

// list has links, oldest first.
type list struct{ oldest, newest *Link }

func (q *list) add(l *Link) {
	l.list, l.older = q, q.newest
	if q.newest != nil {
		q.newest.newer = l
	} else {
		q.oldest = l
	}
	q.newest = l
}

func (l *Link) drop() {
	q := l.list
	if l.older != nil {
		l.older.newer = l.newer
	} else {
		q.oldest = l.newer
	}
	if l.newer != nil {
		l.newer.older = l.older
	} else {
		q.newest = l.older
	}
	*l = Link{}
}

// Idle notes that m is idle from now on; served says that it has had a request. l is its
// link. It may be called again.
func (c *Crowd) Idle(l *Link, m Member, served bool) {
	if c.limit == 0 || l.list != nil {
		return
	}
	l.member, l.since = m, c.loop.Now()
	q := &c.kept
	if !served {
		q = &c.fresh
		l.since = l.since.Add(grace)
	}
	q.add(l)
	if q.oldest == l {
		c.show()
	}
}

// Busy notes that the member with link l, which is listed, is not idle any longer.
func (c *Crowd) Busy(l *Link) {
	q := l.list
	first := q.oldest == l
	l.drop()
	if first {
		c.show()
	}
}

// next returns the link of the conn that is to make room next, or nil.
func (c *Crowd) next() *Link {
	a, b := c.kept.oldest, c.fresh.oldest
	if a == nil || b != nil && b.since < a.since {
		return b
	}
	return a
}

// show puts on the board since when the next has been idle.
func (c *Crowd) show() {
	since := tick.Instant(0)
	if l := c.next(); l != nil {
		since = l.since
	}
	c.counters.IdleSince.Set(uint64(since))
}

// evict ends the conn of this loop that has been idle longest, and reports whether it has.
func (c *Crowd) evict() bool {
	for {
		l := c.next()
		if l == nil || l.since > c.loop.Now() {
			return false
		}
		m := l.member
		c.Busy(l)
		if m.MakeRoom() {
			c.counters.Evicted.Add(1)
			return true
		}
	}
}
