// Package ownreply counts the replies that lb makes itself, and puts on the board which
// requests were refused, from where the control plane tells the operator. It is called on
// the loop, once for each such reply.
package ownreply

import (
	"bytes"

	"lb/board"
	"lb/internal/redact"
	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxy/record"
)

// Reply is a reply of lb's own. Everything that it points to stays the caller's.
type Reply struct {
	Now   tick.Instant
	Code  int
	Text  string       // for the client
	Fault record.Fault // why, or the zero Fault
	Pool  *board.State // of the pool's first backend, or nil if no pool was chosen
	Peer  *front.Peer
	In    *lane.Inbox // of the request
	Up    *lane.Lane  // to the backend
	Early bool        // the request is still to be admitted
	Sent  bool        // a part of it has been written to the backend

	line [board.RefusedLineMax]byte // what is shown of the request
}

// Note counts r in l, or beside its pool, and notes in refusals that a request was
// refused. A fault of the backend has been noted beside that backend.
func Note(l *board.Loop, refusals *board.Refusals, r *Reply) {
	class := r.Code / 100
	if r.Pool != nil && class >= 4 {
		r.Pool.Own[class-4].Add(1)
	} else {
		l.PoolLess[class].Add(1)
	}
	if class >= 4 && r.Fault.Side != record.BackendSide {
		refusals.Note(r.Fault.Kind(r.Code), int64(r.Now), r.Peer.Address(), r.Text, r.firstLine())
	}
}

// firstLine returns the first line of the request, or what there is of it. It is empty if
// the line has been sent to a backend. It has no credentials: they are replaced before the
// line is cut, because a part of "user:password@host" does not look like one.
func (r *Reply) firstLine() []byte {
	var head []byte
	if r.Early && !r.Up.Held { // the lane has not begun
		head = r.In.Bytes()
	} else if !r.Sent {
		head, _, _ = r.Up.Pending(r.In)
	}
	if i := bytes.IndexAny(head, "\r\n"); i >= 0 {
		head = head[:i]
	}
	n := 0
	for len(head) > 0 && n < len(r.line) {
		keep, hide := redact.NextInURL(head)
		if n += copy(r.line[n:], head[:keep]); hide > 0 {
			n += copy(r.line[n:], redact.Mark)
		}
		head = head[keep+hide:]
	}
	return r.line[:n]
}

// Count counts, at the end of an exchange, a reply of lb's own, and a client that has gone.
func Count(c *board.Loop, r *record.Record) {
	if r.Own {
		c.OwnReplies[r.Status/100].Add(1)
		c.Replies[r.Status/100].Add(1)
	}
	if f := r.Fault; f.Side == record.ClientSide && (f.Cause == record.CauseGone || f.Cause == record.CauseShortBody) {
		c.ClientAborts.Add(1)
	}
}
