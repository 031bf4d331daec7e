package rewrite

import (
	"lb/config"
	"lb/loop/tick"
	"lb/proxy/ids"
	"lb/proxy/record"
)

// The fields of W3C Trace Context.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// Tags says which ids requests get.
type Tags struct {
	name   string  // of the field with the request id, or empty
	line   []byte  // the begin of its line
	traces bool    // traces are begun and continued
	sample float64 // the share of those begun that are sampled
}

// NewTags returns what cfg says.
func NewTags(cfg *config.Config) Tags {
	t := Tags{name: cfg.RequestID, traces: cfg.Tracing.Endpoint != "", sample: cfg.Tracing.Sample}
	if t.name != "" {
		t.line = []byte(t.name + ": ")
	}
	return t
}

// Traces reports whether traces are begun and continued.
func (t *Tags) Traces() bool { return t.traces }

// Names returns the names of the fields that lb alone vouches for: they are not to be trailers.
func (t *Tags) Names() (names []string) {
	if t.name != "" {
		names = append(names, t.name)
	}
	if t.traces {
		names = append(names, traceParent, traceState)
	}
	return names
}

// TagBytes returns the most bytes that the ids of cfg add to a head.
func TagBytes(cfg *config.Config) int { return len(cfg.RequestID) + ids.RequestMax + OwnBytes }

// Tag gives the request, of which Message, Text and Peer are set, its ids at now, and notes
// them in rec. It hides the fields of the client that they replace; AppendHead writes the
// new ones.
func (r *Request) Tag(t *Tags, m *ids.Maker, now tick.Instant, rec *record.Record) {
	r.idLine, r.trace = nil, r.trace[:0]
	if t.name != "" {
		rec.ID = r.tagID(t, m, now, rec.ID[:0])
		r.id = rec.ID
	}
	if t.traces {
		rec.Trace = r.tagTrace(t, m)
	}
}

// tagID appends the request id to id: that of a trusted client, or a new one, which gets a
// line.
func (r *Request) tagID(t *Tags, m *ids.Maker, now tick.Instant, id []byte) []byte {
	value, one, some := r.Message.Single(r.Text, t.name)
	if one && r.Peer.Trusted && ids.IsRequest(value) {
		return append(id, value...)
	}
	if some {
		r.Message.Hide(r.Text, t.name)
	}
	r.idLine = t.line
	return m.AppendUUID(id, now)
}

// tagTrace returns the trace of the request: the client's if its traceparent can be read,
// otherwise a new one, which has nothing of the client's tracestate.
func (r *Request) tagTrace(t *Tags, m *ids.Maker) (trace record.Trace) {
	value, one, some := r.Message.Single(r.Text, traceParent)
	p, ok := ids.Parent{}, false
	if one {
		p, ok = ids.ParseParent(value)
	}
	if some {
		r.Message.Hide(r.Text, traceParent)
	}
	if !ok {
		r.Message.Hide(r.Text, traceState)
		if p.Trace = m.TraceID(); m.Chance(t.sample) {
			p.Flags = ids.Sampled
		}
	}
	trace = record.Trace{ID: p.Trace, Parent: p.Span, Span: m.SpanID(), Flags: p.Flags, Given: ok, Sampled: p.Flags&ids.Sampled != 0}
	p.Span = trace.Span // until there is an attempt
	r.trace = append(r.trace, traceParent+": "...)
	r.trace, r.spanIn = p.Append(r.trace)
	r.trace = append(r.trace, crlf...)
	return trace
}

// AppendID appends an id, made at now, for a request without a head, unless request ids are off.
func (t *Tags) AppendID(d []byte, m *ids.Maker, now tick.Instant) []byte {
	if t.name == "" {
		return d
	}
	return m.AppendUUID(d, now)
}

// tagBytes returns how many bytes appendTags appends at most.
func (r *Request) tagBytes() int { return len(r.idLine) + ids.RequestMax + len(crlf) + len(r.trace) }

// appendTags appends the lines of Tag, but for those of fields that the route sets itself.
func (r *Request) appendTags(d []byte) []byte {
	if len(r.idLine) > 0 && (r.Route == nil || !r.Route.setsID) {
		d = append(append(append(d, r.idLine...), r.id...), crlf...)
	}
	if r.SpanAt = 0; len(r.trace) > 0 && (r.Route == nil || !r.Route.setsParent) {
		r.SpanAt = len(d) + r.spanIn
		d = append(d, r.trace...)
	}
	return d
}
