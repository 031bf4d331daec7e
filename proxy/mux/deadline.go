package mux

import (
	"errors"
	"time"

	"lb/httpparse/h2"
	"lb/loop/tick"
)

// due is what a conn waits for.
type due uint8

const (
	dueNothing due = iota
	dueWrite       // the peer has to take output
	dueStart       // its preface and SETTINGS have to come
	dueAck         // its ACK of our SETTINGS
	dueBlock       // the rest of a frame or of a block
	dueStream      // its next request
	dueRest        // nothing has to come, and the tables may go
	dueNotice      // the answer to the PING of a drain
	dueEnd         // the end of its side, after ours
)

var (
	errHangup = errors.New("the conn was reset")
	errSlow   = errors.New("the peer takes nothing")
)

// waits returns the first thing that c may not wait for longer than until at.
func (c *Conn) waits() (what due, at tick.Instant) {
	d := c.side
	first := func(w due, since tick.Instant, limit time.Duration) {
		if t := since.Add(limit); limit > 0 && (what == dueNothing || t < at) {
			what, at = w, t
		}
	}
	if c.state != stateOpen {
		first(dueEnd, c.moved, LingerTimeout)
		if c.state != stateParting {
			first(dueEnd, c.begun, lingerMax)
		}
		return what, at
	}
	if c.out != nil {
		first(dueWrite, c.moved, d.Write)
	}
	if !c.Settled() {
		first(dueStart, c.begun, d.Head)
	}
	if since := c.AckOwed(); since > 0 {
		first(dueAck, since, d.Ack)
	}
	if c.stalled {
		first(dueBlock, c.since, d.Head)
	}
	if c.drain == drainNotice {
		first(dueNotice, c.notice, noticeTimeout)
	}
	if c.Active() == 0 {
		first(dueStream, c.quiet, d.Idle)
		if !c.rested {
			first(dueRest, c.quiet, restAfter)
		}
	}
	return what, at
}

// arm sets the deadline to that of what c waits for now.
func (c *Conn) arm() {
	if c.state == stateFree || c.state == stateGone {
		return
	}
	if what, at := c.waits(); what != dueNothing {
		c.side.Loop.Arm(&c.timer, c.owner, at)
	}
}

// Expired is called by the loop when the deadline has passed.
func (c *Conn) Expired() {
	if c.state == stateFree || c.state == stateGone {
		return
	}
	switch what, at := c.waits(); {
	case what == dueNothing || at > c.side.Loop.Now():
	case what == dueWrite:
		c.broken(errSlow)
	case what == dueEnd:
		c.close(false)
	case what == dueAck:
		c.Part(h2.SettingsTimeout)
	case what == dueNotice:
		c.last()
	case what == dueRest:
		c.rested = true
		c.Rest()
	default:
		c.Part(h2.NoError)
	}
	c.arm()
}
