package supervise

import (
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/internal/testkit"
	"lb/supervise/slots"
)

// The error for a caller that waits too long for the desk names what the desk is doing.
func TestDeskBusy(t *testing.T) {
	d := newQueue()
	began, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.run("baking bread", func() { close(began); <-end })
	}()
	<-began
	err := d.askWithin(time.Millisecond, "nothing", func() { t.Error("it was done") })
	if err == nil || !strings.Contains(err.Error(), "busy baking bread") {
		t.Errorf("%v, want what the desk is doing", err)
	}
	close(end)
	testkit.Wait(t, ended, "the bread")
	d.close()
	if err := d.ask("nothing", func() { t.Error("it was done") }); err != errEnding {
		t.Errorf("%v after the end, want %v", err, errEnding)
	}
	d.tell("nothing", nil, func() { t.Error("it was done") })
}

// A goroutine with news for a desk that takes no more does not wait.
func TestDeskTellCancelled(t *testing.T) {
	d := newQueue()
	cancelled, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.tell("nothing", cancelled, func() { t.Error("it was done") })
	}()
	close(cancelled)
	testkit.Wait(t, ended, "tell to give up")
}

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
