// Package spread decides which loop serves a client's new conn, so that no loop has far
// more conns than the others. It does not know what a conn is.
//
// The kernel gives a new conn to a loop by a hash of its addresses (SO_REUSEPORT). That
// spreads many conns evenly; of a few long-lived ones, one loop may get several times its
// share. So a loop with clearly more conns than the others passes a new one on to the
// loop with the fewest, before anything is read from it. Requests pay nothing for this.
//
// When many conns come at once, several loops choose the same neighbour, so a conn may be
// passed on again. If 64 conns come at once, the busiest of 8 loops then has 1.4 times the
// mean; otherwise it could have 2 times, and the busiest of 32 loops nearly 4 times. Few
// conns are passed on a second time, hardly any a third.
package spread

import (
	"slices"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// KeepsOne is the number of conns passed on to a loop of which it must keep one, so that
// none circulates forever.
const KeepsOne = 16

const (
	margin = 4  // how many more conns than another loop a loop must have to pass one on
	part   = 4  // and it must have more than the mean by one in this many
	looks  = 16 // how many loops are compared for one conn

	// memory is how long a conn that was passed on is counted here. After that the
	// other loop has taken it and counts it.
	memory = 20 * time.Millisecond
)

// passTo returns the index of the loop that gets a new conn, or -1 if this loop, which
// has own conns, keeps it. others are the counts of the other loops.
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

// Loops are the other running loops, as one loop sees them. Only that loop may use them.
type Loops struct {
	others []Loop
	turn   int // index in others at which the next comparison begins
	passed int // conns that other loops have passed on to this one
	loads  [looks]int
}

// Loop is another loop.
type Loop struct {
	Slot   int // on the board
	conns  *board.Counter
	passed int          // conns passed on to it within memory
	at     tick.Instant // when the last of them was passed on
}

// New returns the loops in slots on b except slot own. They begin with the loop after
// own, so that loops which see the same counts do not all choose the same one.
func New(b *board.Board, own int, slots []int) (ls Loops) {
	at := max(0, slices.Index(slots, own))
	for i := range slots {
		if slot := slots[(at+i)%len(slots)]; slot != own {
			ls.others = append(ls.others, Loop{Slot: slot, conns: &b.Loop(slot).ClientConns})
		}
	}
	return ls
}

// Choose returns the loop that gets the next conn, or nil if this loop, which has own
// conns, keeps it. Of many loops it compares a few, different ones each time.
func (ls *Loops) Choose(own int, now tick.Instant) *Loop {
	if own < margin || len(ls.others) == 0 {
		return nil
	}
	loads := ls.loads[:min(len(ls.others), looks)]
	ls.turn = (ls.turn + 1) % len(ls.others)
	for i := range loads {
		o := ls.at(i)
		if now.Sub(o.at) > memory {
			o.passed = 0
		}
		loads[i] = int(o.conns.Load()) + o.passed
	}
	if i := passTo(own, loads); i >= 0 {
		return ls.at(i)
	}
	return nil
}

// at returns the i-th loop of this comparison.
func (ls *Loops) at(i int) *Loop { return &ls.others[(ls.turn+i)%len(ls.others)] }

// Passed notes that a conn was passed on to l at now.
func (l *Loop) Passed(now tick.Instant) {
	l.passed++
	l.at = now
}

// Keeps reports whether this loop must keep a conn that another loop passed on. One in
// KeepsOne is always kept.
func (ls *Loops) Keeps() bool {
	ls.passed++
	return ls.passed%KeepsOne == 0
}
