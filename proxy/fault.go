package proxy

import (
	"lb/board"
	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/grpc"
	"lb/proxy/record"
	"lb/proxy/retry"
	"lb/proxy/rewrite"
	"lb/upstream"
)

// mayRetry reports whether another attempt follows f: see package retry. The budget keeps
// retries from adding to the load of backends in trouble. It does not keep back what
// waited at a backend that is out now, which gets nothing in its place, nor what has not
// sent a byte; both count, so that others are kept back for them.
func (x *exchange) mayRetry(f record.Fault) bool {
	now := x.p.loop.Now()
	switch retry.Judge(&x.snap.cfg.Retry, retry.Case{
		Fault: f, Attempts: int(x.rec.Attempts), Replied: x.replied, Stale: x.staleConn(f),
		Sent: x.sent > 0, Twice: x.idempotent && x.up.Held, Unseen: x.up.Held && x.unseen(f),
	}) {
	case retry.No:
		return false
	case retry.Free:
		return true
	case retry.Elsewhere:
		if !x.pool.Other(&x.tried, now) {
			return false
		}
		if x.sent == 0 || x.target.isOut() {
			x.p.budget.Spend(now)
			return true
		}
	}
	return x.p.budget.Retry(now)
}

// staleConn reports whether f is that of a conn from the idle list which the backend had
// closed before the request came, or on which the end of an earlier answer came late: the
// first bytes are no status line.
func (x *exchange) staleConn(f record.Fault) bool {
	return x.backend != nil && (f.Cause == record.CauseReset && x.received == 0 ||
		f.Cause == record.CauseBadAnswer && x.from != nil && x.resp.Code == 0 && x.received == int64(x.from.Len())) && x.backend.Reused()
}

// unseen reports whether f is the end of a stream with which the backend has not begun, for
// all that it got of the request.
func (x *exchange) unseen(f record.Fault) bool {
	return f.Cause == record.CauseReset && x.backend != nil && x.backend.Unseen()
}

// blame notes f on the board, if it is the backend's.
func (x *exchange) blame(f record.Fault) {
	switch f.Side {
	case record.ClientSide, record.LBSide:
		x.answered = 0 // how the backend would have ended is not known
	case record.BackendSide:
		x.blameBackend(f)
	}
}

func (x *exchange) blameBackend(f record.Fault) {
	switch {
	case x.target == nil, f.Cause == record.CauseStatus: // noted when it came
		return
	case x.staleConn(f):
		if f.Cause == record.CauseReset {
			x.backend.NoteStale(x.asked)
		}
		return
	}
	x.answered = 0
	why := x.note(f)
	if !x.blamed && x.isEjecting(f) {
		x.accuse(why, 0, f.Phase)
	}
}

// note counts f at the target, and has the log tell of it.
func (x *exchange) note(f record.Fault) board.Reason {
	t, why := x.target, retry.Reason(f)
	t.Slot.CountFault(why)
	t.State.NoteFault(why, uint8(f.Phase), f.Detail, int64(x.p.loop.Now()))
	return why
}

// accuse counts a fault against the backend. A request that brings a bad answer at one
// backend after the other counts at the first alone.
func (x *exchange) accuse(why board.Reason, detail uint64, ph record.Phase) {
	own := why == board.ReasonConnect || why.InTLS() || ph == Dial
	if !own && x.accused {
		return
	}
	x.accused = x.accused || !own
	client, about := x.client, x.about
	if about == 0 {
		about = upstream.TargetHash(rewrite.TargetOf(x.up.Head()))
	}
	if !x.peer.Trusted {
		client = upstream.Hash(x.peer.Address())
	}
	x.target.failed(upstream.Fault{Why: why, Detail: detail, Own: own, Client: client, Target: about, Begun: x.begun}, ph)
}

// isEjecting reports whether f is a sign that the backend is in trouble. A fault that a
// client can bring about is none: a conn that ends in a tunnel, as after any WebSocket
// whose client is not done, and one that ends because the client does not finish its
// request.
func (x *exchange) isEjecting(f record.Fault) bool {
	return !x.tunnel && !(f.Cause == record.CauseReset && f.Phase == Send && !x.up.Whole)
}

