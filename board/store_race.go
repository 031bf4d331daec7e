//go:build race

package board

import (
	"encoding/binary"
	"sync/atomic"
)

// store writes one aligned word in a way that the race detector understands.
func store(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// storeBytes writes text into words in a way that the race detector understands.
func storeBytes(words []uint64, text []byte) {
	for len(text) > 0 {
		var b [wordBytes]byte
		n := copy(b[:], text)
		store(&words[0], binary.NativeEndian.Uint64(b[:]))
		words, text = words[1:], text[n:]
	}
}

// loadBytes reads text from words in a way that the race detector understands.
func loadBytes(text []byte, words []uint64) {
	for len(text) > 0 {
		var b [wordBytes]byte
		binary.NativeEndian.PutUint64(b[:], atomic.LoadUint64(&words[0]))
		n := copy(text, b[:])
		words, text = words[1:], text[n:]
	}
}
