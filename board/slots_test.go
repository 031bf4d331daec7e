package board

import (
	"os"
	"testing"
)

// slotHeld is Slots.Held for a test.
func slotHeld(t *testing.T, s *Slots, slot int) bool {
	t.Helper()
	got, err := s.Held(slot)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// seenHeld returns Held as another process sees it.
func seenHeld(t *testing.T, f *os.File, slot int) bool {
	t.Helper()
	other := start(t, f, "ask", slot)
	other.end()
	return other.said == "true"
}

// TestHeldUntilTheLast: a slot is held until its last holder has ended, even by SIGKILL.
// No other slot is held.
func TestHeldUntilTheLast(t *testing.T) {
	b, f := create(t, 2, 1)
	slots := b.Slots(f)
	supervisor, worker := start(t, f, "hold", 1), start(t, f, "hold", 1)
	for slot := range b.LoopsRoom() {
		if got := slotHeld(t, slots, slot); got != (slot == 1) {
			t.Errorf("slot %d: held is %v", slot, got)
		}
	}
	worker.kill()
	if !slotHeld(t, slots, 1) {
		t.Error("the slot is free, but one of its two holders lives")
	}
	supervisor.kill()
	if slotHeld(t, slots, 1) {
		t.Error("the slot is held by processes that were killed")
	}
}

// TestHoldAndDrop: others see this process's hold, but it does not see its own. Neither
// opening the board again nor starting a process ends the hold.
func TestHoldAndDrop(t *testing.T) {
	b, f := create(t, 2, 1)
	slots := b.Slots(f)
	for range 2 {
		if err := slots.Hold(0); err != nil {
			t.Fatal(err)
		}
	}
	if slotHeld(t, slots, 0) {
		t.Error("its own hold counts as another's")
	}
	again, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	for range 2 {
		if !seenHeld(t, f, 0) {
			t.Error("another process may take the slot that this one holds")
		}
	}
	worker := start(t, f, "hold", 0)
	for range 2 {
		if err := slots.Drop(0); err != nil {
			t.Fatal(err)
		}
	}
	if !slotHeld(t, slots, 0) {
		t.Error("Drop ended the hold of another")
	}
	worker.end()
	if seenHeld(t, f, 0) {
		t.Error("the slot was given up, but is held")
	}
}

// TestSlotsOfTheHeap: no other process holds the slots of a one-process board.
func TestSlotsOfTheHeap(t *testing.T) {
	slots := New(2, 1).Slots(nil)
	if err := slots.Hold(1); err != nil {
		t.Error(err)
	}
	if slotHeld(t, slots, 1) || slotHeld(t, slots, 0) {
		t.Error("held by a process that cannot be")
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
	if _, err := slots.Held(0); err == nil {
		t.Error("a file that is closed was asked, and answered")
	}
}
