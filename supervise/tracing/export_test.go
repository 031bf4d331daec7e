package tracing

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"lb/internal/testkit"
)

// await returns the spans that c got, which are n.
func (c *collector) await(t *testing.T, n int) []*tracepb.Span {
	t.Helper()
	testkit.Until(t, fmt.Sprintf("%d spans", n), func() bool { return len(c.got()) >= n })
	if got := c.got(); len(got) != n {
		t.Fatalf("%d spans, want %d", len(got), n)
	}
	return c.got()
}

// TestSpans: an exchange that was retried gives a span of its own, which continues the
// trace of the client, and two of attempts below it.
func TestSpans(t *testing.T) {
	c := collect(t)
	r := start(t, c.URL)
	r.rings[0].put(retried)
	spans := c.await(t, 3)
	type ids struct{ trace, span, parent string }
	for i, want := range []ids{{traceID, ownSpan, parent}, {traceID, spanOne, ownSpan}, {traceID, spanTwo, ownSpan}} {
		s := spans[i]
		if got := (ids{hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), hex.EncodeToString(s.ParentSpanId)}); got != want {
			t.Errorf("span %d: %v, want %v", i, got, want)
		}
		if s.TraceState != "vendor=a,b=2" {
			t.Errorf("span %d: tracestate %q", i, s.TraceState)
		}
	}
	own, first, second := spans[0], spans[1], spans[2]
	if own.Kind != tracepb.Span_SPAN_KIND_SERVER || first.Kind != tracepb.Span_SPAN_KIND_CLIENT || own.Name != "GET" || second.Name != "GET" {
		t.Errorf("%v", spans)
	}
	if own.StartTimeUnixNano != 1700000000000000001 || own.EndTimeUnixNano != 1700000000000000901 || second.StartTimeUnixNano != 1700000000000000301 || second.EndTimeUnixNano != 1700000000000000801 {
		t.Errorf("other times: %v", spans)
	}
	if own.Flags&1 == 0 || own.Flags&(1<<9) == 0 { // sampled; the parent is remote
		t.Errorf("flags %x", own.Flags)
	}
	if own.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET || first.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || second.Status.GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("%v, %v, %v", own.Status, first.Status, second.Status)
	}
	checkAttributes(t, own, map[string]string{"http.request.method": "GET", "url.path": "/x", "url.query": "y=1&token=***", "url.scheme": "https", "server.address": "a.example",
		"server.port": "8443", "client.address": "192.0.2.1", "network.peer.address": "10.1.1.1", "network.peer.port": "999", "network.protocol.version": "2",
		"http.response.status_code": "200", "lb.pool": "web", "lb.request_id": "0190", "lb.route": "a.example/x", "lb.first_byte_us": "120", "error.type": ""})
	checkAttributes(t, first, map[string]string{"server.address": "10.0.0.1", "server.port": "80", "error.type": "no_connect", "lb.phase": "dial", "http.request.resend_count": "", "http.response.status_code": ""})
	checkAttributes(t, second, map[string]string{"server.address": "/run/b.sock", "server.port": "", "error.type": "", "http.request.resend_count": "1", "http.response.status_code": "200"})
	if c.path != "/v1/traces" || c.service != "lb" || !strings.HasPrefix(c.fields.Get("User-Agent"), "lb/v1") {
		t.Errorf("%s, service %s, %v", c.path, c.service, c.fields)
	}
}

