package crowd

import (
	"net/netip"

	"lb/board"
	"lb/loop/tick"
)

// Refusal is why a conn is closed as soon as it was accepted.
type Refusal uint8

// The refusals.
const (
	Excess Refusal = iota // the client has as many as limits.connections_per_client allows
	Denied                // its listener does not let the client in
)

var texts = [...]string{
	Excess: "the client has as many connections as limits.connections_per_client allows",
	Denied: "the listener's allow and deny do not let the client in",
}

// Count counts a conn of addr that is refused, with an example.
func (r Refusal) Count(l *board.Loop, to *board.Refusals, now tick.Instant, addr netip.Addr) {
	if r == Excess {
		l.Excess.Add(1)
	} else {
		l.Denied.Add(1)
	}
	var text [board.RefusedClientMax]byte
	at := text[:0]
	if addr.IsValid() {
		at = addr.AppendTo(at)
	}
	to.Note(board.ConnKind(int(r)), int64(now), at, texts[r], nil)
}
