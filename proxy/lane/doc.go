// Package lane moves the bytes of one exchange: bytes read from one side into an Inbox
// pass through a Lane, which frames them for the other side.
//
// It does not know whose bytes they are, what a head means or when to give up: package
// proxy does. It knows the framings of HTTP/1 (RFC 9112 6 and 7).
//
// A lane composes only after everything that it composed before has been written. So a
// side that stops reading stops lb from reading the other, at the cost of one slab each
// way. Bytes of a body are written from where they were read; only heads, chunk lines and
// small parts of bodies are copied, so that one write sends them.
//
// # What a slow side costs
//
// A large slab is for bodies that flow. Once 64 KiB have passed, the exchange asks before
// each part whether the other side keeps up (Asks, Block): if not, nothing is read, and the
// bytes stay with their source. The rest of a short write moves to a slab that fits it
// (Rest), and small parts follow until the side has taken some in full.
//
// # Why a lane does not read ahead
//
// Reading on while a write is blocked would keep the socket buffers of both sides busier,
// but it needs a ring or a second slab for each lane. The kernel's own buffers already
// overlap the two sides; reading ahead would save one system call's latency per slab. It
// is worth another look if long transfers over long distances turn out to be slower than
// through a relay.
package lane