// checkAttributes checks some attributes; "" is for one that must not be there.
func checkAttributes(t *testing.T, s *tracepb.Span, want map[string]string) {
	t.Helper()
	got := attributes(s.Attributes)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

// TestStatus: who is to blame decides whether a span is an error.
func TestStatus(t *testing.T) {
	res := resourceFor("v1")
	for _, tc := range []struct {
		outcome, kind string
		bad           bool
	}{
		{`"status":200,"end":"ok"`, "", false},
		{`"status":404,"end":"ok"`, "", false},
		{`"status":503,"end":"ok"`, "503", true},
		{`"status":502,"end":"backend","end_phase":"wait","end_why":"reset","end_detail":"connection reset by peer"`, "reset", true},
		{`"status":200,"end":"backend","end_phase":"relay","end_why":"reset"`, "reset", true},
		{`"status":200,"end":"client","end_phase":"relay","end_why":"gone"`, "gone", false},
		{`"status":404,"end":"lb","end_phase":"admit","end_why":"no_route"`, "no_route", false},
		{`"end":"lb","end_phase":"wait","end_why":"cut"`, "cut", true},
	} {
		raw := `{"method":"BREW","target":"/",` + tc.outcome + `,"trace":{"trace_id":"` + traceID + `","span_id":"` + ownSpan + `","flags":1}}`
		spans := res.spans([]byte(raw))
		if len(spans) != 1 {
			t.Fatalf("%s: %d spans", raw, len(spans))
		}
		s, kind := spans[0], ""
		for _, kv := range s.Attributes() {
			if kv.Key == "error.type" {
				kind = kv.Value.AsString()
			}
		}
		if kind != tc.kind || (s.Status().Description != "" || s.Status().Code != 0) != tc.bad || s.Parent().IsValid() || s.Name() != "HTTP" {
			t.Errorf("%s: error.type %q, %v, parent %v, name %s", tc.outcome, kind, s.Status(), s.Parent(), s.Name())
		}
	}
}

// TestBadEntries: what is no entry is lost, and counted.
func TestBadEntries(t *testing.T) {
	r := start(t, collect(t).URL)
	r.rings[0].put("", "{", "{}", `{"trace":{"trace_id":"`+strings.Repeat("0", 32)+`","span_id":"`+ownSpan+`"}}`)
	testkit.Until(t, "four losses", func() bool { return r.Lost() == 4 && r.noted.Load() == 4 })
}

// TestOthersSlots: the entries of the loops of another process are for that one, also those
// that it wrote before the slot became ours.
func TestOthersSlots(t *testing.T) {
	c := collect(t)
	r := start(t, c.URL)
	r.rings[1].put(plain(7))
	r.rings[0].put(plain(1))
	if got := c.await(t, 1); got[0].TraceId[15] != 1 {
		t.Errorf("%v", got)
	}
}

// TestLastEntries: what a loop of ours has written until it gave up its slot is exported,
// and so is the first of one that has a new slot.
func TestLastEntries(t *testing.T) {
	rings, slots, own := []*ring{{}, {}}, 1, true
	r := &Tracing{o: Options{Slots: func() int { return slots }, Ring: func(slot int) Ring { return rings[slot] }, Own: func(int) bool { return own }},
		resource: resourceFor("v1"), queue: make(chan sdk.ReadOnlySpan, 100)}
	anywhere := "http://127.0.0.1:1"
	r.endpoint.Store(&anywhere)
	r.look()
	rings[0].put(plain(1))
	rings[1].put(plain(2))
	slots = 2
	r.look()
	rings[0].put(plain(3))
	own = false
	r.look()
	rings[0].put(plain(4)) // of another process
	r.look()
	if n := len(r.queue); n != 3 || r.Lost() != 0 {
		t.Errorf("%d spans, %d lost", n, r.Lost())
	}
}

// TestOverrun: entries that were overwritten before they were read, and spans for which there is no
// room, are counted.
func TestOverrun(t *testing.T) {
	own, anywhere := &ring{first: 44}, "http://127.0.0.1:1"
	for i := range 300 {
		own.put(plain(i + 1))
	}
	r := &Tracing{o: Options{Slots: func() int { return 1 }, Ring: func(int) Ring { return own }, Own: func(int) bool { return true }}, resource: resourceFor("v1"), queue: make(chan sdk.ReadOnlySpan, 100)}
	r.endpoint.Store(&anywhere)
	r.look()
	if want := uint64(44 + 256 - 100); r.Lost() != want || r.slots[0].from != 300 || len(r.queue) != 100 {
		t.Errorf("%d lost, want %d; %d queued, next %d", r.Lost(), want, len(r.queue), r.slots[0].from)
	}
}

// TestAway: a collector that is not there holds nothing up; the loss is reported once,
// with what to do, and once more when it is over.
func TestAway(t *testing.T) {
	c := collect(t)
	r := start(t, "http://"+testkit.RefusingAddr(t)+"/v1/traces?api_key=hidden")
	for i := range 5 {
		r.rings[0].put(plain(i + 1))
		testkit.Until(t, "a loss", func() bool { return r.Lost() == uint64(i+1) })
	}
	testkit.Until(t, "the trouble to be shown", func() bool { return strings.Contains(r.Trouble(), "connection refused; start the collector") })
	if text := r.Trouble(); strings.Contains(text, "hidden") || !strings.Contains(text, "api_key=***") {
		t.Errorf("the trouble shows the key: %s", text)
	}
	r.Configure(c.URL)
	testkit.Until(t, "the end of it", func() bool {
		r.rings[0].put(plain(9))
		return strings.Contains(r.log.String(), "spans are exported again") && r.Trouble() == ""
	})
	log := r.log.String()
	if strings.Contains(log, "hidden") || strings.Count(log, "spans are lost") != 1 || !strings.Contains(log, "connection refused") || !strings.Contains(log, "mend=") {
		t.Errorf("%s", log)
	}
}

// TestAgain: a collector that is busy is asked again, a few times; one that refuses is not.
func TestAgain(t *testing.T) {
	c := collect(t)
	c.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if c.asked.Load() < triesMax {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
			return true
		}
		return false
	})
	r := start(t, c.URL+"/other/path")
	r.rings[0].put(plain(1))
	c.await(t, 1)
	if n := c.asked.Load(); n != triesMax || r.Lost() != 0 || c.path != "/other/path" {
		t.Errorf("asked %d times at %s, %d lost", n, c.path, r.Lost())
	}
	c.answers(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(400)
		return true
	})
	r.rings[0].put(plain(2))
	testkit.Until(t, "a loss", func() bool { return r.Lost() == 1 })
	if n := c.asked.Load(); n != triesMax+1 {
		t.Errorf("asked %d times", n-triesMax)
	}
}

