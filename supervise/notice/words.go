package notice

import (
	"fmt"
	"syscall"

	"lb/board"
	"lb/httpparse"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// Words says in words what a fault of a backend was, such as "connection refused".
func Words(f board.LastFault) string {
	phase := record.Phase(f.Phase)
	if f.Why.InTLS() {
		return tlsfault.Kind(f.Detail).String()
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
	switch phase {
	case record.Dial, record.Send:
		return how + " while the request was sent"
	case record.Wait:
		return how + " before its answer"
	}
	return how + " within its answer"
}
