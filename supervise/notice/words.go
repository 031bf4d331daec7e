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
