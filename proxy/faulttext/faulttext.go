// Package faulttext says in words what a fault was, for logs. It does not know who reads
// them.
package faulttext

import (
	"strconv"
	"syscall"

	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// Append appends what f was, such as "connection refused", or nothing if its cause says all
// that is known. It does not allocate, except for an error number without a name.
func Append(dst []byte, f record.Fault) []byte {
	if f.Cause == record.CauseTLS {
		return append(dst, tlsfault.Kind(f.Detail).String()...)
	}
	if f.Side != record.BackendSide {
		return append(dst, own(f)...)
	}
	if d, n := record.HTTP2Of(f.Detail); d != 0 && (f.Cause == record.CauseReset || f.Cause == record.CauseBadAnswer) {
		return overHTTP2(dst, f.Phase, d, n)
	}
	switch f.Cause {
	case record.CauseNoConnect:
		return append(dst, connect(f)...)
	case record.CauseSlow:
		if f.Detail != 0 {
			return append(append(dst, "its machine is silent: "...), syscall.Errno(f.Detail).Error()...)
		}
		return append(dst, late(f.Phase)...)
	case record.CauseReset:
		how := "closed the connection"
		if f.Detail != 0 {
			how = syscall.Errno(f.Detail).Error()
		}
		return append(append(dst, how...), when(f.Phase)...)
	case record.CauseBadAnswer:
		if f.Detail == 0 || f.Detail > 0xff {
			return append(dst, "an answer that does not fit the request"...)
		}
		return append(append(dst, "in the answer: "...), httpparse.Reason(f.Detail).String()...)
	case record.CauseStatus:
		if f.Detail != 0 {
			return strconv.AppendUint(append(dst, "status "...), uint64(f.Detail), 10)
		}
	}
	return dst
}

func connect(f record.Fault) string {
	if f.Detail == 0 {
		return "not reached"
	}
	return syscall.Errno(f.Detail).Error()
}

// own says what a fault of the client or of lb was, or of no side.
func own(f record.Fault) string {
	switch f.Cause {
	case record.NoCause, record.CauseGone, record.CauseCut, record.CausePanicked:
		return ""
	case record.CauseSlow:
		if f.Side != record.ClientSide {
			return "a deadline has passed in which neither side had to move first"
		}
		if f.Phase == record.Relay {
			return "the client did not go on in time (timeouts.client_write, client_body or tunnel_idle)"
		}
	}
	return f.Text()
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

// budgets is how many budgets there are: a newer binary may have noted another.
var budgets = len(h2.Budgets())

// overHTTP2 says how a backend has failed in HTTP/2.
func overHTTP2(dst []byte, phase record.Phase, d record.HTTP2Detail, number uint8) []byte {
	text := "a fault of HTTP/2"
	switch d {
	case record.StreamReset:
		return append(appendCode(append(dst, "reset the stream with "...), number), when(phase)...)
	case record.ConnEnded:
		return append(appendCode(append(dst, "ended the connection by GOAWAY with "...), number), when(phase)...)
	case record.Broken:
		return appendCode(append(dst, "broke the rules of HTTP/2: "...), number)
	case record.Flooded:
		if int(number) <= budgets {
			dst, text = append(dst, "a flood of HTTP/2: "...), h2.Budget(number).String()
		}
	case record.Malformed:
		dst, text = append(dst, "in the answer: "...), heads.Reason(number).String()
	case record.NoHTTP2:
		text = "does not speak HTTP/2, which the protocol of its pool wants"
	}
	return append(dst, text...)
}

func appendCode(dst []byte, number uint8) []byte { return append(dst, h2.Code(number).String()...) }
