package e2e

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"lb/internal/testkit"
)

// collector takes spans by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
}

func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// ServeHTTP takes a batch.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, res := range data.ResourceSpans {
		for _, scope := range res.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// of returns the spans of a trace: that of the exchange, and those of attempts in order.
func (c *collector) of(trace string) (own *tracepb.Span, attempts []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		switch {
		case hex.EncodeToString(s.TraceId) != trace:
		case s.Kind == tracepb.Span_SPAN_KIND_SERVER:
			own = s
		default:
			attempts = append(attempts, s)
		}
	}
	return own, attempts
}

// traced makes a request that is a part of a trace.
func (p *process) traced(t *testing.T, trace, parent, flags string) {
	t.Helper()
	req, err := http.NewRequest("GET", p.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("traceparent", "00-"+trace+"-"+parent+"-"+flags)
	req.Header.Set("tracestate", "vendor=a,b=2")
	client := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
}

// TestTraces: lb continues the client's trace if that is sampled, with a span of the
// exchange and one of each attempt; a retry gives two. At the end nothing is lost.
func TestTraces(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string) {
		c, good := collect(t), startBackend(t)
		p := start(t, mode, setup{backends: to(testkit.RefusingAddr(t), good.addr),
			tables: fmt.Sprintf("[eject]\nenabled = false\n[tracing]\nendpoint = %q\nsample = 0.0\n", c.URL)})
		const parent, exchanges = "00f067aa0ba902b7", 8
		trace := func(i int) string { return fmt.Sprintf("4bf92f3577b34da6a3ce929d0e0e47%02x", i) }
		for i := range exchanges {
			p.traced(t, trace(i), parent, "01")
		}
		p.traced(t, trace(100), parent, "00") // not sampled
		p.stop(t)
		retried := 0
		for i := range exchanges {
			own, attempts := c.of(trace(i))
			if own == nil || hex.EncodeToString(own.ParentSpanId) != parent || len(attempts) == 0 {
				t.Fatalf("trace %d: %v with %v\n%s", i, own, attempts, p.Log.String())
			}
			if own.TraceState != "vendor=a,b=2" {
				t.Errorf("trace %d: tracestate %q", i, own.TraceState)
			}
			for j, a := range attempts {
				failed := a.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
				if string(a.ParentSpanId) != string(own.SpanId) || failed != (j < len(attempts)-1) ||
					a.StartTimeUnixNano < own.StartTimeUnixNano || a.EndTimeUnixNano > own.EndTimeUnixNano {
					t.Errorf("trace %d: attempt %v of %v", i, a, own)
				}
			}
			if len(attempts) == 2 {
				retried++
			}
		}
		if own, attempts := c.of(trace(100)); own != nil || attempts != nil {
			t.Errorf("a trace that is not sampled: %v", own)
		}
		if retried == 0 {
			t.Error("no exchange was retried")
		}
		if log := p.Log.String(); strings.Contains(log, "spans") {
			t.Errorf("%s", log)
		}
	})
}
