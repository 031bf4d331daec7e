package record

import (
	"errors"
	"strconv"
	"syscall"
	"time"

	"lb/httpparse"
	"lb/internal/tlsfault"
)

// Side is the side at fault. Only a backend's faults count against that backend.
type Side uint8

// The sides. NoSide is for a deadline that passed through no side's fault.
const (
	NoSide Side = iota
	ClientSide
	BackendSide
	LBSide
)

var sideNames = [...]string{"", "client", "backend", "lb"}

// String returns the name of the side in logs, which is empty for NoSide.
func (s Side) String() string { return sideNames[s] }

// Cause is the kind of a fault.
type Cause uint8

// The causes.
const (
	NoCause         Cause = iota
	CauseGone             // the client went away
	CauseShortBody        // the client ended its side before its request was whole
	CauseBadRequest       // the parser refused the request; Fault.Detail says why
	CauseTooLarge         // the body is longer than the limit
	CauseSlow             // a deadline passed
	CauseNoConnect        // the backend could not be reached
	CauseReset            // the backend ended or reset the conn before its answer was whole
	CauseBadAnswer        // the backend sent something that does not answer this request
	CauseNoBackend        // no backend can be tried
	CauseExhausted        // lb has no descriptor, port or memory left
	CausePanicked         // a panic: a bug in lb
	CauseCut              // lb is stopping
	CauseCrowded          // every backend is full, and the queue is full too or the wait in it was too long
	CauseNoRoute          // no route takes the request, and there is no default pool
	CauseAmbiguous        // the target can be read in several ways that choose different routes
	CauseStatus           // the answer has a status that is to be retried
	CauseTLS              // TLS with the backend failed; Fault.Detail says how
	CauseDeadline         // the deadline of the call has passed (grpc-timeout)
	CauseNoTunnel         // the backend has answered as if no tunnel had been asked for
	CauseOut              // the backend was ejected or found down, and the request went elsewhere; of attempts only
)

// causeNames are the names of the causes in logs, by Cause.
var causeNames = [...]string{"", "gone", "short_body", "bad_request", "too_large", "slow", "no_connect", "reset",
	"bad_answer", "no_backend", "exhausted", "panic", "cut", "crowded", "no_route", "ambiguous", "status", "tls", "deadline",
	"no_tunnel", "out"}

// Causes is the number of causes, with NoCause.
const Causes = len(causeNames)

// String returns the name of the cause in logs, which is empty for NoCause.
func (c Cause) String() string { return causeNames[c] }

// Fault is the failure that ended an attempt, or the whole exchange.
type Fault struct {
	Side  Side
	Cause Cause
	Phase Phase // the phase in which it happened
	// Detail is an httpparse.Reason for CauseBadRequest and CauseBadAnswer, a tlsfault.Kind
	// for CauseTLS, else an errno; 0 if it is not known. One of HTTP/2, above all of these,
	// is that of CauseReset or CauseBadAnswer: see HTTP2Detail.
	Detail uint16
}

// HTTP2Detail says how a backend has ended a stream or a conn of HTTP/2.
type HTTP2Detail uint8

// The details of HTTP/2. Each but NoHTTP2 comes with a number.
const (
	StreamReset HTTP2Detail = iota + 1 // the backend reset the stream, with this code
	ConnEnded                          // it ended the conn by GOAWAY, with this code
	Broken                             // it broke the rules of the stream or conn: lb's code for it
	Flooded                            // it used up this budget
	Malformed                          // a head or trailers, for this heads.Reason
	NoHTTP2                            // it has never sent SETTINGS
)

// ByHTTP2 returns a fault of the backend with a detail of HTTP/2. A number above 255 is
// taken for 255.
func ByHTTP2(c Cause, d HTTP2Detail, number uint32) Fault {
	return Fault{Side: BackendSide, Cause: c, Detail: uint16(d)<<8 | uint16(min(number, 0xff))}
}

// HTTP2Of returns what ByHTTP2 has put into detail, and 0 if it is of another kind.
func HTTP2Of(detail uint16) (d HTTP2Detail, number uint8) {
	return HTTP2Detail(detail >> 8), uint8(detail)
}

// ByClient returns a fault of the client.
func ByClient(c Cause) Fault { return Fault{Side: ClientSide, Cause: c} }

// ByBackend returns a fault of the backend.
func ByBackend(c Cause) Fault { return Fault{Side: BackendSide, Cause: c} }

// ByError returns a fault of the backend for which a system call returned err.
func ByError(c Cause, err error) Fault {
	errno, _ := err.(syscall.Errno)
	return Fault{Side: BackendSide, Cause: c, Detail: uint16(errno)}
}

