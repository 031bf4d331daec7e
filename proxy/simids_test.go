package proxy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"

	"lb/proxy/ids"
	"lb/proxy/record"
)

const simIDField = "X-Request-ID"

// uuid7 matches a UUID of version 7 (RFC 9562 5.7).
var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// simTrace is the id of the trace in which r is, if its client has begun one: every third.
func (r *simRequest) simTrace() (p ids.Parent, given bool) {
	p = ids.Parent{Trace: [16]byte{1, 15: byte(r.id)}, Span: [8]byte{2, 7: byte(r.id)}, Flags: byte(r.id & 1)}
	return p, r.id%3 == 0
}

// forged returns fields of r that nobody is to believe, and those of a trace, some broken.
func (r *simRequest) forged() (b []byte) {
	b = fmt.Appendf(b, "X-Request-Id: forged-%d\r\nX_Request_ID: forged\r\nTracestate: a=%d\r\n", r.id, r.id)
	if r.id%2 == 0 {
		b = append(b, "x-request-id: again\r\n"...)
	}
	p, given := r.simTrace()
	switch {
	case given:
		b, _ = p.Append(append(b, "Traceparent: "...))
		b = append(b, "\r\n"...)
	case r.id%3 == 1:
		b = append(b, "traceparent: 00-broken-01\r\n"...)
	}
	return b
}

// checkIDs checks the ids with which r came to a backend.
func (s *sim) checkIDs(r *simRequest, m *simMessage) {
	id, state := m.field("x-request-id"), ""
	p, ok := ids.ParseParent([]byte(m.field("traceparent")))
	given, continues := r.simTrace()
	if continues {
		state = fmt.Sprintf("a=%d", r.id)
	}
	switch {
	case !uuid7.MatchString(id), r.requestID != "" && id != r.requestID, m.field("x_request_id") != "":
		s.errorf("request %d came with the id %q, and before with %q: %v", r.id, id, r.requestID, m.fields)
	case !ok, m.field("tracestate") != state, continues && (p.Trace != given.Trace || p.Flags != given.Flags):
		s.errorf("request %d came with the trace %q, state %q", r.id, m.field("traceparent"), m.field("tracestate"))
	case len(r.spans) > 0 && (p.Trace != r.spans[0].Trace || p.Flags != r.spans[0].Flags):
		s.errorf("request %d came in the trace %x, and before in %x", r.id, p, r.spans[0])
	case slices.Contains(r.spans, p), p.Span == given.Span:
		s.errorf("request %d came twice as a part of the span %x", r.id, p.Span)
	}
	r.requestID, r.spans = id, append(r.spans, p)
}

// checkRecordIDs compares the ids in the record of r with those that backends got.
func (s *sim) checkRecordIDs(r *simRequest, k *kept) {
	given, continues := r.simTrace()
	t := &k.Trace
	switch {
	case !uuid7.Match(k.ID), r.requestID != "" && string(k.ID) != r.requestID:
		s.errorf("request %d has the id %q in its record, %q at backends", r.id, k.ID, r.requestID)
	case t.Given != continues, continues && (t.ID != given.Trace || t.Parent != given.Span || t.Flags != given.Flags), !continues && t.Parent != [8]byte{}:
		s.errorf("request %d has the trace %+v in its record", r.id, *t)
	case t.ID == [16]byte{} || t.Span == [8]byte{} || t.Sampled != (t.Flags&ids.Sampled != 0):
		s.errorf("request %d has no ids, or not its flag: %+v", r.id, *t)
	}
	for _, p := range r.spans {
		known := slices.ContainsFunc(k.Done(), func(a record.Attempt) bool { return bytes.Equal(a.Span[:], p.Span[:]) })
		if p.Trace != t.ID || p.Flags != t.Flags || !known && k.Attempts <= record.TriesMax {
			s.errorf("request %d came as a part of %x; its record has %+v, %+v", r.id, p, *t, k.Done())
		}
	}
}
