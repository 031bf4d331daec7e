package board

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
)

// Board is the whole of it. The board itself is read by anyone; what may be
// written is said at Loop, Backend, State and Control.
type Board struct {
	room  shape    // not what is in use, see Loops and Backends
	words []uint64 // header, slots and blocks, see layout.go
	mem   []byte   // the mapping that words lie in; nil on the heap
	slots int      // what InFlight wants at hand: first word of backend 0's slot in loop 0,
	block int      // and the words from one backend to the next
	file  *os.File // never closed by the collector while the board is in use, see Slots; or nil
}

// New returns a board on the heap, for one process that never reloads: its room
// is all in use. It panics for a room that Create refuses.
func New(loops, backends int) *Board {
	room := shape{loops, backends}
	if err := room.check(); err != nil {
		panic(err)
	}
	b := newBoard(room, aligned(room.words()), nil)
	room.writeHeader(b.words)
	b.words[wordLoops], b.words[wordBackends] = uint64(loops), uint64(backends)
	return b
}

// newBoard returns the board in words, which lie in mem, or on the heap.
func newBoard(room shape, words []uint64, mem []byte) *Board {
	return &Board{room: room, words: words, mem: mem, slots: room.backendStart(0, 0), block: room.blockWords()}
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

// Loops returns one past the highest loop slot that was ever claimed.
func (b *Board) Loops() int { return int(atomic.LoadUint64(&b.words[wordLoops])) }

// Backends returns one past the highest backend ID that was ever claimed, over
// all pools.
func (b *Board) Backends() int { return int(atomic.LoadUint64(&b.words[wordBackends])) }

// LoopsRoom returns how many loop slots can be claimed.
func (b *Board) LoopsRoom() int { return b.room.loops }

// BackendsRoom returns how many backend IDs can be claimed.
func (b *Board) BackendsRoom() int { return b.room.backends }

// Loop returns the slot of a loop, which lives as long as the board. It panics
// if the slot is beyond those that were claimed.
func (b *Board) Loop(loop int) *Loop {
	b.checkLoop(loop)
	return loopView(b.words[b.room.loopStart(loop):])
}

// Backend returns the slot of a backend in a loop, which lives as long as the
// board. It panics if either is beyond those that were claimed.
func (b *Board) Backend(loop, backend int) *Backend {
	b.checkLoop(loop)
	b.checkBackend(backend)
	return backendView(b.words[b.room.backendStart(loop, backend):])
}

// State returns the state of a backend, which lives as long as the board. It
// panics if the ID is beyond those that were claimed.
func (b *Board) State(backend int) *State {
	b.checkBackend(backend)
	return stateView(b.words[b.room.blockStart(backend):])
}

func (b *Board) checkLoop(loop int) {
	if loops := b.Loops(); uint(loop) >= uint(loops) {
		panic(fmt.Sprintf("board: loop %d of %d", loop, loops))
	}
}

func (b *Board) checkBackend(backend int) {
	if backends := b.Backends(); uint(backend) >= uint(backends) {
		panic(fmt.Sprintf("board: backend %d of %d", backend, backends))
	}
}

// Control returns the words of the control plane, which live as long as the board.
func (b *Board) Control() *Control { return controlView(b.words[wordControl:]) }

// Control is what happened to the loops as a whole, written by the one supervisor
// at work. It outlives an upgrade.
type Control struct {
	WorkerRestarts Counter
	Reloads        Counter // that were taken up
	ReloadFaults   Counter // that were refused, or not taken up by all
	Upgrades       Counter // that ended with a new binary at work
	StartedAt      Counter // when the first supervisor started: nanoseconds since 1970, the wall's clock
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

	// OldestConfig is the number of the oldest configuration snapshot from which
	// an exchange of this loop may still pick or retry; 0: the slot is not at work.
	// Whoever starts a loop sets it first, behind TakeOver, so that there is no
	// moment at which the loop has a snapshot that nobody knows of.
	OldestConfig Counter
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
