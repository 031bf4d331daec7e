package board

import (
	"sync/atomic"
	"time"
)

// The bell of a loop is a word that other loops set when it is to look at the board although
// nothing happens there. Loops of other processes cannot be reached in another way. A thread
// beside the loop waits for it.
const (
	bellQuiet = iota
	bellAwaited
	bellRung
)

func (b *Board) bell(loop int) *uint64 {
	b.checkLoop(loop)
	return &b.words[b.room.bellStart(loop)]
}

// Ring rings the bell of a loop. It costs a system call if that loop waits for it.
func (b *Board) Ring(loop int) {
	word := b.bell(loop)
	if atomic.SwapUint64(word, bellRung) == bellAwaited {
		wake(word)
	}
}

// AwaitBell returns when the bell of a loop has been rung since the last call, and false
// after timeout at the latest. One goroutine of the loop's process calls it; it blocks a
// thread.
func (b *Board) AwaitBell(loop int, timeout time.Duration) (rung bool) {
	word := b.bell(loop)
	if old := atomic.LoadUint64(word); old != bellRung && atomic.CompareAndSwapUint64(word, old, bellAwaited) {
		sleepLog(word, timeout)
	}
	return atomic.SwapUint64(word, bellQuiet) == bellRung
}

// Tally returns the words in which a loop counts by key, see package tally. It panics if the
// slot was never claimed.
func (b *Board) Tally(loop int) []uint64 {
	b.checkLoop(loop)
	at := b.room.bellStart(loop) + lineWords
	return b.words[at : at+b.room.tallyWords() : at+b.room.tallyWords()]
}

// Enter counts a client conn of a loop, and returns true, unless all loops together would
// have more than limit. Only that loop may call it; ClientConns.Sub ends it. See Reserve.
func (b *Board) Enter(loop, limit int) bool {
	own := &b.Loop(loop).ClientConns.w
	for range reserveTries {
		atomic.AddUint64(own, 1)
		if b.Clients() <= limit {
			return true
		}
		atomic.AddUint64(own, ^uint64(0))
		if b.Clients() >= limit {
			return false
		}
	}
	return false
}

// Clients returns how many client conns all loops have.
func (b *Board) Clients() (n int) {
	for i := range b.Loops() {
		n += int(loopView(b.words[b.room.loopStart(i):]).ClientConns.Load())
	}
	return n
}

// Idle returns how many idle conns to a backend all loops have.
func (b *Board) Idle(backend int) (n uint64) {
	at := b.room.backendStart(0, backend)
	for range b.Loops() {
		n += backendView(b.words[at:]).Idle.Load()
		at += lines(backendWords)
	}
	return n
}
