package accesslog

import (
	"bytes"
	"strconv"

	"lb/loop/tick"
)

// Kind says why an entry was made. It is the first value of the entry.
type Kind string

// The kinds.
const (
	Fault Kind = "fault" // for the flight recorder: the exchange failed
	Slow  Kind = "slow"  // for the flight recorder: it took longer than access_log.slow
	Trace Kind = "trace" // for an operator who follows a client or an id
	Span  Kind = "span"  // for the trace that the exchange is a part of
)

// lineInEntry is what the fields of a line take in an entry, in bytes, unless they have many
// attempts.
const lineInEntry = 2400

// headMax bounds the text of a head in an entry, in bytes, after it is escaped.
const headMax = 2 << 10

// Backend is the state of a backend at the moment of an entry.
type Backend struct {
	Name     string
	State    string
	InFlight uint64
}

// BackendsMax is how many backends an entry has at most, and stateMax the most bytes that one
// takes.
const (
	BackendsMax = 16
	stateMax    = nameMax + 100
)

// AppendEntry appends an entry of max bytes at most: the fields of a line in JSON, the
// backends as far as there is room, and the head of the request. max is 4,000 or more.
func AppendEntry(dst []byte, k Kind, s *Subject, backends []Backend, max int) []byte {
	end := len(dst) + max - len(`"}`)
	dst = appendKind(dst, k, s)
	if len(backends) > 0 && len(dst)+stateMax < end {
		dst = append(dst, `,"backends":[`...)
		for i := range backends[:min(len(backends), BackendsMax)] {
			if len(dst)+stateMax >= end {
				break
			}
			dst = appendState(dst, i, &backends[i])
		}
		dst = append(dst, ']')
	}
	const key = `,"head":"`
	if room := min(end-len(dst)-len(key), headMax); s.hasHead() && room > len(cut) {
		w := newWriter(append(dst, key...), room)
		w.jsonHead(s.Head)
		dst = append(w.end(), '"')
	}
	return append(dst, '}')
}

// appendKind appends the beginning of an entry: its kind and the fields of a line.
func appendKind(dst []byte, k Kind, s *Subject) []byte {
	dst = append(append(append(dst, `{"kind":"`...), k...), `",`...)
	return appendFields(dst, s, lineInEntry)
}

func appendState(dst []byte, i int, b *Backend) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	dst = appendName(dst, `{"backend":"`, b.Name, nameMax)
	dst = appendName(dst, `,"state":"`, b.State, nameMax)
	dst = strconv.AppendUint(append(dst, `,"in_flight":`...), b.InFlight, 10)
	return append(dst, '}')
}

// spanBytes is the most that a span of an attempt takes, in bytes.
const spanBytes = 120

// AppendSpan appends an entry for the trace of s, of max bytes at most: the fields of a line
// in JSON, the ids of the trace, and the times of the exchange and its attempts in
// nanoseconds since 1970. max is 4,064 or more.
func AppendSpan(dst []byte, s *Subject, max int) []byte {
	end := len(dst) + max - len("]}")
	t := &s.Trace
	dst = appendKind(dst, Span, s)
	dst = appendHex(append(dst, `,"trace":{"trace_id":"`...), t.ID[:])
	dst = appendHex(append(dst, `","span_id":"`...), t.Span[:])
	if t.Given {
		dst = appendHex(append(dst, `","parent_id":"`...), t.Parent[:])
	}
	dst = appendInt(dst, `","flags":`, int64(t.Flags))
	dst = appendTimes(dst, s, s.Begun, s.Ended)
	dst = appendTraceState(dst, s, end-len(dst)-spanBytes*len(s.Done()))
	dst = append(dst, `},"attempt_spans":[`...)
	for i := range s.Done() {
		if len(dst)+spanBytes > end {
			break
		}
		a := &s.Tries[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendHex(append(dst, `{"span_id":"`...), a.Span[:]), '"')
		dst = append(appendTimes(dst, s, a.At, a.At.Add(a.Took)), '}')
	}
	return append(dst, "]}"...)
}

// stateTextMax is the longest tracestate in an entry, in bytes: W3C Trace Context 3.3.1.5 has
// at least 512 passed on.
const stateTextMax = 600

// appendTraceState appends the tracestate that came with the client's trace, if all of it fits
// into room: a part would be another one. Several fields are one list (3.3.1.1).
func appendTraceState(dst []byte, s *Subject, room int) []byte {
	if !s.Trace.Given || !s.hasHead() {
		return dst
	}
	const name = "tracestate"
	start, some := len(dst), false
	w := newWriter(append(dst, `,"state":"`...), min(room-spanBytes, stateTextMax))
	for i := range s.Request.Fields {
		f := &s.Request.Fields[i]
		if int(f.Name.Len) != len(name) || !bytes.EqualFold(f.Name.Of(s.Head), []byte(name)) {
			continue
		}
		if some {
			w.put(",")
		}
		w.json(f.Value.Of(s.Head))
		some = true
	}
	if !some || w.full {
		return dst[:start]
	}
	return append(w.end(), '"')
}

// appendTimes appends the times of a span on the loop's clock as times of day.
func appendTimes(dst []byte, s *Subject, from, to tick.Instant) []byte {
	dst = appendInt(dst, `,"start_ns":`, s.Wall+int64(from.Sub(s.Begun)))
	return appendInt(dst, `,"end_ns":`, s.Wall+int64(to.Sub(s.Begun)))
}
