package faulttext

import (
	"syscall"
	"testing"

	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/httpparse/h2/heads"
	"lb/internal/tlsfault"
	"lb/proxy/record"
)

// TestAppend: what a fault was, in words that an operator can act on.
func TestAppend(t *testing.T) {
	by := func(s record.Side, c record.Cause, ph record.Phase, detail uint16) record.Fault {
		return record.Fault{Side: s, Cause: c, Phase: ph, Detail: detail}
	}
	over := func(c record.Cause, ph record.Phase, d record.HTTP2Detail, n uint32) record.Fault {
		f := record.ByHTTP2(c, d, n)
		f.Phase = ph
		return f
	}
	for _, tc := range []struct {
		f    record.Fault
		want string
	}{
		{by(record.BackendSide, record.CauseNoConnect, record.Dial, uint16(syscall.ECONNREFUSED)), "connection refused"},
		{by(record.BackendSide, record.CauseNoConnect, record.Dial, 0), "not reached"},
		{by(record.BackendSide, record.CauseSlow, record.Dial, 0), "no connection in time (timeouts.connect)"},
		{by(record.BackendSide, record.CauseSlow, record.Relay, 0), "the answer did not go on in time (timeouts.backend_body)"},
		{by(record.BackendSide, record.CauseReset, record.Send, 0), "closed the connection while the request was sent"},
		{by(record.BackendSide, record.CauseReset, record.Relay, uint16(syscall.ECONNRESET)), "connection reset by peer within its answer"},
		{by(record.BackendSide, record.CauseBadAnswer, record.Wait, uint16(httpparse.BareLF)), "in the answer: bare LF"},
		{by(record.BackendSide, record.CauseBadAnswer, record.Wait, 0), "an answer that does not fit the request"},
		{by(record.BackendSide, record.CauseTLS, record.Dial, uint16(tlsfault.Expired)), "its certificate has expired"},
		{by(record.BackendSide, record.CauseStatus, record.Wait, 503), "status 503"},
		{by(record.BackendSide, record.CauseStatus, record.Wait, 0), ""},
		{over(record.CauseReset, record.Wait, record.StreamReset, uint32(h2.RefusedStream)), "reset the stream with REFUSED_STREAM before its answer"},
		{over(record.CauseReset, record.Wait, record.ConnEnded, 0), "ended the connection by GOAWAY with NO_ERROR before its answer"},
		{over(record.CauseBadAnswer, record.Wait, record.Flooded, uint32(h2.FloodPings)), "a flood of HTTP/2: pings"},
		{over(record.CauseBadAnswer, record.Wait, record.Malformed, uint32(heads.BadStatus)), "in the answer: " + heads.BadStatus.String()},
		{over(record.CauseBadAnswer, record.Wait, record.Flooded, 200), "a fault of HTTP/2"},
		{by(record.ClientSide, record.CauseGone, record.Wait, 0), ""},
		{by(record.ClientSide, record.CauseBadRequest, record.Admit, uint16(httpparse.NoHost)), httpparse.NoHost.String()},
		{by(record.ClientSide, record.CauseSlow, record.Admit, 0), "the request took too long to arrive"},
		{by(record.ClientSide, record.CauseTooLarge, record.Admit, 0), "the body is larger than limits.body_bytes"},
		{by(record.LBSide, record.CauseCrowded, record.Pick, 0), "all backends are busy"},
		{by(record.LBSide, record.CauseCut, record.Wait, 0), ""},
		{record.Fault{}, ""},
	} {
		if got := string(Append(nil, tc.f)); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.f, got, tc.want)
		}
		dst := make([]byte, 0, 200)
		if n := testing.AllocsPerRun(10, func() { Append(dst, tc.f) }); n != 0 {
			t.Errorf("%+v: %v allocations", tc.f, n)
		}
	}
}

// TestEvery: no fault of any kind, known or of a newer binary, is a panic.
func TestEvery(t *testing.T) {
	for side := record.NoSide; side <= record.LBSide; side++ {
		for c := range record.Causes {
			for ph := range record.Phases {
				for detail := 0; detail <= 0xffff; detail += 37 {
					if c == int(record.CauseBadRequest) && detail > 40 { // the parser's alone
						continue
					}
					Append(nil, record.Fault{Side: side, Cause: record.Cause(c), Phase: ph, Detail: uint16(detail)})
				}
			}
		}
	}
}
