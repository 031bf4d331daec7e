package h1back

import (
	"time"

	"golang.org/x/sys/unix"

	"lb/board"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/backconn"
	"lb/upstream"
)

// Target is a backend as the conns of one loop to it see it.
type Target struct {
	upstream.Backend[*Conn]
	Addr   loop.Addr
	Manner backconn.Manner
	Never  bool // no conn is used a second time
}

// NewTarget returns a target for a loop in a slot of b, at addr. Slot and id must have been
// claimed.
func NewTarget(b *board.Board, slot, id int, name string, addr loop.Addr) Target {
	return Target{Backend: *upstream.NewBackend[*Conn](b, slot, id, name), Addr: addr}
}

// Known reports whether t has an address.
func (t *Target) Known() bool { return t.Addr.Path != "" || t.Addr.IP.IsValid() }

// CloseIdle ends the idle conns to t.
func (t *Target) CloseIdle() { t.Idle.Each(func(c *Conn) { c.Drop() }) }

// Recovered returns when the backend was last found up again, or taken into use again. Conns
// from before may lead to a machine that is gone, or to a process that has ended.
func (t *Target) Recovered() tick.Instant { return tick.Instant(t.State.RecoveredAt.Load()) }

// IsDown reports whether checks have found the backend down.
func (t *Target) IsDown() bool { return board.Health(t.State.Health.Load()) == board.Down }

// idleLimit returns how long an idle conn to t may be used.
func (s *Conns) idleLimit(t *Target, now tick.Instant) time.Duration {
	return upstream.IdleTimeout(t.State, s.IdleTimeout, now)
}

// Conns has the HTTP/1 conns of one loop to its backends.
type Conns struct {
	*back.Shared
	free *Conn
}

// Rest is how long a conn is idle before the first request of another client may use it,
// with reuse = "safe", and any request if its last answer had no body: what a backend sends
// by mistake after a whole answer comes at once, or within the round trip of a network; of
// a busy backend it may come some turns of its scheduler later.
const Rest = 10 * time.Millisecond

// idleLeast is the shortest time that is worth keeping a conn for: a backend that
// promises timeout=0 does not keep any.
const idleLeast = time.Millisecond

// Ask is what an exchange wants of an idle conn.
type Ask struct {
	Known bool // the client has been served before, or that does not matter: no rest is needed
	Twice bool // the request could be sent twice; otherwise it is worth a look whether the conn still lives
	Most  int  // how many conns the backend may have, or 0 for any number
}

// Take takes a conn to t from the idle list for an attempt of o, or returns nil if there is
// none that may be used.
func (s *Conns) Take(t *Target, o back.Owner, a *Ask) *Conn {
	now, recovered := s.Loop.Now(), t.Recovered()
	for {
		c, ok := t.Idle.Hottest()
		look := false
		if ok && !c.bare && a.Known {
			t.Idle.Remove(&c.link)
		} else if rested, has := t.Idle.GetRested(now.Add(-Rest)); has {
			c, look = rested, rested.bare
		} else if ok && s.Loop.Crowded(int(s.Counters.BackendConns.Load())) { // what conns have to spare, clients need
			t.Idle.Remove(&c.link)
			look = true
		} else {
			if ok && a.Most > 0 && int(t.Slot.InFlight.Load())+t.Idle.Len() > a.Most {
				c.end(true) // a backend for so few may have room for no other conn
			}
			return nil
		}
		s.Counters.BackendIdle.Sub(1)
		switch {
		case !c.Fresh(t.State, now):
			c.NoteClosed(t.State, now)
		case !c.Fits(&t.Manner), recovered > c.Since, now.Sub(c.Since) >= s.idleLimit(t, now):
		case !look && a.Twice || c.Silent(t.State, now):
			c.begin(o)
			return c
		}
		c.Drop()
	}
}

// TakeUnrested takes an idle conn although it has not rested, because no other can be had.
// A look at it finds what has come until now. tried says that there was one; if it could
// not be used, c is nil, and without it there is room for another.
func (s *Conns) TakeUnrested(t *Target, o back.Owner) (c *Conn, tried bool) {
	c, ok := t.Idle.Hottest()
	if !ok {
		return nil, false
	}
	t.Idle.Remove(&c.link)
	s.Counters.BackendIdle.Sub(1)
	if now := s.Loop.Now(); !c.Fits(&t.Manner) || !c.Fresh(t.State, now) || !c.Silent(t.State, now) {
		c.Drop()
		return nil, true
	}
	c.begin(o)
	return c, true
}

// Dial begins a new conn to t for an attempt of o. The errors are those of loop.Dial. There
// has to be an address.
func (s *Conns) Dial(t *Target, o back.Owner) (*Conn, error) {
	c := s.conn(t)
	if err := s.Loop.Dial(&c.Conn.Conn, c, &t.Addr); err != nil {
		c.next, s.free = s.free, c
		return nil, err
	}
	c.Bound(&t.Addr, s.Silence)
	s.Counters.BackendConns.Add(1)
	t.Slot.Conns.Add(1)
	c.begin(o)
	return c, nil
}

// conn returns a free conn, to t.
func (s *Conns) conn(t *Target) *Conn {
	c := s.free
	if c == nil {
		c = &Conn{s: s}
	} else {
		s.free, c.next = c.next, nil
	}
	c.to, c.uses = t, 0
	c.Conn.Begin()
	return c
}

// Adopt makes from, which has been made and counted, an HTTP/1 conn to t for an attempt of o.
func (s *Conns) Adopt(t *Target, o back.Owner, from *backconn.Conn) *Conn {
	c := s.conn(t)
	c.Conn.TakeFrom(from, s.Loop, c)
	c.begin(o)
	return c
}

// Full reports whether err of Dial says that the accept queue of a unix socket is full.
func Full(err error) bool { return err == unix.EAGAIN }
