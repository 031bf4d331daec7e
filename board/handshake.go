package board

import "time"

// Handshake is how a TLS handshake with a client has ended.
type Handshake uint8

// The ends of a handshake.
const (
	HandshakeFull    Handshake = iota
	HandshakeResumed           // by a ticket
	HandshakeFailed            // by the client's doing, or for want of a common version or cipher
	HandshakeRefused           // by lb, because too many wait, or there is no certificate yet
	HandshakeLate              // after timeouts.handshake
	HandshakeEnds
)

// HandshakeBounds are the upper bounds of the buckets of Loop.HandshakeTimes, without the
// last one, which has none.
var HandshakeBounds = [handshakeBuckets - 1]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

const handshakeBuckets = 14

// handshakeKinds is above the kinds that loops have for requests and floods.
const handshakeKinds = uint64(1) << 49

// HandshakeKind returns the kind of Refusals for handshakes that have ended in this way.
func HandshakeKind(h Handshake) uint64 { return handshakeKinds | uint64(h) }

// OfHandshake returns the end of which the kind is the HandshakeKind, and false if it is
// none.
func OfHandshake(kind uint64) (h Handshake, ok bool) {
	return Handshake(kind), kind&handshakeKinds != 0 && kind != OtherKinds
}

// connKinds is above the other kinds.
const connKinds = uint64(1) << 51

// Why a conn was closed as soon as it was accepted.
const (
	ConnExcess = 1 // its client has too many
	ConnDenied = 2 // its listener does not let the client in
)

// ConnKind returns the kind of Refusals for conns that were closed for this reason.
func ConnKind(why int) uint64 { return connKinds | uint64(why) }

// OfConn returns the reason of which the kind is the ConnKind, and false if it is none.
func OfConn(kind uint64) (why int, ok bool) {
	return int(kind &^ connKinds), kind&connKinds != 0 && kind != OtherKinds
}

// NoteHandshake counts a handshake. took, from the client's first byte, counts if it has
// succeeded. Only the owner of the slot may call it.
func (l *Loop) NoteHandshake(h Handshake, took time.Duration) {
	l.Handshakes[h].Add(1)
	if h > HandshakeResumed {
		return
	}
	at := 0
	for at < len(HandshakeBounds) && took > HandshakeBounds[at] {
		at++
	}
	l.HandshakeTimes[at].Add(1)
	l.HandshakeNanos.Add(uint64(max(0, took)))
}
