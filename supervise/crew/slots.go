package crew

import (
	"errors"
	"os"
	"sync"

	"lb/board"
)

// Slots gives out the loop slots of a board that several generations of lb
// may share for the time of an upgrade. A slot in use is locked by the
// supervisor that gave it out and by its worker, in any process that has the
// board's file. Its methods may be called by several goroutines.
type Slots struct {
	board *board.Board
	locks *board.Slots

	mu   sync.Mutex
	ours map[int]bool
}

// errNoSlot says that every loop slot of the board is in use.
var errNoSlot = errors.New("no loop slot of the board is free")

// NewSlots returns a book of which no slot is ours. f is the board's file,
// which stays open as long as the book is used: closing any descriptor of it
// would end the locks of this process.
func NewSlots(b *board.Board, f *os.File) *Slots {
	return &Slots{board: b, locks: b.Slots(f), ours: map[int]bool{}}
}

// Claim returns the lowest slot that nobody uses, with its gauges at zero. It is
// ours until give.
func (s *Slots) Claim() (slot int, err error) {
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

// lock locks slot, unless another process has it. The locks are shared, so two
// that claim at once both see the other afterwards, and both look further.
func (s *Slots) lock(slot int) (got bool, err error) {
	if taken, err := s.locks.Taken(slot); taken || err != nil {
		return false, err
	}
	if err := s.locks.Hold(slot); err != nil {
		return false, err
	}
	taken, err := s.locks.Taken(slot)
	if taken || err != nil {
		s.locks.Drop(slot)
		return false, err
	}
	return true, nil
}

// Release lets go of a slot whose loop has ended.
func (s *Slots) Release(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.TakeOver(slot)
	s.locks.Drop(slot)
	delete(s.ours, slot)
}

// Sweep sets the gauges of slots to zero that nobody holds any more: those of
// another generation of lb that is gone, or was killed.
func (s *Slots) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.Loops() {
		if s.ours[slot] {
			continue
		}
		if taken, err := s.locks.Taken(slot); err == nil && !taken {
			s.board.TakeOver(slot)
		}
	}
}
