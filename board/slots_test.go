package board

import (
	"os"
	"testing"
)

// taken is Slots.Taken for a test.
func taken(t *testing.T, s *Slots, slot int) bool {
	t.Helper()
	got, err := s.Taken(slot)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// seenTaken returns what another process sees.
func seenTaken(t *testing.T, f *os.File, slot int) bool {
	t.Helper()
	other := start(t, f, "ask", slot)
	other.end()
	return other.said == "true"
}

// TestHeldUntilTheLast: a slot is taken until its last holder has ended, even by
// SIGKILL, and no other slot is.
func TestHeldUntilTheLast(t *testing.T) {
	b, f := create(t, 2, 1)
	slots := b.Slots(f)
	supervisor, worker := start(t, f, "hold", 1), start(t, f, "hold", 1)
	for slot := range b.LoopsRoom() {
		if got := taken(t, slots, slot); got != (slot == 1) {
			t.Errorf("slot %d: taken is %v", slot, got)
		}
	}
	worker.kill()
	if !taken(t, slots, 1) {
		t.Error("the slot is free, but one of its two holders lives")
	}
	supervisor.kill()
	if taken(t, slots, 1) {
		t.Error("the slot is taken by processes that were killed")
	}
}

// TestHoldAndDrop: others see this process's hold, it does not see its own, and
// neither opening the board again nor starting a process ends it.
func TestHoldAndDrop(t *testing.T) {
	b, f := create(t, 2, 1)
	slots := b.Slots(f)
	for range 2 {
		if err := slots.Hold(0); err != nil {
			t.Fatal(err)
		}
	}
	if taken(t, slots, 0) {
		t.Error("its own hold counts as another's")
	}
	again, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	for range 2 {
		if !seenTaken(t, f, 0) {
			t.Error("another process may take the slot that this one holds")
		}
	}
	worker := start(t, f, "hold", 0)
	for range 2 {
		if err := slots.Drop(0); err != nil {
			t.Fatal(err)
		}
	}
	if !taken(t, slots, 0) {
		t.Error("Drop ended the hold of another")
	}
	worker.end()
	if seenTaken(t, f, 0) {
		t.Error("the slot was given up, but is taken")
	}
}

// TestSlotsOfTheHeap: a board of one process has slots that nobody takes.
func TestSlotsOfTheHeap(t *testing.T) {
	slots := New(2, 1).Slots(nil)
	if err := slots.Hold(1); err != nil {
		t.Error(err)
	}
	if taken(t, slots, 1) || taken(t, slots, 0) {
		t.Error("taken by a process that cannot be")
	}
	if err := slots.Drop(1); err != nil {
		t.Error(err)
	}
}

func TestSlotsOfAClosedFile(t *testing.T) {
	b, f := create(t, 1, 1)
	slots := b.Slots(f)
	f.Close()
	if err := slots.Hold(0); err == nil {
		t.Error("held a slot of a file that is closed")
	}
	if _, err := slots.Taken(0); err == nil {
		t.Error("a file that is closed was asked, and answered")
	}
}
