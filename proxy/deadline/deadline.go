// Package deadline is the rule which side of an exchange has to move next, and how long it
// may take.
//
// The front has the one timer, and proxy stores there what this package says. A client that
// is idle or at a head has no exchange: its deadlines are the front's (proxy/h1). Nearly
// always the new deadline is later than the one before, which costs a store; the timer looks
// again when it fires.
package deadline

import (
	"time"

	"lb/config"
	"lb/loop/tick"
	"lb/proxy/lane"
	"lb/proxy/record"
)

// Case is an exchange as the rule sees it. The lanes stay the exchange's.
type Case struct {
	Phase record.Phase
	Since tick.Instant  // when the phase began
	Pause time.Duration // in Pick: before the next attempt; in Dial, without a conn: before the next knock
	Up    *lane.Lane
	Down  *lane.Lane

	Conn       bool // there is a conn to the backend
	Expecting  bool // the client may hold back the body until a 100
	Tunnel     bool // after a 101
	Opening    bool // in a tunnel: the request is not whole yet
	HalfClosed bool // in a tunnel: a side has ended
	Call       bool // of gRPC, whose messages may be far apart, to a backend of HTTP/2
	Timed      bool // a call whose client has said how long it waits
}

// Owed returns which side has to move for the exchange to go on, since when, and how long
// that may take.
func Owed(t *config.Timeouts, c *Case) (s record.Side, from tick.Instant, limit time.Duration) {
	switch c.Phase {
	case record.Pick:
		if c.Pause > 0 {
			return record.NoSide, c.Since, c.Pause
		}
		return record.LBSide, c.Since, t.Queue
	case record.Dial:
		if !c.Conn {
			return record.LBSide, c.Since, min(c.Pause, t.Connect)
		}
		return record.BackendSide, c.Since, t.Connect
	case record.Wait:
		if !c.Down.Flushed() {
			return record.ClientSide, c.Down.Progress, t.ClientWrite
		}
		if c.Timed {
			return record.BackendSide, c.Since, max(t.Response, t.TunnelIdle)
		}
		return record.BackendSide, c.Since, t.Response
	case record.Relay:
		switch {
		case c.Opening: // the client owes the rest of its request, or the backend does not take it
		case c.Tunnel:
			limit = t.TunnelIdle
			if c.HalfClosed {
				limit = min(limit, t.TunnelHalfClosed)
			}
			return record.ClientSide, max(c.Up.Progress, c.Down.Progress), limit
		case !c.Down.Flushed() || c.Down.Blocked:
			return record.ClientSide, c.Down.Progress, t.ClientWrite
		case !c.Down.Whole && c.Call:
			return c.silence(t)
		case !c.Down.Whole:
			return record.BackendSide, c.Down.Progress, t.BackendBody
		}
	}
	switch {
	case !c.Up.Flushed() || c.Up.Blocked:
		return record.BackendSide, c.Up.Progress, t.BackendWrite
	case c.Expecting: // neither the backend nor the client has to move first: nobody's fault
		return record.NoSide, c.Since, t.Response
	case c.Call:
		return c.silence(t)
	}
	return record.ClientSide, c.Up.Progress, t.ClientBody
}

// silence returns how long both sides of a call may be silent: as in a tunnel, either may
// wait for the other, and lb cannot know which one has to move.
func (c *Case) silence(t *config.Timeouts) (s record.Side, from tick.Instant, limit time.Duration) {
	return record.NoSide, max(c.Up.Progress, c.Down.Progress), t.TunnelIdle
}
