package grpc

import (
	"testing"
	"time"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/record"
)

const now tick.Instant = 1000

// noted returns what Note makes of a request with these fields.
func noted(t *testing.T, fields string) Call {
	t.Helper()
	b := []byte("POST /s/M HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
	var p httpparse.RequestParser
	p.Reset(&httpparse.Limits{HeadBytes: 1 << 10, Fields: 16, TargetBytes: 100})
	if st := p.Feed(b); st != httpparse.Done {
		t.Fatalf("%q: %d, %s", b, st, p.Reason)
	}
	c := None
	c.Note(&p.Message, b, now)
	return c
}

func TestNote(t *testing.T) {
	const call = "content-type: application/grpc\r\n"
	for fields, want := range map[string]Call{
		"":                             None,
		"content-type: text/plain\r\n": None,
		"grpc-timeout: 1S\r\n":         None,
		"content-type: text/plain\r\ngrpc-timeout: 1S\r\n": None,
		call:                                 {Is: true, Until: FarOff},
		call + "Grpc-Timeout: 1S\r\n":        {Is: true, Until: now.Add(time.Second)},
		"grpc-timeout: 0n\r\n" + call:        {Is: true, Until: now},
		call + "grpc-timeout: 1s\r\n":        {Is: true, Until: FarOff},
		call + "grpc-timeout:\r\n":           {Is: true, Until: FarOff},
		call + "grpc-timeout: 99999999H\r\n": {Is: true, Until: FarOff},
	} {
		if got := noted(t, fields); got != want {
			t.Errorf("%q: %+v, want %+v", fields, got, want)
		}
	}
}

func TestStatusFor(t *testing.T) {
	call := Call{Is: true}
	for _, tc := range []struct {
		c    Call
		code int
		f    record.Fault
		want Status
	}{
		{call, 503, record.ByLB(record.CauseNoBackend), Unavailable},
		{call, 504, record.ByBackend(record.CauseSlow), Unavailable},
		{call, 504, Overdue(0, 1), DeadlineExceeded},
		{call, 404, record.Fault{}, Unimplemented},
		{call, 308, record.Fault{}, Unknown},
		{call, 200, record.Fault{}, OK},
		{None, 503, record.ByLB(record.CauseNoBackend), OK},
	} {
		if got := tc.c.StatusFor(tc.code, tc.f); got != tc.want {
			t.Errorf("%+v, %d, %+v: %d, want %d", tc.c, tc.code, tc.f, got, tc.want)
		}
	}
}

// TestOverdue: a deadline says something of the backend only after the longest silence that
// any client allows.
func TestOverdue(t *testing.T) {
	for silent, want := range map[time.Duration]record.Side{0: record.NoSide, 9: record.NoSide, 10: record.BackendSide} {
		if f := Overdue(silent, 10); f.Side != want || f.Status() != 504 {
			t.Errorf("%d: %+v", silent, f)
		}
	}
}

func TestNoteAllocates(t *testing.T) {
	b := []byte("POST /s/M HTTP/1.1\r\nHost: a\r\ncontent-type: application/grpc\r\ngrpc-timeout: 1S\r\n\r\n")
	var p httpparse.RequestParser
	p.Reset(&httpparse.Limits{HeadBytes: 1 << 10, Fields: 16, TargetBytes: 100})
	p.Feed(b)
	var d []byte
	if n := testing.AllocsPerRun(100, func() {
		c := None
		c.Note(&p.Message, b, now)
		d = AppendStatus(d[:0], Unavailable, b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
