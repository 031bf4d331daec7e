// Package crowd holds how many conns clients may have: all of them together over all loops
// (limits.connections), and those of one address (limits.connections_per_client).
//
// limits.connections is one number. A loop counts a conn on the board before it accepts it,
// and takes that back if all loops together would have too many: see board.Enter. The conn
// then stays in the queue of the listening socket, where the system has put it, so no client is
// refused. The loop knocks: it says on the board that a client waits, and has the conn make
// room that has been idle longest, whichever loop it belongs to. That loop is rung, see
// board.Ring, and so are those that knock when a conn ends. A timer is armed only while a loop
// knocks, because a loop may have died, or stand still, when it is rung.
package crowd

import (
	"net/netip"
	"time"

	"lb/board"
	"lb/board/tally"
	"lb/loop"
)

// How often a loop that knocks looks for room by itself.
const (
	lookFirst = 4 * time.Millisecond
	lookMost  = 32 * time.Millisecond
)

// patience is how often a loop has asked the one with the conn that has been idle longest,
// until it asks any.
const patience = 3

// Crowd is that of one loop, to which it belongs. It is made when a limit is configured for
// the first time: until then there is nil, which Admit and Left take.
type Crowd struct {
	loop     *loop.Loop
	board    *board.Board
	slot     int
	counters *board.Loop
	tally    *tally.Tally
	keys     tally.Keys

	limit   int // of all loops; 0: none
	each    int // of one client; 0: none
	entered bool

	kept, fresh list // idle conns of clients that have had a request, and of others
	knocks      int  // since this loop knocks; 0: it does not
	timer       loop.Timer
	end         loop.End
}

// New returns the crowd of the loop in a slot of b.
func New(l *loop.Loop, b *board.Board, slot int) *Crowd {
	return &Crowd{loop: l, board: b, slot: slot, counters: b.Loop(slot), tally: tally.New(b, slot), keys: tally.NewKeys(b.Secret())}
}

// Use makes connections and each the limits from now on; 0 is for none. It reports whether
// idle conns have to be listed, which they were not.
func (c *Crowd) Use(connections, each int) (listIdle bool) {
	listIdle = c.limit == 0 && connections > 0
	c.limit, c.each = connections, each
	if connections > 0 {
		c.loop.SetGate(c)
	} else {
		c.loop.SetGate(nil)
		c.rest()
		for l := c.next(); l != nil; l = c.next() {
			c.Busy(l)
		}
	}
	return listIdle
}

// Enter implements loop.Gate: it counts a conn that is about to be accepted.
func (c *Crowd) Enter() bool {
	if c.board.Enter(c.slot, c.limit) {
		c.entered = true
		return true
	}
	if c.soonest() == c.slot && c.evict() && c.board.Enter(c.slot, c.limit) {
		c.entered = true
		return true
	}
	c.knock()
	return false
}

// Leave implements loop.Gate: the conn has been counted by its owner, or there was none.
func (c *Crowd) Leave() {
	if c.entered {
		c.entered = false
		c.counters.ClientConns.Sub(1)
	}
}

// Near reports whether hardly any room is left. New conns are not passed on to other loops
// then, because they would not count on their way.
func (c *Crowd) Near() bool {
	return c != nil && c.limit > 0 && c.limit-c.board.Clients() < max(c.limit/8, 2*c.board.Loops())
}

// knock says that a client waits here.
func (c *Crowd) knock() {
	if c.knocks == 0 {
		c.counters.Knocking.Set(1)
	}
	c.knocks++
	c.ask()
	c.loop.Arm(&c.timer, c, c.loop.Now().Add(min(lookFirst*time.Duration(c.knocks), lookMost)))
}

// ask has the conn end that has been idle longest.
func (c *Crowd) ask() {
	if c.knocks <= patience {
		if slot := c.soonest(); slot >= 0 && slot != c.slot {
			c.board.Ring(slot)
		}
		return
	}
	for slot := range c.board.Loops() { // the one that was asked may be gone, or stand still
		if slot != c.slot && c.board.Loop(slot).IdleSince.Load() > 0 {
			c.board.Ring(slot)
		}
	}
}

// soonest returns the slot of the loop whose conn is to make room next, or -1.
func (c *Crowd) soonest() int {
	slot, least := -1, uint64(0)
	for i := range c.board.Loops() {
		if since := c.board.Loop(i).IdleSince.Load(); since > 0 && (slot < 0 || since < least) {
			slot, least = i, since
		}
	}
	return slot
}

// Expired is called by the loop when it knocks and has to look again.
func (c *Crowd) Expired() { c.look() }

// TurnEnds is called by the loop after a conn has ended while it knocked.
func (c *Crowd) TurnEnds() {
	if c.knocks > 0 {
		c.look()
	}
}

// look has the loop accept again if there is room.
func (c *Crowd) look() {
	if c.board.Clients() < c.limit || (c.knocks > patience || c.soonest() == c.slot) && c.evict() {
		c.rest()
		return
	}
	c.knock()
}

// rest ends knocking.
func (c *Crowd) rest() {
	if c.knocks > 0 {
		c.knocks = 0
		c.counters.Knocking.Set(0)
		c.loop.Disarm(&c.timer)
	}
	c.loop.OpenGate()
}

// Rung is called after the bell of the loop has been rung: there may be room, or other loops
// want some.
func (c *Crowd) Rung() {
	if c == nil || c.limit == 0 {
		return
	}
	if c.knocks > 0 {
		c.look()
		return
	}
	for wanted := c.knocking() - max(0, c.limit-c.board.Clients()); wanted > 0 && c.evict(); wanted-- {
	}
	c.tell()
}

// knocking returns how many loops knock.
func (c *Crowd) knocking() (n int) {
	for i := range c.board.Loops() {
		n += int(c.board.Loop(i).Knocking.Load())
	}
	return n
}

// tell rings the loops that knock.
func (c *Crowd) tell() {
	for i := range c.board.Loops() {
		if i != c.slot && c.board.Loop(i).Knocking.Load() > 0 {
			c.board.Ring(i)
		}
	}
}

// Admit counts a conn of the client at addr, which is not valid for a unix socket, and says
// whether it may stay. key is for Left, and 0 if the client is not counted.
func (c *Crowd) Admit(addr netip.Addr) (key uint64, v Verdict) {
	if c == nil || c.each == 0 || !addr.IsValid() {
		return 0, Admitted
	}
	switch key = c.keys.Client(addr); c.tally.Enter(key, uint64(c.each)) {
	case tally.Entered:
		return key, Admitted
	case tally.Over:
		return 0, Excess
	}
	c.counters.TallyFull.Add(1)
	return 0, Admitted
}

// Free takes back what Admit has counted.
func (c *Crowd) Free(key uint64) {
	if key != 0 {
		c.tally.Leave(key)
	}
}

// Left notes that a client conn has ended, which has counted no longer on the board. key is
// that of Admit.
func (c *Crowd) Left(key uint64) {
	if c == nil {
		return
	}
	c.Free(key)
	switch {
	case c.limit == 0:
	case c.knocks > 0:
		c.loop.AtEnd(&c.end, c)
	default:
		c.tell()
	}
}

var _ loop.Gate = (*Crowd)(nil)
