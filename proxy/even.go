package proxy

import (
	"net/netip"
	"slices"
	"time"

	"lb/board"
	"lb/loop/tick"
)

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
const (
	evenMargin = 4  // conns that a loop has more than another before it passes any on
	evenPart   = 4  // and more than the mean by one in so many
	evenLooks  = 16 // loops that are looked at for one conn
	evenKeeps  = 16 // one in so many of the conns passed on here stays, so that none circulates forever

	// evenMemory is how long a conn that was passed on is counted here. By then the
	// other loop has taken it and counts it itself.
	evenMemory = 20 * time.Millisecond
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
	if least < 0 || own < others[least]+evenMargin || own*loops*evenPart <= sum*(evenPart+1) {
		return -1
	}
	return least
}

// even holds the other running loops, as one loop knows them.
type even struct {
	others []neighbour
	turn   int // where in others a look begins
	passed int // conns that others have passed on here
	loads  [evenLooks]int
}

// neighbour is another loop.
type neighbour struct {
	slot   int
	conns  *board.Counter
	passed int          // to it, within evenMemory
	at     tick.Instant // when the last of them was
}

// newEven begins with the loop after the own one, so that loops which see the same
// counts do not all choose the same loop.
func newEven(b *board.Board, own int, slots []int) (e even) {
	at := max(0, slices.Index(slots, own))
	for i := range slots {
		if slot := slots[(at+i)%len(slots)]; slot != own {
			e.others = append(e.others, neighbour{slot: slot, conns: &b.Loop(slot).ClientConns})
		}
	}
	return e
}

// choose returns the loop that takes the next conn of a loop with own conns, or nil if
// this one keeps it. Of many loops it looks at a few, different ones each time.
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

// keeps reports whether this loop must keep a conn that another loop passed on. One in
// evenKeeps is always kept.
func (e *even) keeps() bool {
	e.passed++
	return e.passed%evenKeeps == 0
}

// passesOn passes a new conn on to another loop if that one has clearly fewer. It
// reports whether it has: fd is no longer this loop's then.
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

// Passed takes over a client connection that another loop has accepted, or passes it on
// again. In a drain its first request is still answered.
func (p *Proxy) Passed(fd int, peer netip.AddrPort) {
	if p.even.keeps() || !p.passesOn(fd, peer) {
		p.take(fd, peer)
	}
}
