// Package usable is the rule whether a pool has a backend for a new client, by what the board
// says, for those that pick none: readiness, status, the log. Package upstream picks by the
// same rule.
package usable

import (
	"lb/board"
	"lb/config"
	"lb/config/health"
)

// FailsOpen reports whether h has a pool use its backends as if all were up, with so many of
// all that are to be used down.
func FailsOpen(h *health.Health, down, all int) bool {
	return h.Panic == health.PanicFailOpen && down > 0 && down*100 >= h.PanicPercent*all
}

// Standing is what the board says of a pool's backends for new clients.
type Standing struct {
	All  int  // those that are neither drained nor disabled
	Down int  // of these, by active checks
	Open bool // all count as up, because so many are down
}

// Any reports whether a backend can be picked. Ejected ones are when the others are out,
// because faults alone never empty a pool, and so are those that ask for no new clients.
func (s Standing) Any() bool { return s.Down < s.All || s.Open }

// Of returns the standing of a pool whose backends have these IDs on the board.
func Of(b *board.Board, p *config.Pool, ids []int) (s Standing) {
	for j := range p.Backends {
		state := b.State(ids[j])
		if p.Backends[j].Drain || board.Admin(state.Admin.Load()) != board.Enabled {
			continue
		}
		s.All++
		if board.Health(state.Health.Load()) == board.Down {
			s.Down++
		}
	}
	s.Open = FailsOpen(&p.Health, s.Down, s.All)
	return s
}
