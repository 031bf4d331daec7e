package board

// Preamble is why a conn was closed at a listener whose conns begin with a PROXY header.
type Preamble uint8

// The reasons.
const (
	PreambleUntrusted Preamble = iota // its other end is no trusted proxy
	PreambleMalformed
	PreambleCut  // it ended within the header
	PreambleLate // after timeouts.client_header
	Preambles
)

// preambleKinds is above the kinds that loops have for requests, floods and handshakes.
const preambleKinds = uint64(1) << 50

// PreambleKind returns the kind of Refusals for conns that were closed for this reason.
func PreambleKind(p Preamble) uint64 { return preambleKinds | uint64(p) }

// OfPreamble returns the reason of which the kind is the PreambleKind, and false if it is none.
func OfPreamble(kind uint64) (p Preamble, ok bool) {
	return Preamble(kind), kind&preambleKinds != 0 && kind != OtherKinds
}
