package board

import (
	"fmt"
	"sync/atomic"
)

// This file is what the control plane alone does to a board: take loop slots and
// backend IDs into use, and give them to others.

// ClaimLoop takes a loop slot, and all below it, into use. It panics when the
// board has no room for it. The slot may be given to a loop behind it.
func (b *Board) ClaimLoop(slot int) {
	if uint(slot) >= uint(b.room.loops) {
		panic(fmt.Sprintf("board: loop %d, but room for %d", slot, b.room.loops))
	}
	b.raise(wordLoops, uint64(slot)+1)
}

// ClaimBackend takes a backend ID, and all below it, into use. It panics when the
// board has no room for it. Snapshots may name the ID behind it.
func (b *Board) ClaimBackend(id int) {
	if uint(id) >= uint(b.room.backends) {
		panic(fmt.Sprintf("board: backend %d, but room for %d", id, b.room.backends))
	}
	b.raise(wordBackends, uint64(id)+1)
}

// raise makes a word of the header at least n. Two supervisors, of which one is
// taking over from the other, may call it at once.
func (b *Board) raise(word int, n uint64) {
	for {
		old := atomic.LoadUint64(&b.words[word])
		if old >= n || atomic.CompareAndSwapUint64(&b.words[word], old, n) {
			return
		}
	}
}

// TakeOver sets the gauges of a loop slot to zero, OldestConfig included: the
// conns and attempts of one that was killed in it are gone, its counters go on.
// It is called before a loop begins in the slot, and when one has ended in it.
func (b *Board) TakeOver(loop int) {
	l := b.Loop(loop)
	for _, gauge := range []*Counter{
		&l.ClientConns, &l.BackendConns, &l.BackendIdle, &l.Exchanges, &l.Tunnels, &l.OldestConfig,
	} {
		gauge.Set(0)
	}
	for i := range b.Backends() {
		slot := b.Backend(loop, i)
		slot.InFlight.Set(0)
		slot.WaitsSince.Set(0)
	}
}

// OldestConfig returns the number of the oldest configuration snapshot that any
// loop at work may still pick from, or 0 when no loop is at work.
func (b *Board) OldestConfig() (oldest uint64) {
	for i := range b.Loops() {
		n := b.Loop(i).OldestConfig.Load()
		if n != 0 && (oldest == 0 || n < oldest) {
			oldest = n
		}
	}
	return oldest
}

// Reset sets all words of a backend to zero, in all loops: its ID is given to
// another one. No loop may pick it, or have an attempt at work at it.
func (b *Board) Reset(id int) {
	for loop := range b.Loops() { // no other slot was ever written
		slot := b.Backend(loop, id).counters()
		for i := range slot {
			slot[i].Set(0)
		}
	}
	b.ResetState(id)
}

// ResetState sets the state of a backend to zero, and no counter: it comes back
// after a time in which nobody looked after it.
func (b *Board) ResetState(id int) {
	words := b.State(id).words()
	for i := range words {
		words[i].Store(0)
	}
	b.Changed()
}
