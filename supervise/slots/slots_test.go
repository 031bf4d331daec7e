package slots

import (
	"slices"
	"testing"

	"lb/board"
)

// newBoard returns a board that processes share.
func newBoard(t *testing.T) (*board.Board, *Slots) {
	t.Helper()
	b, f, err := board.Create(board.Room(board.Size{Loops: 2, Backends: 1, Series: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); f.Close() })
	return b, New(b, f)
}

// claim claims a slot, in which a loop writes a line.
func claim(t *testing.T, b *board.Board, s *Slots) (slot int, ring *board.LogRing) {
	t.Helper()
	slot, err := s.Claim()
	if err != nil {
		t.Fatal(err)
	}
	ring = b.LogRing(slot)
	ring.Append([]byte("line\n"))
	return slot, ring
}

// TestKeptUntilRead: a slot whose loop has ended stays ours while it has lines, and is given
// up when they are read. A loop that comes first gets it again.
func TestKeptUntilRead(t *testing.T) {
	b, s := newBoard(t)
	s.Read()
	slot, ring := claim(t, b, s)
	s.Release(slot)
	if got := s.Unread(); !slices.Equal(got, []int{slot}) {
		t.Fatalf("%v are unread, want %d", got, slot)
	}
	again, err := s.Claim()
	if err != nil || again != slot {
		t.Errorf("another loop gets %d, %v", again, err)
	}
	s.Release(slot)
	ring.Consume(len("line\n"))
	if got := s.Unread(); len(got) > 0 || len(s.ours) > 0 {
		t.Errorf("%v are unread, and %v kept", got, s.ours)
	}
}

// TestGivenUpAtOnce: nobody waits for a reader that is not there.
func TestGivenUpAtOnce(t *testing.T) {
	b, s := newBoard(t)
	slot, _ := claim(t, b, s)
	if s.Release(slot); len(s.ours) > 0 {
		t.Errorf("%v are kept", s.ours)
	}
}

// TestLinesOfNobody: lines that a process has left behind are ours, and its slot with them.
func TestLinesOfNobody(t *testing.T) {
	b, gone := newBoard(t)
	slot, ring := claim(t, b, gone)
	gone.Release(slot)
	s := &Slots{board: b, locks: gone.locks, ours: map[int]bool{}}
	if s.Sweep(); len(s.Unread()) > 0 {
		t.Error("a process that reads nothing keeps them")
	}
	s.Read()
	s.Sweep()
	if got := s.Unread(); !slices.Equal(got, []int{slot}) {
		t.Fatalf("%v are unread, want %d", got, slot)
	}
	ring.Consume(len("line\n"))
	if s.Sweep(); len(s.Unread()) > 0 {
		t.Error("they are kept after they were read")
	}
}
