package accesslog

import (
	"log/slog"
	"time"

	"lb/board"
	"lb/supervise/slots"
)

// OfBoard returns a Writer of the lines of all loops of this process, and of loops that no
// process has any longer.
func OfBoard(log *slog.Logger, b *board.Board, s *slots.Slots) *Writer {
	s.Read()
	var unread []int // as of the last look at the rings
	return New(Options{
		Log: log,
		Rings: func() []Ring {
			unread = s.Unread()
			rings := make([]Ring, len(unread))
			for i, slot := range unread {
				rings[i] = b.LogRing(slot)
			}
			return rings
		},
		Await: func(timeout time.Duration) { b.AwaitLog(unread, timeout) },
		Dropped: func() (lines uint64) {
			for i := range b.Loops() {
				lines += b.Loop(i).LogLost.Load()
			}
			return lines
		},
		Lost: func(lines uint64) { b.Control().LogWriteLost.Add(lines) },
	})
}
