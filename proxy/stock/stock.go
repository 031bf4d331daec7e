// Package stock holds how many idle conns all loops together keep to one backend: idle_max,
// and with max_connections no more than are left beside the attempts. A backend that serves
// one conn at a time would wait for a request on an idle conn of one loop, while another loop
// has one. It does not know what a conn is.
package stock

import (
	"lb/board"
)

// Stock is what one loop knows of the idle conns to one backend. Only that loop may use it.
type Stock struct {
	board    *board.Board
	slot, id int
	own      *board.Backend
	most     uint64 // attempts and idle conns; 0: no limit
	idle     uint64 // idle conns; 0: no limit
}

// Init prepares s for the loop in a slot of b, and the backend id.
func (s *Stock) Init(b *board.Board, slot, id int) {
	*s = Stock{board: b, slot: slot, id: id, own: b.Backend(slot, id)}
}

// Use makes these the limits, as package config has them: max_connections and idle_max. It
// reports whether a conn may be kept at all.
func (s *Stock) Use(connections, idle int) (keeps bool) {
	s.most, s.idle = uint64(connections), uint64(max(0, idle))
	return idle >= 0
}

// Put counts one more idle conn, or returns false: it is not to be kept. ending is how many
// attempts of this loop end with it, which still count.
//
// It raises its own word before it reads those of others, as a loop that wants an attempt
// does: so one of the two sees the other.
func (s *Stock) Put(ending int) bool {
	if s.most|s.idle == 0 {
		s.own.Idle.Add(1)
		return true
	}
	s.own.Idle.Raise(1)
	n := s.board.Idle(s.id)
	if s.idle > 0 && n > s.idle || s.most > 0 && n+s.board.InFlight(s.id) > s.most+uint64(ending) {
		s.own.Idle.Sub(1)
		return false
	}
	return true
}

// Take notes that a conn that was counted by Put is not idle any longer.
func (s *Stock) Take() { s.own.Idle.Sub(1) }

// Surplus returns how many idle conns have to go before another conn is made, for an attempt
// that counts already.
func (s *Stock) Surplus() int {
	if s.most == 0 {
		return 0
	}
	return max(0, int(s.board.Idle(s.id)+s.board.InFlight(s.id))-int(s.most))
}

// Owed returns how many idle conns this loop has that are surplus.
func (s *Stock) Owed() int {
	if s.most == 0 || s.own.Idle.Load() == 0 {
		return 0
	}
	return min(s.Surplus(), int(s.own.Idle.Load()))
}

// Ask has other loops give up n idle conns.
func (s *Stock) Ask(n int) {
	for slot := range s.board.Loops() {
		if slot == s.slot || n <= 0 {
			continue
		}
		if has := int(s.board.Backend(slot, s.id).Idle.Load()); has > 0 {
			s.board.Ring(slot)
			n -= has
		}
	}
}
