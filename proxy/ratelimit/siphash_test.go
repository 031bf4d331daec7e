package ratelimit

import (
	"math/rand/v2"
	"testing"
)

// TestSipHash: the first test vectors of its authors, for the key 00 01 .. 0f and the input
// 00 01 .., of which they take more and more bytes.
func TestSipHash(t *testing.T) {
	key := [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	want := []uint64{0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462}
	var b []byte
	for i, w := range want {
		if got := siphash(key, b); got != w {
			t.Errorf("%d bytes: %#x, want %#x", i, got, w)
		}
		b = append(b, byte(i))
	}
}

// TestSpread: keys that differ little fall into different sets, as random ones do.
func TestSpread(t *testing.T) {
	const sets, keys = 1 << 10, 1 << 16
	l := limit{secret: [2]uint64{rand.Uint64(), rand.Uint64()}}
	var count [sets]int
	for i := range keys {
		count[l.hash(byAddress, []byte{10, 0, byte(i >> 8), byte(i)})%sets]++
	}
	for i, n := range count {
		if n < keys/sets/4 || n > keys/sets*3 {
			t.Errorf("%d keys in set %d, want some %d", n, i, keys/sets)
		}
	}
}
