package rewrite

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/config"
	"lb/config/logging"
	"lb/httpparse"
	"lb/proxy/ids"
	"lb/proxy/record"
)

// tagsConfig has request ids and traces.
func tagsConfig() *config.Config {
	return &config.Config{RequestID: "X-Request-ID", Tracing: logging.Tracing{Endpoint: "http://traces.example", Sample: 1}}
}

var allTags = NewTags(tagsConfig())

// newMaker returns a Maker whose ids are always the same.
func newMaker() *ids.Maker {
	return ids.New([32]byte{1}, func() time.Time { return time.UnixMilli(1) })
}

const (
	givenTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	givenParent = "00-" + givenTrace + "-00f067aa0ba902b7-01"
)

// tagTests are fields of a trusted client, and what stays of them.
var tagTests = []struct {
	name, fields string
	id           string // that is kept, or empty
	continues    bool   // the trace
	state        bool   // tracestate stays
}{
	{"nothing", "", "", false, false},
	{"both", "x-request-id: a\r\ntraceparent: " + givenParent + "\r\ntracestate: a=b\r\n", "a", true, true},
	{"no trace", "X-Request-ID: a\r\ntracestate: a=b\r\n", "a", false, false},
	{"two ids", "X-Request-ID: a\r\nX-Request-ID: a\r\n", "", false, false},
	{"two traces", "traceparent: " + givenParent + "\r\ntraceparent: " + givenParent + "\r\ntracestate: a=b\r\n", "", false, false},
	{"not valid", "X-Request-ID: a b\r\ntraceparent: 00-1-2-3\r\ntracestate: a=b\r\n", "", false, false},
	{"an alias", "X_Request_ID: a\r\n", "", false, false},
}

// TestTag: which ids a request gets, and what of the client's fields stays.
func TestTag(t *testing.T) {
	for _, tc := range tagTests {
		for _, trusted := range []bool{true, false} {
			m := parse(t, get(tc.fields))
			r := &Request{Message: m, Text: []byte(get(tc.fields)), Config: new(config.Config), Peer: newPeer("192.0.2.1", trusted), Hops: -1}
			m.HideForged(r.Text, trusted, Guarded(nil, allTags.Names()))
			var rec record.Record
			r.Tag(&allTags, newMaker(), 1, &rec)
			out := r.AppendHead(nil)
			checkTags(t, r, out)
			kept := trusted && tc.id != ""
			if got := fieldIn(t, out, "x-request-id"); string(rec.ID) != got || (got == tc.id) != kept {
				t.Errorf("%s, trusted %t: the id %q, in the record %q", tc.name, trusted, got, rec.ID)
			}
			p, _ := ids.ParseParent([]byte(fieldIn(t, out, "traceparent")))
			if rec.Trace.Given != tc.continues || p.Trace != rec.Trace.ID || p.Flags != 1 || !rec.Trace.Sampled || rec.Trace.Span == [8]byte{} {
				t.Errorf("%s: the parent %+v, in the record %+v", tc.name, p, rec.Trace)
			}
			if continues := strings.Contains(string(out), givenTrace); continues != tc.continues || (rec.Trace.Parent != [8]byte{}) != continues {
				t.Errorf("%s: %q with the record %+v", tc.name, out, rec.Trace)
			}
			if strings.Contains(string(out), "tracestate: a=b") != tc.state || strings.Contains(string(out), "X_Request_ID") {
				t.Errorf("%s: %q", tc.name, out)
			}
		}
	}
}

// checkTags checks that out has each field once, or as the route of r has it, and that
// SpanAt is where an id belongs.
func checkTags(t *testing.T, r *Request, out []byte) {
	if id := fieldIn(t, out, "x-request-id"); !ids.IsRequest([]byte(id)) {
		t.Errorf("%q: the id %q", out, id)
	}
	const before = "\r\ntraceparent: 00-"
	at := r.SpanAt - len(before) - 33
	if at < 0 || string(out[at:at+len(before)]) != before || string(out[r.SpanAt:r.SpanAt+ids.SpanBytes+1]) != fieldIn(t, out, "traceparent")[36:53] {
		t.Errorf("%q: the span at %d", out, r.SpanAt)
	}
}

