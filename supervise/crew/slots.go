package crew

import (
	"errors"
	"os"
	"sync"

	"lb/board"
)

// Slots claims loop slots of a board that two processes of lb may share during an
// upgrade. A slot in use is locked in the board's file by the supervisor that has
// claimed it and by its worker, so that every process sees it. Any goroutine may
// call the methods.
type Slots struct {
	board *board.Board
	locks *board.Slots

	mu   sync.Mutex
	ours map[int]bool
}

// errNoSlot says that every loop slot of the board is in use.
var errNoSlot = errors.New("no loop slot of the board is free")

// NewSlots returns Slots with none claimed. f is the board's file, which has to stay
// open as long as Slots are used: closing any descriptor of it would end the locks
// of this process.
func NewSlots(b *board.Board, f *os.File) *Slots {
	return &Slots{board: b, locks: b.Slots(f), ours: map[int]bool{}}
}

// claim returns the lowest slot that no process uses, with its gauges at zero. It is
// ours until release.
func (s *Slots) claim() (slot int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.LoopsRoom() {
		if s.ours[slot] {
			continue
		}
		got, err := s.lock(slot)
		if err != nil {
			return 0, err
		}
		if got {
			s.board.ClaimLoop(slot)
			s.board.TakeOver(slot)
			s.ours[slot] = true
			return slot, nil
		}
	}
	return 0, errNoSlot
}

// lock locks slot, unless another process has it. The locks are shared: of two
// processes that claim a slot at once each sees the other afterwards, and both look
// further.
func (s *Slots) lock(slot int) (got bool, err error) {
	if held, err := s.locks.Held(slot); held || err != nil {
		return false, err
	}
	if err := s.locks.Hold(slot); err != nil {
		return false, err
	}
	held, err := s.locks.Held(slot)
	if held || err != nil {
		s.locks.Drop(slot)
		return false, err
	}
	return true, nil
}

// release gives up a slot whose loop has ended.
func (s *Slots) release(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.TakeOver(slot)
	s.locks.Drop(slot)
	delete(s.ours, slot)
}

// Sweep sets the gauges to zero of slots that no process holds any longer, because
// the lb that claimed them is gone or was killed.
func (s *Slots) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.Loops() {
		if s.ours[slot] {
			continue
		}
		if held, err := s.locks.Held(slot); err == nil && !held {
			s.board.TakeOver(slot)
		}
	}
}
