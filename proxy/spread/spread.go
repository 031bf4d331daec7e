// Package spread decides which loop a new conn of a client goes to, so that no loop has
// far more conns than the others. It does not know what a conn is.
//
// The kernel gives a new conn to a loop by a hash of its addresses (SO_REUSEPORT). That
// is even enough for many conns; of a few long-lived ones, one loop may get several
// times its share. So a loop that has clearly more conns than the others passes a new
// one on to the loop that has least, before anything of it is read. Requests never pay
// for it.
//
// When many conns come at one moment, several loops choose the same neighbour. So a conn
// may be passed on again: then the busiest of 8 loops has 1.4 times the mean of 64 conns
// that come at once, instead of up to twice, and of 32 loops nearly four times. A few
// are passed on a second time, hardly any a third.
package spread

import (
	"slices"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// KeepsOne is the number of conns passed on to a loop of which it always keeps one, so
// that none circulates forever.
const KeepsOne = 16

const (
	margin = 4  // conns that a loop has more than another before it passes any on
	part   = 4  // and more than the mean by one in so many
	looks  = 16 // loops that are looked at for one conn

	// memory is how long a conn that was passed on is counted here. By then the
	// other loop has taken it and counts it itself.
	memory = 20 * time.Millisecond
)

// passTo returns the index of the loop in others, which holds their counts of conns, to
// which a loop with own conns passes a new one on, or -1 if it keeps it.
func passTo(own int, others []int) int {
	least, sum, loops := -1, own, len(others)+1
	for i, n := range others {
		if sum += n; least < 0 || n < others[least] {
			least = i
		}
	}
	if least < 0 || own < others[least]+margin || own*loops*part <= sum*(part+1) {
		return -1
	}
	return least
}

// Loops are the other running loops, as one loop knows them. It may use them alone.
type Loops struct {
	others []Loop
	turn   int // where in others a look begins
	passed int // conns that others have passed on here
	loads  [looks]int
}

// Loop is another loop.
type Loop struct {
	Slot   int // on the board
	conns  *board.Counter
	passed int          // to it, within memory
	at     tick.Instant // when the last of them was
}

// New returns the loops in slots on b, without the one in slot own. It begins with the
// loop after that one, so that loops which see the same counts do not all choose the same.
func New(b *board.Board, own int, slots []int) (e Loops) {
	at := max(0, slices.Index(slots, own))
	for i := range slots {
		if slot := slots[(at+i)%len(slots)]; slot != own {
			e.others = append(e.others, Loop{Slot: slot, conns: &b.Loop(slot).ClientConns})
		}
	}
	return e
}

// Choose returns the loop that takes the next conn of this loop, which has own conns, or
// nil if this one keeps it. Of many loops it looks at a few, different ones each time.
func (e *Loops) Choose(own int, now tick.Instant) *Loop {
	if own < margin || len(e.others) == 0 {
		return nil
	}
	loads := e.loads[:min(len(e.others), looks)]
	e.turn = (e.turn + 1) % len(e.others)
	for i := range loads {
		o := e.at(i)
		if now.Sub(o.at) > memory {
			o.passed = 0
		}
		loads[i] = int(o.conns.Load()) + o.passed
	}
	if i := passTo(own, loads); i >= 0 {
		return e.at(i)
	}
	return nil
}

// at returns the i-th loop of this look.
func (e *Loops) at(i int) *Loop { return &e.others[(e.turn+i)%len(e.others)] }

// Passed notes at now that a conn was passed on to l.
func (l *Loop) Passed(now tick.Instant) {
	l.passed++
	l.at = now
}

// Keeps reports whether this loop must keep a conn that another loop passed on. One in
// KeepsOne is always kept.
func (e *Loops) Keeps() bool {
	e.passed++
	return e.passed%KeepsOne == 0
}
