// Package slots claims the places of loops on a board that two processes of lb may share
// during an upgrade, and gives them up again.
package slots

import (
	"errors"
	"os"
	"sync"

	"lb/board"
)

// Slots claims loop slots of a board. A slot in use is locked in the board's file by the
// supervisor that has claimed it and by its worker, so that every process sees it. Any
// goroutine may call the methods.
type Slots struct {
	board *board.Board
	locks *board.Slots

	mu   sync.Mutex
	ours map[int]bool // that we have locked; false: no loop of ours is there, but lines that nobody has read
	read bool         // the lines of the access log in our slots are read
}

// ErrNone says that every loop slot of the board is in use.
var ErrNone = errors.New("no loop slot of the board is free")

// New returns Slots with none claimed. f is the board's file, which has to stay
// open as long as Slots are used: closing any descriptor of it would end the locks
// of this process.
func New(b *board.Board, f *os.File) *Slots {
	return &Slots{board: b, locks: b.Slots(f), ours: map[int]bool{}}
}

// Read says that this process reads the access log in its slots. From now on a slot is
// not given up before Unread has seen that everything is read: of two processes that read
// one slot each would write its lines.
func (s *Slots) Read() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = true
}

// Unread returns the slots of which this process reads the access log. It is for the
// goroutine that reads, between two reads, and gives up slots without a loop and without
// lines.
func (s *Slots) Unread() (list []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.Loops() {
		looped, ours := s.ours[slot]
		switch {
		case !ours:
		case looped || s.hasLines(slot):
			list = append(list, slot)
		default:
			s.drop(slot)
		}
	}
	return list
}

func (s *Slots) hasLines(slot int) bool {
	first, _ := s.board.LogRing(slot).Pending()
	return len(first) > 0
}

// Claim returns the lowest slot that no process uses, with its gauges at zero. It is
// ours until Release.
func (s *Slots) Claim() (slot int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.LoopsRoom() {
		looped, ours := s.ours[slot]
		if looped {
			continue
		}
		if !ours {
			if ours, err = s.lock(slot); err != nil {
				return 0, err
			}
		}
		if ours {
			s.board.ClaimLoop(slot)
			s.board.TakeOver(slot)
			s.ours[slot] = true
			return slot, nil
		}
	}
	return 0, ErrNone
}

// Ours reports whether a loop of this process is in slot, or has left lines there that
// nobody has read.
func (s *Slots) Ours(slot int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ours := s.ours[slot]
	return ours
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

// Release gives up a slot whose loop has ended, at the latest when its lines are read.
func (s *Slots) Release(slot int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.TakeOver(slot)
	if s.ours[slot] = false; !s.read {
		s.drop(slot)
	}
}

func (s *Slots) drop(slot int) {
	s.locks.Drop(slot)
	delete(s.ours, slot)
}

// Sweep sets the gauges to zero of slots that no process holds any longer, because
// the lb that claimed them is gone or was killed. The lines that it has not read are ours.
func (s *Slots) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot := range s.board.Loops() {
		if _, ours := s.ours[slot]; ours {
			continue
		}
		if held, err := s.locks.Held(slot); err != nil || held {
			continue
		}
		s.board.TakeOver(slot)
		if s.read && s.hasLines(slot) {
			if got, err := s.lock(slot); got && err == nil {
				s.ours[slot] = false
			}
		}
	}
}
