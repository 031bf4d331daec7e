package board

import (
	"testing"
	"time"
)

// TestNoteHandshake: a handshake is counted by its end and, if it has succeeded, in the
// bucket whose bound it does not exceed.
func TestNoteHandshake(t *testing.T) {
	b := New(1, 0)
	l := b.Loop(0)
	for i, bound := range HandshakeBounds {
		l.NoteHandshake(HandshakeFull, bound)
		l.NoteHandshake(HandshakeResumed, bound+1)
		if i > 0 && bound <= HandshakeBounds[i-1] {
			t.Errorf("bound %d is %v after %v", i, bound, HandshakeBounds[i-1])
		}
	}
	l.NoteHandshake(HandshakeLate, time.Hour)
	l.NoteHandshake(HandshakeFull, -1) // a clock that stood still
	sum := b.Totals()
	for i, n := range sum.HandshakeTimes {
		want := uint64(2)
		if i == len(HandshakeBounds) {
			want = 1
		}
		if n != want {
			t.Errorf("bucket %d has %d, want %d", i, n, want)
		}
	}
	if n := uint64(len(HandshakeBounds)); sum.Handshakes != [HandshakeEnds]uint64{n + 1, n, 0, 0, 1} || sum.HandshakeNanos == 0 {
		t.Errorf("%v, %d ns", sum.Handshakes, sum.HandshakeNanos)
	}
}