// fieldIn returns the value of a field in head, which there must be once.
func fieldIn(t *testing.T, head []byte, name string) (value string) {
	var p httpparse.RequestParser
	wide := limits
	wide.HeadBytes, wide.Fields, wide.TargetBytes = 2*wide.HeadBytes, 2*wide.Fields, wide.TargetBytes+1
	if p.Reset(&wide); p.Feed(head) != httpparse.Done {
		t.Fatalf("%q: %v", head, p.Reason)
	}
	v, one, _ := p.Single(head, name)
	if !one {
		t.Errorf("%q: not one %s", head, name)
	}
	return string(v)
}

// TestTagsOff: without request_id and tracing nothing is added or hidden, and of two
// requests the second does not get the ids of the first.
func TestTagsOff(t *testing.T) {
	fields := "X-Request-ID: a\r\nX-Request-ID: b c\r\ntraceparent: x\r\ntracestate: y\r\n"
	r := &Request{Message: parse(t, get(fields)), Text: []byte(get(fields)), Config: new(config.Config), Peer: newPeer("192.0.2.1", false), Hops: -1}
	off := NewTags(new(config.Config))
	var rec record.Record
	r.Tag(&allTags, newMaker(), 1, &rec)
	r.Message = parse(t, get(fields))
	rec = record.Record{}
	r.Tag(&off, newMaker(), 1, &rec)
	if out := r.AppendHead(nil); string(out) != sent(fields, "") || r.SpanAt != 0 || len(rec.ID) > 0 || rec.Trace != (record.Trace{}) {
		t.Errorf("%q, the span at %d, %q, %+v", out, r.SpanAt, rec.ID, rec.Trace)
	}
	if off.Names() != nil || off.Traces() || off.AppendID(nil, newMaker(), 1) != nil {
		t.Error("something is on")
	}
}

// TestTagsOfRoutes: a route's own fields stay, one of each.
func TestTagsOfRoutes(t *testing.T) {
	for _, tc := range []struct {
		set  []config.Field
		want string
	}{
		{[]config.Field{{Name: "x-request-id", Value: "1"}, {Name: "Traceparent", Value: "2"}}, "x-request-id: 1\r\nTraceparent: 2\r\n"},
		{[]config.Field{{Name: "X-Request-Id"}, {Name: "traceparent"}, {Name: "tracestate"}}, ""},
	} {
		route := NewRoute(&config.Route{Path: "/", SetRequestHeaders: tc.set}, false, &allTags)
		head := get("X-Request-ID: a\r\ntraceparent: " + givenParent + "\r\n")
		r := &Request{Message: parse(t, head), Text: []byte(head), Config: new(config.Config), Peer: newPeer("192.0.2.1", true), Hops: -1}
		r.Tag(&allTags, newMaker(), 1, new(record.Record))
		r.Route = &route
		if out := r.AppendHead(nil); string(out) != sent(tc.want, "") || r.SpanAt != 0 {
			t.Errorf("%q, the span at %d", out, r.SpanAt)
		}
	}
}

// TestTagNames: the fields that are not to be trailers, and room for the longest.
func TestTagNames(t *testing.T) {
	if got := allTags.Names(); !slices.Equal(got, []string{"X-Request-ID", "traceparent", "tracestate"}) {
		t.Errorf("%q", got)
	}
	r := &Request{Message: parse(t, get("")), Text: []byte(get("")), Config: new(config.Config), Peer: newPeer("192.0.2.1", true), Hops: -1}
	r.Tag(&allTags, newMaker(), 1, new(record.Record))
	tags := r.appendTags(nil)
	if n := r.tagBytes(); len(tags) > n || n > TagBytes(tagsConfig()) || !bytes.Contains(tags, []byte("X-Request-ID: ")) {
		t.Errorf("%d bytes of %d: %q", len(tags), n, tags)
	}
}