// TestPartly: spans that the collector has rejected are lost, and not sent again.
func TestPartly(t *testing.T) {
	c := collect(t)
	c.answers(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-protobuf")
		partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
		partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "too old")
		w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
		return true
	})
	r := &rig{rings: [2]*ring{{}, {}}}
	late := quick
	late.read, late.batch = time.Hour, time.Hour // both spans are in the batch that Close sends
	r.Tracing = startAt(Options{Slots: func() int { return 1 }, Ring: func(int) Ring { return r.rings[0] }, Own: func(int) bool { return true }, Log: logTo(&r.log)}, c.URL, late)
	r.rings[0].put(plain(1), plain(2))
	r.Close()
	if r.Lost() != 1 || c.asked.Load() != 1 || !strings.Contains(r.log.String(), "too old") {
		t.Errorf("%d lost, asked %d times\n%s", r.Lost(), c.asked.Load(), r.log.String())
	}
}

// TestSlow: a collector that does not answer costs spans, and neither memory without bound
// nor the end of lb.
func TestSlow(t *testing.T) {
	held := make(chan struct{})
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	t.Cleanup(c.Close)
	t.Cleanup(func() { close(held) }) // before that
	r := &rig{rings: [2]*ring{{}, {}}}
	slow := quick
	slow.drain = time.Millisecond
	r.Tracing = startAt(Options{Slots: func() int { return 1 }, Ring: func(int) Ring { return r.rings[0] }, Own: func(int) bool { return true }, Log: logTo(&r.log)}, c.URL, slow)
	n := 0
	testkit.Until(t, "losses", func() bool {
		for range 1000 {
			n++
			r.rings[0].put(plain(n))
		}
		return r.Lost() > 0
	})
	r.Close()
	if r.Lost() < uint64(n-queueMax) || !strings.Contains(r.log.String(), "lost") {
		t.Errorf("%d of %d lost\n%s", r.Lost(), n, r.log.String())
	}
}

// TestClose: what was written before is exported.
func TestClose(t *testing.T) {
	c := collect(t)
	r := &rig{rings: [2]*ring{{}, {}}}
	late := quick
	late.read, late.batch = time.Hour, time.Hour
	r.Tracing = startAt(Options{Slots: func() int { return 1 }, Ring: func(int) Ring { return r.rings[0] }, Own: func(int) bool { return true }, Log: logTo(&r.log)}, c.URL, late)
	for i := range 3 * batchMax {
		r.rings[0].put(plain(i + 1))
	}
	r.Close()
	r.Close()
	if got := c.got(); len(got) != 3*batchMax || c.asked.Load() != 3 {
		t.Errorf("%d spans in %d batches\n%s", len(got), c.asked.Load(), r.log.String())
	}
	(*Tracing)(nil).Close()
}

// TestConfigure: another endpoint gets what comes from now on; "" gets nothing.
func TestConfigure(t *testing.T) {
	one, two := collect(t), collect(t)
	r := start(t, one.URL)
	r.rings[0].put(plain(1))
	one.await(t, 1)
	r.Configure(two.URL)
	r.Configure(two.URL)
	r.rings[0].put(plain(2))
	two.await(t, 1)
	r.Configure("")
	r.rings[0].put(plain(3))
	r.Configure(one.URL)
	testkit.Until(t, "spans of the last endpoint", func() bool {
		r.rings[0].put(plain(4))
		return len(one.got()) > 1
	})
	if slices.ContainsFunc(append(one.got(), two.got()...), func(s *tracepb.Span) bool { return s.TraceId[15] == 3 }) {
		t.Error("a span of the time without an endpoint was exported")
	}
}

// TestHeaders: fields for the collector come from the environment, as OpenTelemetry has it.
func TestHeaders(t *testing.T) {
	got := headersFrom("a=1, b=x%20y", "a=2,,=,c")
	if len(got) != 2 || got["a"] != "2" || got["b"] != "x y" {
		t.Errorf("%q", got)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
	t.Setenv("OTEL_SERVICE_NAME", "edge")
	c := collect(t)
	r := start(t, c.URL)
	r.rings[0].put(plain(1))
	c.await(t, 1)
	if c.fields.Get("X-Key") != "secret" || c.service != "edge" {
		t.Errorf("%v, %s", c.fields, c.service)
	}
}

// FuzzSpans: whatever stands in an entry, spans belong together, or there are none.
func FuzzSpans(f *testing.F) {
	f.Add([]byte(retried))
	f.Add([]byte(plain(1)))
	res := resourceFor("v1")
	f.Fuzz(func(t *testing.T, raw []byte) {
		for i, s := range res.spans(raw) {
			if !s.SpanContext().IsValid() || s.EndTime().Before(s.StartTime()) || i > 0 && s.Parent().TraceID() != s.SpanContext().TraceID() {
				t.Errorf("%v", s)
			}
		}
	})
}
