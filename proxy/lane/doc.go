// Package lane moves the bytes of one exchange: what was read from one side (Inbox)
// goes, framed for the other side, through a Lane.
//
// It does not know whose bytes they are, what a head means or when to give up: that
// is proxy's. It knows the framings of HTTP/1 (RFC 9112 6 and 7).
//
// A lane composes only when all that it composed before has been written, so a side
// that stops reading stops the other from being read, at the cost of one slab each
// way. Bytes of a body are written from where they were read; only heads, chunk
// lines and small parts of bodies are copied, to make one write of them.
//
// # Why a lane does not read ahead
//
// Reading on while a write is blocked would keep the socket buffers of both sides
// busier, and needs a ring or a second slab for each lane. The kernel's own buffers
// already overlap the two sides; reading ahead would save one system call's latency
// per slab. It would be worth another look if long transfers over long distances were
// found to be slower than through a relay.
package lane
