package board

import "sync/atomic"

// CopyState returns a copy of the state of a backend, which is the caller's alone: what is
// done to it changes nothing on the board. It panics if the ID was never claimed.
func (b *Board) CopyState(backend int) *State {
	b.checkBackend(backend)
	from := b.words[b.room.blockStart(backend):][:stateWords]
	words := make([]uint64, len(from))
	for i := range words {
		words[i] = atomic.LoadUint64(&from[i])
	}
	return stateView(words)
}
