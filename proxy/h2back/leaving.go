package h2back

import (
	"time"

	"lb/httpparse/h2"
	"lb/loop/tick"
	"lb/proxy/record"
)

// GOAWAY without an error ends a conn, and says nothing of the backend: servers end conns
// that are old (MAX_CONNECTION_AGE of gRPC), that had so many requests (keepalive_requests of
// nginx), or that are idle, and take others. A backend that is about to end takes no others.
// So what counts is what becomes of the next conn.
const (
	// freshMax is how old a conn is at most that is called the next, if nothing was answered
	// on it.
	freshMax = time.Second
	// partedMax is how long after GOAWAY the end of the next conn counts.
	partedMax = 10 * time.Second
)

// partsWith is called when GOAWAY with code has come on c.
func (c *Conn) partsWith(code h2.Code) {
	t, now := c.to, c.s.Loop.Now()
	if code != h2.NoError {
		return
	}
	if !c.fruitful && now.Sub(c.begun) <= freshMax {
		c.turnsAway(now)
	}
	t.parted = now
}

// shut is called when c could not be made because of f.
func (c *Conn) shut(f record.Fault) {
	if f.Cause == record.CauseNoConnect {
		c.turnsAway(c.s.Loop.Now())
	}
}

// turnsAway is called when the backend has not taken c, a new conn. After GOAWAY on another
// one, it wants no new clients.
func (c *Conn) turnsAway(now tick.Instant) {
	if t := c.to; !t.Gone && t.parted > 0 && now.Sub(t.parted) <= partedMax {
		c.s.Left(t.ID)
	}
}
