package proxy

import (
	"time"

	"lb/board"
	"lb/httpparse"
	"lb/proxy/front"
	"lb/proxy/record"
	"lb/upstream"
)

// backOff is about how long the attempts after the second wait, so that exchanges which
// failed together do not try again together.
const backOff = 25 * time.Millisecond

// mayRetry is the whole retry rule. The budget keeps retries from adding to the load of
// backends in trouble. Two faults do not count against it: a conn from the idle list
// that had been closed is no sign of trouble, and a refused connection is no load.
func (x *exchange) mayRetry(f record.Fault) bool {
	retry := &x.snap.cfg.Retry
	on := &retry.On
	switch {
	case f.Side != record.BackendSide, x.replied, int(x.rec.Attempts) > retry.Attempts:
		return false // not the backend's fault, too late, or too often
	case x.sent > 0 && !(x.idempotent && x.up.Held):
		return false // the request may have been acted on (RFC 9110 9.2.2), or is no longer here
	case x.staleConn(f) && on.Stale:
		return true
	case f.Cause == record.CauseNoConnect:
		return on.Connect
	case f.Phase == Dial && !on.Connect, f.Phase != Dial && !(f.Cause == record.CauseReset && on.Reset || f.Cause == record.CauseStatus):
		return false
	}
	return x.p.budget.Retry(x.p.loop.Now())
}

// retriesStatus reports whether an answer with that status is to be asked for again.
func (x *exchange) retriesStatus(code int) bool {
	on := &x.snap.cfg.Retry.On
	return code == 502 && on.Status502 || code == 503 && on.Status503 || code == 504 && on.Status504
}

// staleConn reports whether f is that of a conn from the idle list which the backend had
// closed before the request came.
func (x *exchange) staleConn(f record.Fault) bool {
	return f.Cause == record.CauseReset && x.backend != nil && x.backend.uses > 1 && x.received == 0
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
	t, now := x.target, x.p.loop.Now()
	switch {
	case t == nil, f.Cause == record.CauseStatus: // noted when it came
		return
	case x.staleConn(f):
		upstream.IdleClosed(t.State, x.asked.Sub(x.backend.since), now)
		return
	}
	x.answered = 0
	why, detail := board.ReasonReset, uint16(f.Errno)
	switch f.Cause {
	case record.CauseNoConnect:
		why = board.ReasonConnect
		t.Slot.ConnectFaults.Add(1)
	case record.CauseSlow:
		why = board.ReasonTimeout
		t.Slot.TimeoutFaults.Add(1)
	case record.CauseBadAnswer:
		why, detail = board.ReasonBadAnswer, uint16(f.Reason)
		t.Slot.BadAnswers.Add(1)
	default:
		t.Slot.ResetFaults.Add(1)
	}
	t.State.NoteFault(why, uint8(f.Phase), detail, int64(now))
	if !x.blamed && x.isEjecting(f) {
		t.failed(why, 0, f.Phase)
	}
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
	f.Phase = x.phase
	x.blame(f)
	retry := f.Cause == record.CauseStatus || x.mayRetry(f)
	if retry && x.staleConn(f) && x.pool.keepsClients() {
		x.tried.Reset() // the backend is well, and the client's session is at it
	}
	torn := x.down.Torn() // a part of a 1xx has been written
	x.dropBackend()
	if retry {
		return x.retry()
	}
	x.rec.Fault = f
	if f.Cause == record.CauseGone || f.Cause == record.CauseCut || x.begun || torn {
		x.abort()
		return true
	}
	var own []byte
	if f.Cause == record.CauseCrowded || f.Cause == record.CauseNoBackend {
		own = retryAfter
	}
	return x.reply(f.Status(), f.Text(), own)
}

// retry begins another attempt: at once if it is the second, else after a pause.
func (x *exchange) retry() (ended bool) {
	x.p.counters.Retries.Add(1)
	x.up.Rewind()
	x.sent = 0
	x.fresh = true
	x.enter(Pick)
	if x.rec.Attempts > 1 {
		x.pause = backOff/2 + time.Duration(x.p.chance.Int64N(int64(backOff)))
		x.arm()
		return false
	}
	return x.pick()
}

// retryAfter is sent where trying again soon may help (RFC 9110 10.2.3).
var retryAfter = []byte("Retry-After: 1\r\n")

// abort ends the client's conn inside a response, so that a part of it cannot be taken
// for the whole: where only the end of the conn ends the body, the end has to be a
// reset (RFC 9112 8).
func (x *exchange) abort() {
	if x.begun && x.down.To == httpparse.Close && !x.down.Done() {
		x.end(front.Reset)
		return
	}
	x.end(front.Abort)
}
