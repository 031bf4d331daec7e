package upstream

import (
	"encoding/binary"
	"math/bits"
)

// Hash returns XXH64 of b with seed 0, as its specification has it: fixed for
// ever, the same on every machine and in every process, so that they agree where
// a key belongs. It is not made to withstand who chooses keys on purpose: that
// one can send all of them to one backend, as he can with a single key.
func Hash(b []byte) uint64 { return hashOf(b) }

const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

func hashOf[T string | []byte](text T) uint64 {
	b := []byte(text) // no copy for bytes; strings are hashed when a pool is made
	h := prime5 + uint64(len(b))
	if len(b) >= 32 {
		h = uint64(len(b))
		var lanes uint64
		lanes, b = hashLanes(b)
		h += lanes
	}
	for ; len(b) >= 8; b = b[8:] {
		h ^= round(0, binary.LittleEndian.Uint64(b))
		h = bits.RotateLeft64(h, 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * prime1
		h = bits.RotateLeft64(h, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * prime5
		h = bits.RotateLeft64(h, 11) * prime1
	}
	return avalanche(h)
}

// hashLanes hashes b, 32 bytes at a time, and returns what is left of it.
func hashLanes(b []byte) (h uint64, rest []byte) {
	p1 := prime1 // constants would overflow
	v := [4]uint64{p1 + prime2, prime2, 0, -p1}
	for ; len(b) >= 32; b = b[32:] {
		for i := range v {
			v[i] = round(v[i], binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
	for i, turn := range [4]int{1, 7, 12, 18} {
		h += bits.RotateLeft64(v[i], turn)
	}
	for _, lane := range v {
		h = (h^round(0, lane))*prime1 + prime4
	}
	return h, b
}

func round(lane, input uint64) uint64 {
	return bits.RotateLeft64(lane+input*prime2, 31) * prime1
}

// avalanche spreads every bit of h over all of them.
func avalanche(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
