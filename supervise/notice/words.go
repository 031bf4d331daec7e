package notice

import (
	"lb/board"
	"lb/proxy/faulttext"
	"lb/proxy/record"
)

// Words says in words what a fault of a backend was, such as "connection refused".
func Words(f board.LastFault) string {
	cause := causes[f.Why]
	if f.Why.InTLS() {
		cause = record.CauseTLS
	}
	return string(faulttext.Append(nil, record.Fault{Side: record.BackendSide, Cause: cause,
		Phase: record.Phase(f.Phase), Detail: f.Detail}))
}

// causes are the causes of faults that loops note on the board for these reasons.
var causes = map[board.Reason]record.Cause{
	board.ReasonConnect:   record.CauseNoConnect,
	board.ReasonTimeout:   record.CauseSlow,
	board.ReasonReset:     record.CauseReset,
	board.ReasonBadAnswer: record.CauseBadAnswer,
	board.ReasonStatus:    record.CauseStatus,
}

// mend says what to do about a backend that fails for a reason.
func mend(why board.Reason) string {
	switch why {
	case board.ReasonConnect:
		return "start the backend, or correct its address"
	case board.ReasonTimeout:
		return "look at what the backend waits for, or raise that timeout"
	case board.ReasonReset:
		return "see the backend's log, for a crash or a timeout shorter than ours"
	case board.ReasonBadAnswer:
		return "see the backend's log, and the pool's protocol"
	case board.ReasonStatus:
		return "see the backend's log"
	case board.ReasonTLSName:
		return "set server_name of [backend_tls] to a name in its certificate"
	case board.ReasonTLSChain:
		return "set ca of [backend_tls] to the authority of its certificate"
	case board.ReasonTLSDate:
		return "renew the backend's certificate, or set its clock or ours"
	}
	return "see tls of the backend and [backend_tls]"
}
