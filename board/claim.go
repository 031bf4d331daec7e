package board

import (
	"fmt"
	"sync/atomic"

	"lb/board/tally"
)

// This file is for the control plane alone: it claims loop slots and backend IDs,
// and prepares them for their next use.

// ClaimLoop claims a loop slot and all below it. It panics if the board has no room
// for it. Afterwards a loop may run in the slot.
func (b *Board) ClaimLoop(slot int) {
	if uint(slot) >= uint(b.room.loops) {
		panic(fmt.Sprintf("board: loop %d, but room for %d", slot, b.room.loops))
	}
	b.raise(wordLoops, uint64(slot)+1)
}

// ClaimBackend claims a backend ID and all below it. It panics if the board has no
// room for it. Afterwards configurations may use the ID.
func (b *Board) ClaimBackend(id int) {
	if uint(id) >= uint(b.room.backends) {
		panic(fmt.Sprintf("board: backend %d, but room for %d", id, b.room.backends))
	}
	b.raise(wordBackends, uint64(id)+1)
}

// ClaimSeries claims a series and all below it. It panics if the board has no room for
// it. Afterwards loops may use the series.
func (b *Board) ClaimSeries(series int) {
	if uint(series) >= uint(b.room.series) {
		panic(fmt.Sprintf("board: series %d, but room for %d", series, b.room.series))
	}
	b.raise(wordSeries, uint64(series)+1)
}

// ClearSeries sets a series to zero, in all loops, before it goes to another pool or
// backend. No loop may use it.
func (b *Board) ClearSeries(series int) {
	for loop := range b.Loops() {
		part := b.Series(loop, series).counters()
		for i := range part {
			part[i].Set(0)
		}
	}
}

// raise makes a word of the header at least n. During an upgrade two supervisors
// may call it at the same time.
func (b *Board) raise(word int, n uint64) {
	for {
		old := atomic.LoadUint64(&b.words[word])
		if old >= n || atomic.CompareAndSwapUint64(&b.words[word], old, n) {
			return
		}
	}
}

// TakeOver sets the gauges of a loop slot to zero, including OldestConfig: the
// conns and attempts of a loop that was killed there are gone. The other counters
// continue. It is called before a loop starts in the slot, and after one has ended
// there.
func (b *Board) TakeOver(loop int) {
	l := b.Loop(loop)
	for _, gauge := range []*Counter{
		&l.ClientConns, &l.BackendConns, &l.BackendIdle, &l.Exchanges, &l.Tunnels, &l.OldestConfig,
		&l.HTTP2Conns, &l.HTTP2BackendConns, &l.Knocking, &l.IdleSince, &l.RoutesWait,
	} {
		gauge.Set(0)
	}
	for i := range b.Backends() {
		slot := b.Backend(loop, i)
		slot.InFlight.Set(0)
		slot.WaitsSince.Set(0)
		slot.Queued.Set(0)
		slot.Idle.Set(0)
	}
	tally.Clear(b.Tally(loop))
}

// OldestConfig returns the number of the oldest configuration that any active loop
// may still pick from, or 0 if no loop is active.
func (b *Board) OldestConfig() (oldest uint64) {
	for i := range b.Loops() {
		n := b.Loop(i).OldestConfig.Load()
		if n != 0 && (oldest == 0 || n < oldest) {
			oldest = n
		}
	}
	return oldest
}

// Clear sets all words of a backend to zero, in all loops, before its ID goes to
// another backend. No loop may pick it or have an attempt active there.
func (b *Board) Clear(id int) {
	for loop := range b.Loops() { // no other slot was ever written
		slot := b.Backend(loop, id).counters()
		for i := range slot {
			slot[i].Set(0)
		}
	}
	b.ClearState(id)
}

// ClearState sets the state of a backend to zero but keeps its counters, for a
// backend that returns after a time in which nothing updated its state.
func (b *Board) ClearState(id int) {
	words := b.State(id).words()
	for i := range words {
		words[i].Store(0)
	}
	b.Changed()
}
