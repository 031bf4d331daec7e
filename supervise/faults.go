package supervise

import (
	"context"
	"encoding/json"

	"lb/admin/api"
	"lb/board"
)

// look has f look at the board, which it must not keep. It returns false if the board is
// gone. Any goroutine may call it.
func (d *desk) look(f func(*board.Board)) bool {
	d.looking.RLock()
	defer d.looking.RUnlock()
	if d.unmapped {
		return false
	}
	f(d.board)
	return true
}

// Faults returns the newest exchanges that failed or were slow.
func (c commands) Faults(most int) []json.RawMessage { return c.d.rings.Faults(most) }

// FollowFaults calls each for exchanges that fail or are slow.
func (c commands) FollowFaults(ctx context.Context, most int, each func(json.RawMessage)) error {
	return c.d.rings.FollowFaults(ctx, most, each)
}

// Trace calls each for the exchanges that ask matches.
func (c commands) Trace(ctx context.Context, ask api.TraceAsk, each func(json.RawMessage)) error {
	return c.d.rings.Trace(ctx, ask, each)
}
