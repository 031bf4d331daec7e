package h2back

import (
	"time"

	"lb/httpparse/h2"
	"lb/proxy/record"
)

// GOAWAY without an error ends a conn, and says nothing of the backend: servers end conns
// that are old (MAX_CONNECTION_AGE of gRPC), that had so many requests
// (keepalive_requests of nginx), or that are idle, and take others. A backend that is about
// to end takes no others. So what counts is what becomes of the next conn.
const (
	// freshMax is how old a conn may be that a backend ends before it has answered there.
	freshMax = time.Second
	// partedMax is how long after GOAWAY a refused conn counts.
	partedMax = 10 * time.Second
)

// partsWith is called when GOAWAY with code has come on c. If nothing has been answered on
// c, which is new, the backend wants no new conns.
func (c *Conn) partsWith(code h2.Code) {
	now := c.s.Loop.Now()
	if code != h2.NoError || c.to.Gone {
		return
	}
	if c.to.parted = now; !c.fruitful && now.Sub(c.begun) <= freshMax {
		c.s.Left(c.to.ID)
	}
}

// shut is called when c could not be made because of f. If the backend has parted with
// another conn a moment ago, it has closed its door.
func (c *Conn) shut(f record.Fault) {
	t := c.to
	if f.Cause == record.CauseNoConnect && !t.Gone && t.parted > 0 && c.s.Loop.Now().Sub(t.parted) <= partedMax {
		c.s.Left(t.ID)
	}
}
