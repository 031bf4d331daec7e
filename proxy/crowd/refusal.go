package crowd

import (
	"net/netip"

	"lb/board"
	"lb/loop/tick"
)

// Verdict is whether a new conn of a client may stay, or why it is closed.
type Verdict uint8

// The verdicts.
const (
	Admitted Verdict = 0
	Excess   Verdict = board.ConnExcess // the client has as many as limits.connections_per_client allows
	Denied   Verdict = board.ConnDenied // its listener does not let the client in
)

var texts = [...]string{
	Excess: "limits.connections_per_client of the client are open",
	Denied: "allow and deny of the listener do not let the client in",
}

// Count counts a conn of addr that is closed, with an example.
func (v Verdict) Count(l *board.Loop, to *board.Refusals, now tick.Instant, addr netip.Addr) {
	if v == Excess {
		l.Excess.Add(1)
	} else {
		l.Denied.Add(1)
	}
	var text [board.RefusedClientMax]byte
	at := text[:0]
	if addr.IsValid() {
		at = addr.AppendTo(at)
	}
	to.Note(board.ConnKind(int(v)), int64(now), at, texts[v], nil)
}