// ByHandshake returns the fault of a backend with which the TLS handshake has ended by err.
func ByHandshake(err error) Fault {
	return inTLS(tlsfault.Of(err, time.Now()))
}

// LateHandshake returns the fault of a backend with which the TLS handshake did not end in
// time.
func LateHandshake() Fault { return inTLS(tlsfault.Late) }

func inTLS(k tlsfault.Kind) Fault {
	return Fault{Side: BackendSide, Cause: CauseTLS, Detail: uint16(k)}
}

// ByReading returns the fault of a backend from which a read returned err before its answer
// was whole. With secure the conn speaks TLS: what fails there differs from a conn that
// has ended. A backend that speaks TLS 1.3 refuses lb's certificate as late as this.
func ByReading(err error, secure bool) Fault {
	if secure {
		if k := tlsfault.Of(err, time.Now()); k != tlsfault.Closed {
			return inTLS(k)
		}
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	switch errno {
	case syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH: // its machine is gone
		return ByError(CauseSlow, errno)
	}
	return ByError(CauseReset, errno)
}

// ByDialling returns the fault of a conn that could not be begun because of err: lb's own
// if lb has run out of something, otherwise the backend's.
func ByDialling(err error) Fault {
	switch err {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return ByLB(CauseExhausted)
	}
	return ByError(CauseNoConnect, err)
}

// ByLB returns a fault of lb itself.
func ByLB(c Cause) Fault { return Fault{Side: LBSide, Cause: c} }

// Kind returns a number for the kind of request that lb answers with code because of f,
// to count it by. Its lowest 16 bits are code.
func (f Fault) Kind(code int) uint64 {
	return uint64(code) | uint64(f.Cause)<<16 | uint64(f.Detail)<<24
}

// Status returns the code of the reply that lb makes for f (RFC 9110 15.5, 15.6).
func (f Fault) Status() int {
	switch f.Cause {
	case CauseBadRequest:
		return httpparse.Reason(f.Detail).Status()
	case CauseShortBody, CauseAmbiguous:
		return 400
	case CauseNoRoute:
		return 404
	case CauseTooLarge:
		return 413
	case CauseSlow:
		if f.Side == ClientSide {
			return 408
		}
		return 504
	case CauseDeadline:
		return 504
	case CauseTLS:
		if f.isLate() {
			return 504
		}
	case CauseNoBackend, CauseExhausted, CauseCrowded:
		return 503
	case CausePanicked:
		return 500
	}
	return 502
}

// isLate reports whether f, of CauseTLS, is a handshake that did not end in time.
func (f Fault) isLate() bool { return tlsfault.Kind(f.Detail) == tlsfault.Late }

// Lines returns field lines of that reply alone, or nil.
func (f Fault) Lines() []byte {
	if f.Cause == CauseCrowded || f.Cause == CauseNoBackend {
		return retryAfter
	}
	return nil
}

// retryAfter is sent where trying again soon may help (RFC 9110 10.2.3).
var retryAfter = []byte("Retry-After: 1\r\n")

// hostShown is the length of the longest host that a reply names, in bytes.
const hostShown = 255

// TextFor returns the text of that reply to a request for host.
func (f Fault) TextFor(host []byte) string {
	if f.Cause == CauseNoRoute && len(host) <= hostShown {
		return "no route takes this path of the host " + strconv.Quote(string(host))
	}
	return f.Text()
}

// Text returns the text of that reply, whatever the host.
func (f Fault) Text() string {
	switch f.Cause {
	case CauseBadRequest:
		return httpparse.Reason(f.Detail).String()
	case CauseShortBody:
		return "the request ended before its body did"
	case CauseTooLarge:
		return "the body is larger than limits.body_bytes"
	case CauseSlow:
		if f.Side == ClientSide {
			return "the request took too long to arrive"
		}
		return "the backend took too long"
	case CauseDeadline:
		return "the deadline of the call has passed"
	case CauseNoConnect:
		return "the backend cannot be reached"
	case CauseReset:
		return "the backend closed the connection before its answer was whole"
	case CauseTLS:
		if f.isLate() {
			return "the backend took too long"
		}
		return "no TLS connection to the backend comes about"
	case CauseBadAnswer:
		return "the backend sent something that is no valid answer"
	case CauseNoTunnel:
		return "the backend opened no tunnel"
	case CauseNoBackend:
		return "no backend can take the request"
	case CauseCrowded:
		return "all backends are busy"
	case CauseNoRoute:
		return "no route takes this host and path"
	case CauseAmbiguous:
		return "servers read this path in different ways"
	case CauseExhausted:
		return "no descriptors or ports left"
	}
	return "internal error"
}
