package notice

import (
	"fmt"
	"syscall"

	"lb/board"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// Words says in words what a fault of a backend was, such as "connection refused".
func Words(f board.LastFault) string {
	phase := record.Phase(f.Phase)
	if f.Why.InTLS() {
		return tlsfault.Kind(f.Detail).String()
	}
	if d, n := record.HTTP2Of(f.Detail); d != 0 && (f.Why == board.ReasonReset || f.Why == board.ReasonBadAnswer) {
		return overHTTP2(phase, d, n)
	}
	switch f.Why {
	case board.ReasonConnect:
		if f.Detail == 0 {
			return "not reached"
		}
		return syscall.Errno(f.Detail).Error()
	case board.ReasonTimeout:
		return late(phase)
	case board.ReasonReset:
		return broken(phase, syscall.Errno(f.Detail))
	case board.ReasonBadAnswer:
		if f.Detail == 0 || f.Detail > 0xff {
			return "an answer that does not fit the request"
		}
		return "in the answer: " + httpparse.Reason(f.Detail).String()
	}
	return fmt.Sprintf("status %d", f.Detail)
}

// late says what a backend did not do in time.
func late(phase record.Phase) string {
	switch phase {
	case record.Dial:
		return "no connection in time (timeouts.connect)"
	case record.Send:
		return "did not take the request in time (timeouts.backend_write)"
	case record.Wait:
		return "no answer in time (timeouts.response)"
	}
	return "the answer did not go on in time (timeouts.backend_body)"
}

// broken says how, and when, a backend ended the conn.
func broken(phase record.Phase, errno syscall.Errno) string {
	how := "closed the connection"
	if errno != 0 {
		how = errno.Error()
	}
	return how + when(phase)
}

// when says in which phase something happened.
func when(phase record.Phase) string {
	switch phase {
	case record.Dial, record.Send:
		return " while the request was sent"
	case record.Wait:
		return " before its answer"
	}
	return " within its answer"
}

// overHTTP2 says how a backend has failed in HTTP/2.
func overHTTP2(phase record.Phase, d record.HTTP2Detail, number uint8) string {
	code := h2.Code(number).String()
	switch d {
	case record.StreamReset:
		return "reset the stream with " + code + when(phase)
	case record.ConnEnded:
		return "ended the connection by GOAWAY with " + code + when(phase)
	case record.Broken:
		return "broke the rules of HTTP/2: " + code
	case record.Flooded:
		if kinds := h2.Budgets(); int(number) <= len(kinds) {
			return "a flood of HTTP/2: " + h2.Budget(number).String()
		}
	case record.Malformed:
		return "in the answer: " + heads.Reason(number).String()
	case record.NoHTTP2:
		return "does not speak HTTP/2, which the protocol of its pool wants"
	}
	return "a fault of HTTP/2"
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