// fail ends the attempt with f: another attempt follows if the retry rule allows it,
// otherwise a reply, or an abort if it is too late for one.
func (x *exchange) fail(f record.Fault) (ended bool) {
	if f.Side == record.BackendSide && x.p.loop.Now() >= x.call.Until {
		f = x.overdue() // backends know the deadline, too, and reset a stream that has passed it
	}
	f.Phase = x.phase
	x.blame(f)
	again := f.Cause == record.CauseStatus || x.mayRetry(f)
	stale := x.staleConn(f)
	switch {
	case stale && !again && f.Side == record.BackendSide && x.target != nil:
		x.note(f) // it ejects no backend, but costs a client its answer
	case stale && again && x.pool.keepsClients():
		x.tried.Reset() // the backend is well, and the client's session is at it
	}
	// A part of a 1xx has been written, or the client takes nothing of what it should.
	stuck := x.down.Torn() || !x.down.Flushed() && f.Side == record.ClientSide && f.Cause == record.CauseSlow
	x.recordFailed(f)
	x.dropBackend()
	if again {
		return x.retry()
	}
	x.rec.Fault = f
	if x.call.Is && x.begun && x.endCall(f) {
		return x.pump()
	}
	if f.Cause == record.CauseGone || f.Cause == record.CauseCut || x.begun || stuck {
		x.abort()
		return true
	}
	return x.reply(f.Status(), f.Text(), f.Lines())
}

// endCall ends a call whose answer has begun and does not go on because of f: its client
// learns a status from trailers, as from a backend. ended is false if they cannot be sent, or
// if the client speaks HTTP/1, where a library that does not look for them would take a part
// of the answer for the whole.
func (x *exchange) endCall(f record.Fault) (ended bool) {
	up, down := &x.up, &x.down
	if f.Cause == record.CauseGone || f.Cause == record.CauseCut || !x.peer.HTTP2 ||
		down.To != httpparse.Chunked || down.Whole || !down.Flushed() {
		return false
	}
	code := f.Status()
	section := x.p.composer.Trailers(x.call.StatusFor(code, f), code, f.Text())
	if _, bad := down.End(x.p.arena, section, &x.snap.limits); bad {
		return false
	}
	up.Release(x.p.arena)
	up.Broken, x.call.Until = !up.Whole, grpc.FarOff
	return true
}

// retry begins another attempt: at once if it is the second, else after a pause.
func (x *exchange) retry() (ended bool) {
	x.p.counters.Retries.Add(1)
	x.up.Rewind()
	x.fresh, x.pause = true, 0
	x.enter(Pick)
	if x.rec.Attempts > 1 {
		x.pause = retry.Pause(x.p.chance)
		x.arm()
		return false
	}
	return x.pick()
}

// leaves reports whether x, which waits, is asked elsewhere now: its backend has been
// ejected or found down, and nothing of an answer has come.
func (x *exchange) leaves() bool {
	return (x.phase == Dial || x.phase == Send || x.phase == Wait) && x.received == 0 &&
		x.target.isOut() && x.pool.Other(&x.tried, x.p.loop.Now()) &&
		x.mayRetry(record.Fault{Side: record.BackendSide, Cause: record.CauseOut, Phase: x.phase})
}

// abort ends the client's conn inside a response, so that a part of it cannot be taken
// for the whole: where only the end of the conn ends the body, the end has to be a
// reset (RFC 9112 8).
//
// A client that has left a queue may still read the answers before: they would be lost if
// its conn ended with bytes unread.
func (x *exchange) abort() {
	switch {
	case x.begun && x.down.To == httpparse.Close && !x.down.Done():
		x.end(front.Reset)
	case x.phase == Pick && x.rec.Fault.Cause == record.CauseGone && !x.front.Gone():
		x.end(front.Unread)
	default:
		x.end(front.Abort)
	}
}
