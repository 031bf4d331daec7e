package proxy

import (
	"net/netip"
	"slices"
	"time"

	"lb/board"
	"lb/loop/tick"
)

// Which loop a conn comes to is decided by a hash of its addresses
// (SO_REUSEPORT). With many conns that is even enough; of few long-lived ones one
// loop may get several times its share. So a loop that has clearly more than the
// others passes what it accepts on to the one that has least, before anything of it
// is read; nothing is ever paid for a request.
//
// When many come at one moment, several loops choose the same one. So that one may
// pass on what it is given, too: then the busiest of 8 loops has 1.4 times the mean of
// 64 conns that come at once, else up to twice, and of 32 loops nearly four times. A
// few are passed on a second time, next to none a third.
const (
	evenMargin = 4  // conns that a loop has more than another before it passes any on
	evenPart   = 4  // and more than the mean by one in so many
	evenLooks  = 16 // loops that are looked at for one conn
	evenRests  = 16 // of the conns that others pass on here one in so many stays in any case: none is sent round for ever

	// evenMemory is how long a conn that was passed on is counted here: until then
	// the other loop has taken it and counts it itself.
	evenMemory = 20 * time.Millisecond
)

// passTo returns which of some loops, by their conns, a conn is passed on to by
// one that has own; -1: it stays.
func passTo(own int, others []int) int {
	least, sum, loops := -1, own, len(others)+1
	for i, n := range others {
		if sum += n; least < 0 || n < others[least] {
			least = i
		}
	}
	if least < 0 || own < others[least]+evenMargin || own*loops*evenPart <= sum*(evenPart+1) {
		return -1
	}
	return least
}

// even is the other loops at work, as one loop knows them.
type even struct {
	others []neighbour
	turn   int // where in others a look begins
	given  int // conns that others passed on here
	loads  [evenLooks]int
}

// neighbour is another loop.
type neighbour struct {
	slot   int
	conns  *board.Counter
	passed int          // to it, of late
	at     tick.Instant // when the last of them was
}

// newEven begins with the loop behind the own one, so that loops which see the same
// do not all choose the same.
func newEven(b *board.Board, own int, slots []int) (e even) {
	at := max(0, slices.Index(slots, own))
	for i := range slots {
		if slot := slots[(at+i)%len(slots)]; slot != own {
			e.others = append(e.others, neighbour{slot: slot, conns: &b.Loop(slot).ClientConns})
		}
	}
	return e
}

// choose returns the loop that takes the next conn of a loop that has own, nil for
// this one itself. Of many loops it looks at some, others each time.
func (e *even) choose(own int, now tick.Instant) *neighbour {
	loads := e.loads[:min(len(e.others), evenLooks)]
	e.turn = (e.turn + 1) % len(e.others)
	for i := range loads {
		o := e.at(i)
		if now.Sub(o.at) > evenMemory {
			o.passed = 0
		}
		loads[i] = int(o.conns.Load()) + o.passed
	}
	if i := passTo(own, loads); i >= 0 {
		return e.at(i)
	}
	return nil
}

// at returns the i-th neighbour of this look.
func (e *even) at(i int) *neighbour { return &e.others[(e.turn+i)%len(e.others)] }

// rests reports whether a conn that another loop has passed on here stays in any case.
func (e *even) rests() bool {
	e.given++
	return e.given%evenRests == 0
}

// passesOn gives a new conn to another loop if that is better, and returns true
// if it has: fd is no longer this loop's then.
func (p *Proxy) passesOn(fd int, peer netip.AddrPort) bool {
	if p.passOn == nil || p.shared.Clients < evenMargin || p.shared.Draining || len(p.even.others) == 0 {
		return false
	}
	now := p.loop.Now()
	to := p.even.choose(p.shared.Clients, now)
	if to == nil || !p.passOn(to.slot, fd, peer) {
		return false
	}
	to.passed++
	to.at = now
	return true
}

// Passed takes over a client connection that another loop has accepted, or passes it
// on once more. In a drain its first request is still answered.
func (p *Proxy) Passed(fd int, peer netip.AddrPort) {
	if p.even.rests() || !p.passesOn(fd, peer) {
		p.take(fd, peer)
	}
}
