package supervise

import "lb/supervise/plan"

// reusable reports whether an ID that was retired by the configuration of a number
// may be given to another backend: no loop can pick it any more, and no attempt is
// at work.
func (s *server) reusable(id int, by uint64) bool {
	if id >= s.board.Backends() {
		return true // nobody has ever been there
	}
	return s.board.OldestConfig() >= by && s.board.InFlight(id) == 0
}

// take makes the board ready for an assignment, before any loop hears of it. new
// says that backends without a past come to others that have one, and are
// slow-started.
func (s *server) take(a *plan.Assignment, new bool) {
	at := int64(s.clock())
	for _, id := range a.Fresh {
		if id < s.board.Backends() { // else nobody has ever written there
			s.board.Reset(id)
		}
		s.board.ClaimBackend(id)
		if new {
			s.board.Added(id, at)
		}
	}
	for _, id := range a.Back {
		s.board.ResetState(id)
		s.board.Added(id, at)
	}
	s.registry = a.Registry
}
