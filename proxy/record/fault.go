package record

import "lb/httpparse"

// Side is the side at fault. Only faults of the backend count against it.
type Side uint8

// The sides. A deadline that no side is to blame for has NoSide.
const (
	NoSide Side = iota
	ClientSide
	BackendSide
	LBSide
)

var sideNames = [...]string{"", "client", "backend", "lb"}

// String returns the name of the side in logs, which is empty for NoSide.
func (s Side) String() string { return sideNames[s] }

// Cause is what happened.
type Cause uint8

// The causes.
const (
	NoCause         Cause = iota
	CauseGone             // the client went away
	CauseShortBody        // the client ended its side inside its request
	CauseBadRequest       // the parser refused the request, for Fault.Reason
	CauseTooLarge         // the body is longer than the limit
	CauseSlow             // a deadline passed
	CauseNoConnect        // the backend could not be reached
	CauseReset            // the backend ended or reset the conn before its answer was whole
	CauseBadAnswer        // the backend sent something that is no answer to this request
	CauseNoBackend        // no backend can be tried
	CauseExhausted        // lb has no descriptor, port or memory left
	CausePanicked         // a mistake of our own
	CauseCut              // lb stops
	CauseCrowded          // every backend is full, and the queue too, or for too long
	CauseStatus           // the answer has a status that is to be retried
)

var causeNames = [...]string{"", "gone", "short_body", "bad_request", "too_large", "slow", "no_connect", "reset",
	"bad_answer", "no_backend", "exhausted", "panic", "cut", "crowded", "status"}

// String returns the name of the cause in logs, which is empty for NoCause.
func (c Cause) String() string { return causeNames[c] }

// Fault is what ended an attempt, or the exchange with it.
type Fault struct {
	Side   Side
	Cause  Cause
	Phase  Phase            // in which it happened
	Reason httpparse.Reason // why the parser refused the request, or NoReason
}

// ByClient returns the fault of a client.
func ByClient(c Cause) Fault { return Fault{Side: ClientSide, Cause: c} }

// ByBackend returns the fault of a backend.
func ByBackend(c Cause) Fault { return Fault{Side: BackendSide, Cause: c} }

// ByLB returns a fault of lb's own.
func ByLB(c Cause) Fault { return Fault{Side: LBSide, Cause: c} }

// Status returns the code of the reply that lb makes for f (RFC 9110 15.5, 15.6).
func (f Fault) Status() int {
	switch f.Cause {
	case CauseBadRequest:
		return f.Reason.Status()
	case CauseShortBody:
		return 400
	case CauseTooLarge:
		return 413
	case CauseSlow:
		if f.Side == ClientSide {
			return 408
		}
		return 504
	case CauseNoBackend, CauseExhausted, CauseCrowded:
		return 503
	case CausePanicked:
		return 500
	}
	return 502
}

// Text returns the sentence in that reply.
func (f Fault) Text() string {
	switch f.Cause {
	case CauseBadRequest:
		return f.Reason.String()
	case CauseShortBody:
		return "the request ended before its body did"
	case CauseTooLarge:
		return "the body is larger than limits.body_bytes"
	case CauseSlow:
		if f.Side == ClientSide {
			return "the request took too long to arrive"
		}
		return "the backend took too long"
	case CauseNoConnect:
		return "the backend cannot be reached"
	case CauseReset:
		return "the backend closed the connection before its answer was whole"
	case CauseBadAnswer:
		return "the backend sent something that is no valid answer"
	case CauseNoBackend:
		return "no backend can take the request"
	case CauseCrowded:
		return "all backends are busy"
	case CauseExhausted:
		return "no descriptors or ports left"
	}
	return "internal error"
}
