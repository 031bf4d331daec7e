package board

import (
	"fmt"
	"testing"
)

// benchShapes runs f on boards with few and many loops and backends. next returns backend
// IDs in an order that the processor cannot predict, as in real picks.
func benchShapes(b *testing.B, f func(b *testing.B, board *Board, next func() int)) {
	for _, s := range []shape{{loops: 2, backends: 4}, {loops: 64, backends: 4}, {loops: 2, backends: 1000}, {loops: 64, backends: 1000}} {
		b.Run(fmt.Sprintf("loops=%d/backends=%d", s.loops, s.backends), func(b *testing.B) {
			board := benchBoard(b, s)
			at := uint64(0)
			b.ReportAllocs()
			f(b, board, func() int {
				at = at*6364136223846793005 + 1442695040888963407
				return int((at >> 32) * uint64(s.backends) >> 32)
			})
		})
	}
}

func BenchmarkInFlight(b *testing.B) {
	benchShapes(b, func(b *testing.B, board *Board, next func() int) {
		for b.Loop() {
			board.InFlight(next())
		}
	})
}

// BenchmarkScan measures a pick that looks at all backends in order.
func BenchmarkScan(b *testing.B) {
	benchShapes(b, func(b *testing.B, board *Board, _ func() int) {
		for b.Loop() {
			for i := range board.Backends() {
				board.InFlight(i)
			}
		}
	})
}

func BenchmarkReserve(b *testing.B) {
	benchShapes(b, func(b *testing.B, board *Board, next func() int) {
		for b.Loop() {
			id := next()
			if board.Reserve(1, id, 100) {
				board.Backend(1, id).InFlight.Sub(1)
			}
		}
	})
}

// benchBoard returns a shared board as supervise creates it.
func benchBoard(b *testing.B, s shape) *Board {
	board, f, err := Create(Room(Size{Loops: s.loops, Backends: s.backends}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		f.Close()
		board.Close()
	})
	board.ClaimLoop(s.loops - 1)
	board.ClaimBackend(s.backends - 1)
	return board
}
