package grpc

import (
	"math"
	"time"

	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/record"
)

// FarOff is later than every deadline.
const FarOff tick.Instant = math.MaxInt64

// waitMax is the longest wait that is a deadline. lb's own limits are no longer.
const waitMax = 366 * 24 * time.Hour

// Call is an exchange as a call of gRPC, if it is one: its client learns from a grpc-status
// what others learn from the code of a reply of lb's own, and may say how long it waits.
type Call struct {
	Is    bool
	Long  bool         // its messages may be far apart, see deadline.Case
	Until tick.Instant // when it ends, whatever it waits for; FarOff if its client did not say
}

// None is an exchange that is no call, as far as is known.
var None = Call{Until: FarOff}

// Note notes whether m is a call, which begins at now. b is the buffer that m was parsed
// from. A TimeoutField that is malformed does not count.
func (c *Call) Note(m *httpparse.Message, b []byte, now tick.Instant) {
	f, ok := m.Find(httpparse.ContentType)
	if !ok || !Is(f.Value.Of(b)) {
		return
	}
	c.Is = true
	if value, ok := m.Lookup(b, TimeoutField); ok {
		if d, ok := Timeout(value); ok && d <= waitMax {
			c.Until = now.Add(d)
		}
	}
}

// Overdue returns the fault that ends c when its deadline has passed. Clients choose their
// deadlines, so that says nothing of the backend, unless silent, the time for which it has
// owed the head of its answer, is as long as limit, which is the longest for any client.
func Overdue(silent, limit time.Duration) record.Fault {
	f := record.Fault{Cause: record.CauseDeadline}
	if silent >= limit {
		f.Side = record.BackendSide
	}
	return f
}

// StatusFor returns the status that the client of c learns instead of code, the reply to f,
// which is the zero Fault if lb replies without one. It is OK if the reply stays as it is.
func (c *Call) StatusFor(code int, f record.Fault) Status {
	switch {
	case !c.Is || code < 300:
		return OK
	case f.Cause == record.CauseDeadline:
		return DeadlineExceeded
	}
	return StatusOf(code)
}
