package proxy

import (
	"time"

	"lb/board"
	"lb/httpparse"
	"lb/upstream"
)

// side says whose doing a fault is. Only faults of the backend count against it.
type side uint8

const (
	noSide side = iota
	clientSide
	backendSide
	lbSide
)

// cause says what happened.
type cause uint8

const (
	noCause    cause = iota
	gone             // the client went away
	shortBody        // the client ended inside its request
	badRequest       // refused by the parser, with a reason
	tooLarge         // the body is longer than the limit
	slow             // a deadline passed
	noConnect        // the backend could not be reached
	reset            // the backend ended or reset the conn before its answer was whole
	badAnswer        // what the backend sent is no answer to this request
	noBackend        // there is none to try
	exhausted        // lb has no descriptor, port or memory left
	panicked         // a mistake of our own
	cutOff           // told to stop
	crowded          // every backend is full, and the queue too, or for too long
	refused          // an answer whose status is to be retried
)

// fault is what ended an attempt, or the exchange with it.
type fault struct {
	side   side
	cause  cause
	phase  Phase
	reason httpparse.Reason // for badRequest
}

// status is the code of the reply that lb makes for f (RFC 9110 15.5, 15.6).
func (f fault) status() int {
	switch f.cause {
	case badRequest:
		return f.reason.Status()
	case shortBody:
		return 400
	case tooLarge:
		return 413
	case slow:
		if f.side == clientSide {
			return 408
		}
		return 504
	case noBackend, exhausted, crowded:
		return 503
	case panicked:
		return 500
	}
	return 502
}

// text is the sentence in that reply.
func (f fault) text() string {
	switch f.cause {
	case badRequest:
		return f.reason.String()
	case shortBody:
		return "the request ended before its body did"
	case tooLarge:
		return "the body is larger than limits.body_bytes"
	case slow:
		if f.side == clientSide {
			return "the request took too long to arrive"
		}
		return "the backend took too long"
	case noConnect:
		return "the backend cannot be reached"
	case reset:
		return "the backend closed the connection before its answer was whole"
	case badAnswer:
		return "the backend sent something that is no valid answer"
	case noBackend:
		return "no backend can take the request"
	case crowded:
		return "all backends are busy"
	case exhausted:
		return "no descriptors or ports left"
	}
	return "internal error"
}

// backOff is about how long the attempts after the second wait, so that clients
// whose attempts failed together do not come again together.
const backOff = 25 * time.Millisecond

// mayRetry is the whole retry rule. Two faults do not count against the budget,
// whose purpose is that retries do not add to the load of backends in trouble: a
// conn from the idle list that had been closed is no sign of trouble, and a
// refused connection is no load.
func (x *exchange) mayRetry(f fault) bool {
	retry := &x.snap.cfg.Retry
	on := &retry.On
	switch {
	case f.side != backendSide, x.queued, int(x.attempts) > retry.Attempts:
		return false // not the backend's doing, too late, or too often
	case x.sent > 0 && !(x.idempotent && x.up.held):
		return false // the request may have been acted on (RFC 9110 9.2.2), or is no longer here
	case x.staleConn(f) && on.Stale:
		return true
	case f.cause == noConnect:
		return on.Connect
	case f.phase == Dial && !on.Connect, f.phase != Dial && !(f.cause == reset && on.Reset || f.cause == refused):
		return false
	}
	return x.p.budget.Retry(x.p.loop.Now())
}

// retriesStatus reports whether an answer with that status is to be asked for again.
func (x *exchange) retriesStatus(code int) bool {
	on := &x.snap.cfg.Retry.On
	return code == 502 && on.Status502 || code == 503 && on.Status503 || code == 504 && on.Status504
}

// staleConn reports whether f is what a conn from the idle list shows when the
// backend had closed it before the request came.
func (x *exchange) staleConn(f fault) bool {
	return f.cause == reset && x.backend != nil && x.backend.uses > 1 && x.received == 0
}

// blame notes f on the board, on the side whose doing it is.
func (x *exchange) blame(f fault) {
	switch f.side {
	case clientSide, lbSide:
		x.answered = 0 // how the backend would have ended is not known
		if f.cause == gone || f.cause == shortBody {
			x.p.counters.ClientAborts.Add(1)
		}
	case backendSide:
		x.blameBackend(f)
	}
}

func (x *exchange) blameBackend(f fault) {
	t, now := x.target, x.p.loop.Now()
	switch {
	case t == nil, f.cause == refused: // noted when it came
		return
	case x.staleConn(f):
		upstream.IdleClosed(t.State, x.asked.Sub(x.backend.since), now)
		return
	}
	x.answered = 0
	why := board.ReasonReset
	switch f.cause {
	case noConnect:
		why = board.ReasonConnect
		t.Slot.ConnectFaults.Add(1)
	case slow:
		why = board.ReasonTimeout
		t.Slot.TimeoutFaults.Add(1)
	case badAnswer:
		why = board.ReasonBadAnswer
		t.Slot.BadAnswers.Add(1)
	default:
		t.Slot.ResetFaults.Add(1)
	}
	if !x.blamed && f.isEjecting(x) {
		t.failed(why, 0, f.phase)
	}
}

// isEjecting reports whether f says that the backend is in trouble. What a client
// can bring about does not: a conn that ends in a tunnel, as after any WebSocket
// whose client is not done, and one that ends because the client does not finish
// its request.
func (f fault) isEjecting(x *exchange) bool {
	return !x.tunnel && !(f.cause == reset && f.phase == Send && !x.up.whole)
}

// fail ends the attempt with f: another attempt where the rule allows it, else
// a reply, else an aborted conn. It returns true when the exchange has ended.
func (x *exchange) fail(f fault) (ended bool) {
	f.phase = x.phase
	x.blame(f)
	retry := f.cause == refused || x.mayRetry(f)
	if retry && x.staleConn(f) && x.pool.keepsClients() {
		x.tried.Reset() // the backend is well, and the client's session is there
	}
	torn := x.down.o > 0 && !x.down.flushed() // a part of a 1xx is out
	x.dropBackend()
	switch {
	case retry:
		x.p.counters.Retries.Add(1)
		x.up.rewind()
		x.sent = 0
		x.fresh = true
		x.enter(Pick)
		if x.attempts > 1 {
			x.pause = backOff/2 + time.Duration(x.p.chance.Int64N(int64(backOff)))
			x.arm()
			return false
		}
		return x.pick()
	case f.cause == gone || f.cause == cutOff || x.begun || torn:
		x.abort()
		return true
	}
	if f.cause == crowded || f.cause == noBackend {
		x.extra = retryAfter
	}
	return x.reply(f.status(), f.text())
}

// retryAfter is said where trying again soon may help (RFC 9110 10.2.3).
var retryAfter = []byte("Retry-After: 1\r\n")

// abort ends the client's conn inside a response, so that what it got cannot
// be taken for a whole one: where only the end of the conn ends the body, the
// end has to be a reset (RFC 9112 8).
func (x *exchange) abort() {
	c := x.client
	cut := x.begun && x.down.to == httpparse.Close && !(x.down.whole && x.down.flushed())
	x.release()
	c.close(cut)
}
