// Package board is the words that loops and the control plane share: counters
// per loop, and per backend and loop, and the state of each backend. One layout
// of atomic 64-bit words, on the heap in mt, in a shared memory file in mp, where
// it outlives a worker. A counter has one writer, its loop; readers add the slots
// up. A word of a state has several writers, see State.
package board

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Board is the whole of it. The board itself is read by anyone; what may be
// written is said at Loop, Backend and State.
type Board struct {
	shape
	words []uint64 // header and slots, see layout.go
	mem   []byte   // the mapping that words lie in; nil on the heap
}

// New returns a board on the heap. It panics for a shape that Create refuses.
func New(loops, backends int) *Board {
	s := shape{loops, backends}
	if err := s.check(); err != nil {
		panic(err)
	}
	words := aligned(s.words())
	s.writeHeader(words)
	return &Board{shape: s, words: words}
}

// Secret returns 32 random bytes that all loops of this board have, and nobody
// else: what lb signs with. They live as long as the board.
func (b *Board) Secret() []byte {
	out := make([]byte, 0, secretWords*wordBytes)
	for _, w := range b.words[wordSecret : wordSecret+secretWords] {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

// Loops returns the number of loops.
func (b *Board) Loops() int { return b.loops }

// Backends returns the number of backends, over all pools.
func (b *Board) Backends() int { return b.backends }

// Loop returns the slot of a loop, which lives as long as the board. It panics
// if there is no such loop.
func (b *Board) Loop(loop int) *Loop {
	if uint(loop) >= uint(b.loops) {
		panic(fmt.Sprintf("board: loop %d of %d", loop, b.loops))
	}
	return loopView(b.words[b.loopStart(loop):])
}

// Backend returns the slot of a backend in a loop, which lives as long as the
// board. It panics if there is no such loop or backend.
func (b *Board) Backend(loop, backend int) *Backend {
	if uint(loop) >= uint(b.loops) || uint(backend) >= uint(b.backends) {
		panic(fmt.Sprintf("board: loop %d of %d, backend %d of %d", loop, b.loops, backend, b.backends))
	}
	return backendView(b.words[b.backendStart(loop, backend):])
}

// TakeOver sets the gauges of a loop to zero. A loop calls it before it begins:
// the conns and attempts of one that was killed in its slot are gone, its
// counters go on.
func (b *Board) TakeOver(loop int) {
	l := b.Loop(loop)
	for _, gauge := range []*Counter{&l.ClientConns, &l.BackendConns, &l.BackendIdle, &l.Exchanges, &l.Tunnels} {
		gauge.Sub(gauge.Load())
	}
	for i := range b.backends {
		slot := b.Backend(loop, i)
		slot.InFlight.Set(0)
		slot.WaitsSince.Set(0)
	}
}

// Counter is one word with one writer: a plain load and an atomic store.
type Counter struct{ w uint64 }

// Add adds n. Only the loop that owns the slot may call it.
func (c *Counter) Add(n uint64) { store(&c.w, c.w+n) }

// Sub takes n off, for gauges.
func (c *Counter) Sub(n uint64) { store(&c.w, c.w-n) }

// Set replaces the value, for what is no count.
func (c *Counter) Set(n uint64) { store(&c.w, n) }

// Load returns the value; any goroutine or process may call it.
func (c *Counter) Load() uint64 { return atomic.LoadUint64(&c.w) }

// Loop is the slot of one loop. Gauges are set to zero when a loop takes the
// slot over; the rest goes on counting.
type Loop struct {
	ClientConns  Counter // gauge: open client conns
	BackendConns Counter // gauge: open backend conns, idle ones included
	BackendIdle  Counter // gauge: idle ones
	Exchanges    Counter // gauge: at work
	Tunnels      Counter // gauge: upgraded

	Accepted                         Counter // client conns
	AcceptErrors                     Counter
	Requests                         Counter    // whole request heads
	Replies                          [6]Counter // by status class: [1] 1xx ... [5] 5xx, to clients, own ones included
	OwnReplies                       [6]Counter // by status class, made by lb itself
	BytesFromClient, BytesToClient   Counter
	BytesFromBackend, BytesToBackend Counter
	Retries                          Counter
	ClientAborts                     Counter // the client went away inside an exchange
	Panics                           Counter
	Turns                            Counter
}

// Backend is the slot of one backend in one loop.
type Backend struct {
	InFlight                                              Counter // gauge: attempts at work
	Attempts                                              Counter
	Replies                                               [6]Counter // final responses by status class
	ConnectFaults, ResetFaults, TimeoutFaults, BadAnswers Counter
	Conns                                                 Counter // connections dialled
	BytesFrom, BytesTo                                    Counter

	// WaitsSince, in the slot of a pool's first backend, is since when the loop's
	// longest waiting exchange has waited for room in the pool; 0: none waits.
	WaitsSince Counter
}
