package upstream

import "github.com/cespare/xxhash/v2"

// Hash returns XXH64 of b with seed 0. The function must never change: every
// machine and process agrees by it which backend a key belongs to. It does not
// withstand a client that chooses keys on purpose; such a client can send all of
// them to one backend, but it can do that with a single key, too.
func Hash(b []byte) uint64 { return xxhash.Sum64(b) }

// Odd constants, those of XXH64. Like Hash they decide where keys go, and must
// not change.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
)

// avalanche makes every bit of the result depend on all bits of h. It is the last
// step of XXH64, which the package used does not export.
func avalanche(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
