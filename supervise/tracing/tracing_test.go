package tracing

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"lb/internal/testkit"
)

// ring is a ring of any size, as the board has them.
type ring struct {
	mu      sync.Mutex
	entries []string
	first   uint64 // the oldest that is still there
}

func (r *ring) put(entries ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entries...)
}

func (r *ring) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.entries))
}

func (r *ring) Read(from uint64, f func(number uint64, entry []byte)) (next, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from < r.first {
		lost, from = r.first-from, r.first
	}
	for ; from < uint64(len(r.entries)); from++ {
		f(from, []byte(r.entries[from]))
	}
	return from, lost
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00f067aa0ba902b7"
	ownSpan = "1111111111111111"
	spanOne = "2222222222222222"
	spanTwo = "3333333333333333"
)

// retried is an exchange that went to two backends, in the form of accesslog.AppendSpan.
const retried = `{"kind":"span","time":"2026-11-27T04:30:00.000000Z","request_id":"0190","client":"192.0.2.1","peer":"10.1.1.1:999",
"tls":{"version":"1.3","alpn":"h2","resumed":true},"method":"GET","host":"a.example:8443","target":"/x?y=1&token=***","protocol":"HTTP/2","status":200,"bytes":123,"bytes_in":4,
"route":"a.example/x","pool":"web","backend":"unix:/run/b.sock","attempts":[{"backend":"10.0.0.1:80","cause":"no_connect","phase":"dial","us":1200},{"backend":"unix:/run/b.sock","status":200,"us":800}],
"phases":{"head":1,"queue":0,"connect":0,"tls":0,"send":3,"first_byte":120,"body":10,"client_stall":0},"total_us":140,"reused":true,"end":"ok","trace_id":"` + traceID + `",
"trace":{"trace_id":"` + traceID + `","span_id":"` + ownSpan + `","parent_id":"` + parent + `","flags":1,"start_ns":1700000000000000001,"end_ns":1700000000000000901,"state":"vendor=a,b=2"},
"attempt_spans":[{"span_id":"` + spanOne + `","start_ns":1700000000000000101,"end_ns":1700000000000000201},{"span_id":"` + spanTwo + `","start_ns":1700000000000000301,"end_ns":1700000000000000801}]}`

// plain returns an exchange without attempts, whose trace has this number.
func plain(n int) string {
	return fmt.Sprintf(`{"kind":"span","method":"GET","target":"/","protocol":"HTTP/1.1","status":404,"end":"lb","end_phase":"admit","end_why":"no_route","attempts":[],
"trace":{"trace_id":"%032x","span_id":"1111111111111111","flags":1,"start_ns":1,"end_ns":2},"attempt_spans":[]}`, n)
}

// collector takes spans, as collectors for OTLP over HTTP do.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*tracepb.Span
	service string
	fields  http.Header // of the last request
	path    string
	answer  atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (done bool)]
	asked   atomic.Int64
}

func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// answers has every further request answered by f; done: nothing is taken of it.
func (c *collector) answers(f func(w http.ResponseWriter, r *http.Request) (done bool)) {
	c.answer.Store(&f)
}

// ServeHTTP takes one batch.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	if f := c.answer.Load(); f != nil && (*f)(w, r) {
		return
	}
	zipped, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	body, err := io.ReadAll(zipped)
	var data tracepb.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint(err), 400)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fields, c.path = r.Header, r.URL.Path
	for _, res := range data.ResourceSpans {
		c.service = attributes(res.Resource.Attributes)["service.name"]
		for _, scope := range res.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// got returns the spans that were taken.
func (c *collector) got() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// attributes returns values as text, by name.
func attributes(list []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *commonpb.AnyValue_IntValue:
			out[kv.Key] = fmt.Sprint(v.IntValue)
		case *commonpb.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		}
	}
	return out
}

func logTo(l *testkit.Log) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// rig is tracing with two slots, the first of which is ours.
type rig struct {
	*Tracing
	rings [2]*ring
	log   testkit.Log
	noted atomic.Uint64 // spans that are lost
}

// quick is a pace for tests, in which only a lack of time makes a collector late.
var quick = pace{read: time.Millisecond, batch: 20 * time.Millisecond, send: testkit.Patience, pause: time.Millisecond, pauseMax: 5 * time.Millisecond, drain: testkit.Patience}

func start(t *testing.T, endpoint string) *rig {
	t.Helper()
	r := &rig{rings: [2]*ring{{}, {}}}
	r.Tracing = startAt(Options{Slots: func() int { return 2 }, Ring: func(slot int) Ring { return r.rings[slot] }, Own: func(slot int) bool { return slot == 0 }, Version: "v1",
		Log: logTo(&r.log), NoteLost: func(n uint64) { r.noted.Add(n) }}, endpoint, quick)
	t.Cleanup(r.Close)
	return r
}
