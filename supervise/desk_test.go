package supervise

import (
	"os"
	"syscall"
	"testing"

	"lb/board"
	"lb/supervise/crew"
)

// Signals that end lb are kept, however many signals wait.
func TestIntake(t *testing.T) {
	signals := make(chan os.Signal)
	in := newIntake(signals)
	for range 1000 {
		signals <- syscall.SIGHUP
		signals <- syscall.SIGUSR2
	}
	signals <- syscall.SIGTERM
	for range 1000 {
		signals <- syscall.SIGHUP
	}
	signals <- syscall.SIGQUIT
	in.close()
	if len(in.reload) != 1 || len(in.upgrade) != 1 || len(in.end) != 2 {
		t.Errorf("%d reloads, %d upgrades, %d ends; want 1, 1, 2", len(in.reload), len(in.upgrade), len(in.end))
	}
	if first, second := <-in.end, <-in.end; first != syscall.SIGTERM || second != syscall.SIGQUIT {
		t.Errorf("ends %v, %v", first, second)
	}
}

// A process that is being replaced, or ends, leaves the slots of the board to others.
func TestChoresLeaveSlots(t *testing.T) {
	b := board.New(1, 0)
	b.Loop(0).ClientConns.Set(5) // as if another process had just begun there
	s := &desk{slots: crew.NewSlots(b, nil)}
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
