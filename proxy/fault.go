package proxy

import (
	"time"

	"lb/board"
	"lb/httpparse"
	"lb/proxy/front"
	"lb/upstream"
)

// Side is the side at fault. Only faults of the backend count against it.
type Side uint8

// The sides. A deadline that no side is to blame for has noSide.
const (
	noSide Side = iota
	ClientSide
	BackendSide
	LBSide
)

var sideNames = [...]string{"", "client", "backend", "lb"}

// String returns the name of the side in logs, which is empty for noSide.
func (s Side) String() string { return sideNames[s] }

// Cause is what happened.
type Cause uint8

const (
	noCause         Cause = iota
	causeGone             // the client went away
	causeShortBody        // the client ended its side inside its request
	causeBadRequest       // the parser refused the request, for Fault.Reason
	causeTooLarge         // the body is longer than the limit
	causeSlow             // a deadline passed
	causeNoConnect        // the backend could not be reached
	causeReset            // the backend ended or reset the conn before its answer was whole
	causeBadAnswer        // the backend sent something that is no answer to this request
	causeNoBackend        // no backend can be tried
	causeExhausted        // lb has no descriptor, port or memory left
	causePanicked         // a mistake of our own
	causeCut              // lb stops
	causeCrowded          // every backend is full, and the queue too, or for too long
	causeStatus           // the answer has a status that is to be retried
)

var causeNames = [...]string{"", "gone", "short_body", "bad_request", "too_large", "slow", "no_connect", "reset",
	"bad_answer", "no_backend", "exhausted", "panic", "cut", "crowded", "status"}

// String returns the name of the cause in logs, which is empty for noCause.
func (c Cause) String() string { return causeNames[c] }

// Fault is what ended an attempt, or the exchange with it.
type Fault struct {
	Side   Side
	Cause  Cause
	Phase  Phase            // in which it happened
	Reason httpparse.Reason // why the parser refused the request, or NoReason
}

// status is the code of the reply that lb makes for f (RFC 9110 15.5, 15.6).
func (f Fault) status() int {
	switch f.Cause {
	case causeBadRequest:
		return f.Reason.Status()
	case causeShortBody:
		return 400
	case causeTooLarge:
		return 413
	case causeSlow:
		if f.Side == ClientSide {
			return 408
		}
		return 504
	case causeNoBackend, causeExhausted, causeCrowded:
		return 503
	case causePanicked:
		return 500
	}
	return 502
}

// text is the sentence in that reply.
func (f Fault) text() string {
	switch f.Cause {
	case causeBadRequest:
		return f.Reason.String()
	case causeShortBody:
		return "the request ended before its body did"
	case causeTooLarge:
		return "the body is larger than limits.body_bytes"
	case causeSlow:
		if f.Side == ClientSide {
			return "the request took too long to arrive"
		}
		return "the backend took too long"
	case causeNoConnect:
		return "the backend cannot be reached"
	case causeReset:
		return "the backend closed the connection before its answer was whole"
	case causeBadAnswer:
		return "the backend sent something that is no valid answer"
	case causeNoBackend:
		return "no backend can take the request"
	case causeCrowded:
		return "all backends are busy"
	case causeExhausted:
		return "no descriptors or ports left"
	}
	return "internal error"
}

// backOff is about how long the attempts after the second wait, so that exchanges which
// failed together do not try again together.
const backOff = 25 * time.Millisecond

// mayRetry is the whole retry rule. The budget keeps retries from adding to the load of
// backends in trouble. Two faults do not count against it: a conn from the idle list
// that had been closed is no sign of trouble, and a refused connection is no load.
func (x *exchange) mayRetry(f Fault) bool {
	retry := &x.snap.cfg.Retry
	on := &retry.On
	switch {
	case f.Side != BackendSide, x.replied, int(x.rec.Attempts) > retry.Attempts:
		return false // not the backend's fault, too late, or too often
	case x.sent > 0 && !(x.idempotent && x.up.Held):
		return false // the request may have been acted on (RFC 9110 9.2.2), or is no longer here
	case x.staleConn(f) && on.Stale:
		return true
	case f.Cause == causeNoConnect:
		return on.Connect
	case f.Phase == Dial && !on.Connect, f.Phase != Dial && !(f.Cause == causeReset && on.Reset || f.Cause == causeStatus):
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
func (x *exchange) staleConn(f Fault) bool {
	return f.Cause == causeReset && x.backend != nil && x.backend.uses > 1 && x.received == 0
}

// blame notes f on the board, if it is the backend's.
func (x *exchange) blame(f Fault) {
	switch f.Side {
	case ClientSide, LBSide:
		x.answered = 0 // how the backend would have ended is not known
	case BackendSide:
		x.blameBackend(f)
	}
}

func (x *exchange) blameBackend(f Fault) {
	t, now := x.target, x.p.loop.Now()
	switch {
	case t == nil, f.Cause == causeStatus: // noted when it came
		return
	case x.staleConn(f):
		upstream.IdleClosed(t.State, x.asked.Sub(x.backend.since), now)
		return
	}
	x.answered = 0
	why := board.ReasonReset
	switch f.Cause {
	case causeNoConnect:
		why = board.ReasonConnect
		t.Slot.ConnectFaults.Add(1)
	case causeSlow:
		why = board.ReasonTimeout
		t.Slot.TimeoutFaults.Add(1)
	case causeBadAnswer:
		why = board.ReasonBadAnswer
		t.Slot.BadAnswers.Add(1)
	default:
		t.Slot.ResetFaults.Add(1)
	}
	if !x.blamed && f.isEjecting(x) {
		t.failed(why, 0, f.Phase)
	}
}

// isEjecting reports whether f is a sign that the backend is in trouble. A fault that a
// client can bring about is none: a conn that ends in a tunnel, as after any WebSocket
// whose client is not done, and one that ends because the client does not finish its
// request.
func (f Fault) isEjecting(x *exchange) bool {
	return !x.tunnel && !(f.Cause == causeReset && f.Phase == Send && !x.up.Whole)
}

// fail ends the attempt with f: another attempt follows if the retry rule allows it,
// otherwise a reply, or an abort if it is too late for one.
func (x *exchange) fail(f Fault) (ended bool) {
	f.Phase = x.phase
	x.blame(f)
	retry := f.Cause == causeStatus || x.mayRetry(f)
	if retry && x.staleConn(f) && x.pool.keepsClients() {
		x.tried.Reset() // the backend is well, and the client's session is at it
	}
	torn := x.down.Torn() // a part of a 1xx has been written
	x.dropBackend()
	switch {
	case retry:
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
	x.rec.Fault = f
	if f.Cause == causeGone || f.Cause == causeCut || x.begun || torn {
		x.abort()
		return true
	}
	var own []byte
	if f.Cause == causeCrowded || f.Cause == causeNoBackend {
		own = retryAfter
	}
	return x.reply(f.status(), f.text(), own)
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
