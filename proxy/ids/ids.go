// Package ids makes the ids of requests and spans, and reads those that come with requests.
// It does not know what an exchange is.
package ids

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"lb/loop/tick"
)

// UUIDBytes is the length of a UUID as text, in bytes.
const UUIDBytes = 36

// Maker makes ids. Only one loop may use it. Its methods allocate nothing and, but for one
// call of the clock in a second, ask nobody.
type Maker struct {
	clock  func() time.Time
	chance *rand.ChaCha8
	ahead  int64        // of the loop's clock, the time of day, in nanoseconds
	looked tick.Instant // when ahead was computed, or 0
	ms     uint64       // of the last UUID, since 1970
	count  uint64       // of the last UUID
}

// New returns a Maker whose ids follow from seed, and from clock, which returns the time of
// day.
func New(seed [32]byte, clock func() time.Time) *Maker {
	return &Maker{clock: clock, chance: rand.NewChaCha8(seed)}
}

// Seed returns a seed from the system's randomness.
func Seed() (seed [32]byte) {
	_, _ = crand.Read(seed[:]) // it never fails: see there
	return seed
}

// lookEvery is how often the time of day is asked for.
const lookEvery = time.Second

// countBits is how many bits of a UUID count the UUIDs of a millisecond. The count begins at
// a random number below half of its range.
const countBits = 12

// UUID returns a UUID of version 7 (RFC 9562 5.7), made at now of the loop's clock: the time
// in milliseconds, a count (6.2, method 1) and 62 random bits. It is greater than all before
// it: if the time of day goes back, or there are too many in a millisecond, the time in it
// runs ahead.
func (m *Maker) UUID(now tick.Instant) (id [16]byte) {
	if m.looked == 0 || now.Sub(m.looked) >= lookEvery {
		m.ahead, m.looked = m.clock().UnixNano()-int64(now), now
	}
	ms := uint64(int64(now)+m.ahead) / uint64(time.Millisecond)
	switch m.count++; {
	case ms > m.ms:
		m.ms, m.count = ms, m.firstCount()
	case m.count == 1<<countBits:
		m.ms, m.count = m.ms+1, m.firstCount()
	}
	binary.BigEndian.PutUint64(id[:], m.ms<<16|7<<12|m.count)
	binary.BigEndian.PutUint64(id[8:], 0b10<<62|m.chance.Uint64()>>2)
	return id
}

// firstCount returns the count of the first UUID of a millisecond.
func (m *Maker) firstCount() uint64 { return m.chance.Uint64() >> (64 - countBits + 1) }

// AppendUUID appends the UUID of now as text.
func (m *Maker) AppendUUID(d []byte, now tick.Instant) []byte {
	id, n := m.UUID(now), len(d)
	d = slices.Grow(d, UUIDBytes)[:n+UUIDBytes]
	text := (*[UUIDBytes]byte)(d[n:])
	a, b := binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(text[:], hexOf(a>>32))
	second, third := hexOf(a), hexOf(b>>32)
	binary.BigEndian.PutUint32(text[9:], uint32(second>>32))
	binary.BigEndian.PutUint32(text[14:], uint32(second))
	binary.BigEndian.PutUint32(text[19:], uint32(third>>32))
	binary.BigEndian.PutUint32(text[24:], uint32(third))
	binary.BigEndian.PutUint64(text[28:], hexOf(b))
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return d
}

const ones = 0x0101010101010101

// hexOf returns the lower 32 bits of n as 8 hexadecimal digits, the highest first.
func hexOf(n uint64) uint64 {
	n = uint64(uint32(n))
	n = (n | n<<16) & 0x0000ffff0000ffff
	n = (n | n<<8) & 0x00ff00ff00ff00ff
	n = (n | n<<4) & 0x0f0f0f0f0f0f0f0f
	letters := (n + 6*ones) >> 4 & ones // 1 in each byte above 9
	return n + '0'*ones + letters*('a'-'0'-10)
}

// putHex writes id as twice as many digits to text. Its length is a multiple of 4.
func putHex(text, id []byte) {
	for i := 0; i < len(id); i += 4 {
		binary.BigEndian.PutUint64(text[2*i:], hexOf(uint64(binary.BigEndian.Uint32(id[i:]))))
	}
}

// TraceID returns a random id of a trace, which is not all zeros.
func (m *Maker) TraceID() (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], m.chance.Uint64())
	binary.BigEndian.PutUint64(id[8:], m.some())
	return id
}

// SpanID returns a random id of a span, which is not all zeros.
func (m *Maker) SpanID() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], m.some())
	return id
}

// some returns a random number other than 0.
func (m *Maker) some() uint64 {
	for {
		if n := m.chance.Uint64(); n != 0 {
			return n
		}
	}
}

// Chance returns true with this probability, from 0 to 1.
func (m *Maker) Chance(share float64) bool {
	return float64(m.chance.Uint64()>>11) < share*(1<<53)
}

// RequestMax is the length of the longest request id that is taken from a client, in bytes.
const RequestMax = 128

// IsRequest reports whether id may be taken from a client as the id of a request: it is not
// empty, not longer than RequestMax, and of letters, digits and marks that no log has to
// escape.
func IsRequest(id []byte) bool {
	if len(id) == 0 || len(id) > RequestMax {
		return false
	}
	for _, c := range id {
		if !plain[c] {
			return false
		}
	}
	return true
}

// plain are the bytes of request ids.
var plain = func() (set [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.~:;+/=@|") {
		set[c] = true
	}
	return set
}()
