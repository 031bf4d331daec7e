package supervise

import (
	"testing"

	"lb/board"
	"lb/supervise/slots"
)

// A process that is being replaced, or ends, leaves the slots of the board to others.
func TestChoresLeaveSlots(t *testing.T) {
	b := board.New(1, 0)
	b.Loop(0).ClientConns.Set(5) // as if another process had just begun there
	s := &desk{slots: slots.New(b, nil)}
	for _, busy := range []struct {
		moving *upgrading
		ending *ending
	}{{moving: &upgrading{}}, {ending: &ending{}}} {
		s.moving, s.ending = busy.moving, busy.ending
		if s.chores(); b.Loop(0).ClientConns.Load() != 5 {
			t.Errorf("in an upgrade %v, at the end %v: the slot is tidied", s.moving != nil, s.ending != nil)
		}
	}
	s.moving, s.ending = nil, nil
	if s.chores(); b.Loop(0).ClientConns.Load() != 0 {
		t.Error("a slot that nobody has is not tidied")
	}
}
