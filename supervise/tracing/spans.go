package tracing

import (
	"cmp"
	"encoding/json"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// entry is what a loop writes of an exchange whose trace is sampled: the line of the access
// log, with the identities of spans and with times in nanoseconds since 1970.
type entry struct {
	Trace struct {
		ID     string `json:"trace_id"`
		Parent string `json:"parent_id"` // "" if the trace begins here
		State  string `json:"state"`     // tracestate
		Flags  byte   `json:"flags"`
		span
	} `json:"trace"`
	Spans     []span `json:"attempt_spans"` // of Attempts, as far as there is room
	RequestID string `json:"request_id"`
	Client    string `json:"client"`
	Peer      string `json:"peer"`
	TLS       *struct {
		Version string `json:"version"`
	} `json:"tls"`
	Method    string           `json:"method"`
	Host      string           `json:"host"`
	Target    string           `json:"target"`
	Protocol  string           `json:"protocol"`
	Status    int              `json:"status"`
	Bytes     int64            `json:"bytes"`
	BytesIn   int64            `json:"bytes_in"`
	Route     string           `json:"route"`
	Pool      string           `json:"pool"`
	Attempts  []attempt        `json:"attempts"`
	Phases    map[string]int64 `json:"phases"` // microseconds
	End       string           `json:"end"`
	EndPhase  string           `json:"end_phase"`
	EndWhy    string           `json:"end_why"`
	EndDetail string           `json:"end_detail"`
}

// span is the identity of a span, and its time in nanoseconds since 1970.
type span struct {
	ID      string `json:"span_id"`
	StartNS int64  `json:"start_ns"`
	EndNS   int64  `json:"end_ns"`
}

func (s *span) start() time.Time { return time.Unix(0, s.StartNS) }
func (s *span) end() time.Time   { return time.Unix(0, max(s.StartNS, s.EndNS)) }

type attempt struct {
	Backend string `json:"backend"`
	Status  int    `json:"status"`
	Cause   string `json:"cause"`
	Phase   string `json:"phase"`
	Detail  string `json:"detail"`
}

// resourceOf makes spans of lb.
type resourceOf struct {
	lb    *resource.Resource
	scope instrumentation.Scope
}

// resourceFor returns what says which process spans come from. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES win over what lb says itself.
func resourceFor(version string) *resourceOf {
	list := []attribute.KeyValue{semconv.ServiceName("lb"), semconv.ServiceVersion(version), semconv.ProcessPID(os.Getpid()),
		semconv.TelemetrySDKName("opentelemetry"), semconv.TelemetrySDKLanguageGo}
	if name, err := os.Hostname(); err == nil {
		list = append(list, semconv.HostName(name))
	}
	own := resource.NewWithAttributes(semconv.SchemaURL, list...)
	lb, err := resource.Merge(own, resource.Environment())
	if err != nil { // the environment speaks of another schema: its words are taken without it
		lb = resource.NewSchemaless(append(list, resource.Environment().Attributes()...)...)
	}
	return &resourceOf{lb, instrumentation.Scope{Name: "lb", Version: version, SchemaURL: semconv.SchemaURL}}
}

// spans returns the spans of an exchange, its own first, or none if raw is no entry of one.
func (r *resourceOf) spans(raw []byte) []sdk.ReadOnlySpan {
	var e entry
	if json.Unmarshal(raw, &e) != nil {
		return nil
	}
	own, ok := e.context(e.Trace.span.ID)
	if !ok {
		return nil
	}
	stubs := tracetest.SpanStubs{{Name: e.name(), SpanContext: own, SpanKind: trace.SpanKindServer,
		StartTime: e.Trace.start(), EndTime: e.Trace.end(), Attributes: e.attributes(), Status: e.status()}}
	if parent, ok := e.context(e.Trace.Parent); ok {
		stubs[0].Parent = parent.WithRemote(true)
	}
	for i := range min(len(e.Attempts), len(e.Spans)) {
		a, s := &e.Attempts[i], &e.Spans[i]
		sc, ok := e.context(s.ID)
		if !ok {
			continue
		}
		stubs = append(stubs, tracetest.SpanStub{Name: e.name(), SpanContext: sc, Parent: own, SpanKind: trace.SpanKindClient,
			StartTime: s.start(), EndTime: s.end(), Attributes: e.attributesOf(a, i), Status: a.status()})
	}
	stubs[0].ChildSpanCount = len(stubs) - 1
	for i := range stubs {
		stubs[i].Resource, stubs[i].InstrumentationScope = r.lb, r.scope
	}
	return stubs.Snapshots()
}

// context returns the span of this identity in the trace of e.
func (e *entry) context(span string) (trace.SpanContext, bool) {
	id, err := trace.TraceIDFromHex(e.Trace.ID)
	if err != nil {
		return trace.SpanContext{}, false
	}
	spanID, err := trace.SpanIDFromHex(span)
	if err != nil {
		return trace.SpanContext{}, false
	}
	state, _ := trace.ParseTraceState(e.Trace.State) // a bad one is as none (W3C Trace Context 3.3.1)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: spanID, TraceFlags: trace.TraceFlags(e.Trace.Flags), TraceState: state}), true
}

// methods are those that may be a part of a span's name (semantic conventions for HTTP,
// http.request.method); the others are written by clients as they like.
var methods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}

// name returns the name of the spans. The path is no part of it: there are too many.
func (e *entry) name() string {
	if slices.Contains(methods, e.Method) {
		return e.Method
	}
	return "HTTP"
}

// common returns what all spans of e say of the request.
func (e *entry) common() []attribute.KeyValue {
	list := []attribute.KeyValue{}
	if slices.Contains(methods, e.Method) {
		list = append(list, semconv.HTTPRequestMethodKey.String(e.Method))
	} else if e.Method != "" {
		list = append(list, semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(e.Method))
	}
	path, query, _ := strings.Cut(e.Target, "?")
	add := func(kv attribute.KeyValue, v string) {
		if v != "" {
			list = append(list, kv)
		}
	}
	add(semconv.URLPath(path), path)
	add(semconv.URLQuery(query), query)
	add(attribute.String("lb.pool", e.Pool), e.Pool)
	return list
}

// attributes returns those of the server span.
func (e *entry) attributes() []attribute.KeyValue {
	list := append(e.common(), semconv.URLScheme(map[bool]string{true: "https", false: "http"}[e.TLS != nil]))
	list = addAddress(list, e.Host, semconv.ServerAddressKey, semconv.ServerPortKey)
	list = addAddress(list, e.Client, semconv.ClientAddressKey, semconv.ClientPortKey)
	list = addAddress(list, cmp.Or(e.Peer, e.Client), semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey)
	if version, ok := strings.CutPrefix(e.Protocol, "HTTP/"); ok {
		list = append(list, semconv.NetworkProtocolName("http"), semconv.NetworkProtocolVersion(strings.TrimSuffix(version, ".0")))
	}
	if e.Status != 0 {
		list = append(list, semconv.HTTPResponseStatusCode(e.Status))
	}
	list = append(list, semconv.HTTPRequestBodySize(int(e.BytesIn)), semconv.HTTPResponseBodySize(int(e.Bytes)))
	for _, own := range []struct{ key, value string }{{"lb.route", e.Route}, {"lb.request_id", e.RequestID},
		{"lb.end", e.End}, {"lb.end_phase", e.EndPhase}, {"lb.end_detail", e.EndDetail}} {
		if own.value != "" {
			list = append(list, attribute.String(own.key, own.value))
		}
	}
	for name, us := range e.Phases {
		if us > 0 {
			list = append(list, attribute.Int64("lb."+name+"_us", us))
		}
	}
	if kind := e.errorType(); kind != "" {
		list = append(list, semconv.ErrorTypeKey.String(kind))
	}
	return list
}

// errorType returns what went wrong: the cause of the fault that ended the exchange, else
// the status if it is one of a server's errors.
func (e *entry) errorType() string {
	switch {
	case e.End != "ok" && e.EndWhy != "":
		return e.EndWhy
	case e.Status >= 500:
		return strconv.Itoa(e.Status)
	}
	return ""
}

// status is an error only where a server is to blame, not for what a client does.
func (e *entry) status() sdk.Status {
	if e.Status >= 500 || e.End == "lb" && e.Status == 0 || e.End == "backend" {
		words := ""
		if e.EndWhy != "" {
			words = strings.TrimSuffix(e.End+", "+e.EndPhase+": "+e.EndWhy+": "+e.EndDetail, ": ")
		}
		return sdk.Status{Code: codes.Error, Description: words}
	}
	return sdk.Status{}
}

// attributesOf returns those of the span of an attempt, the number of which is counted from
// 0. The full URL is left out: lb sends a target, and no URL.
func (e *entry) attributesOf(a *attempt, number int) []attribute.KeyValue {
	list := addAddress(e.common(), a.Backend, semconv.ServerAddressKey, semconv.ServerPortKey)
	list = append(list, attribute.String("lb.backend", a.Backend))
	if number > 0 {
		list = append(list, semconv.HTTPRequestResendCount(number))
	}
	if a.Status != 0 {
		list = append(list, semconv.HTTPResponseStatusCode(a.Status))
	}
	if kind := a.errorType(); kind != "" {
		list = append(list, semconv.ErrorTypeKey.String(kind))
	}
	if a.Cause != "" {
		list = append(list, attribute.String("lb.phase", a.Phase))
	}
	return list
}

func (a *attempt) errorType() string {
	if a.Cause == "" && a.Status >= 400 {
		return strconv.Itoa(a.Status)
	}
	return a.Cause
}

// status is an error for every failed attempt, and for every answer that is one.
func (a *attempt) status() sdk.Status {
	if a.errorType() == "" {
		return sdk.Status{}
	}
	words := ""
	if a.Cause != "" {
		words = strings.TrimSuffix(a.Phase+": "+a.Cause+": "+a.Detail, ": ")
	}
	return sdk.Status{Code: codes.Error, Description: words}
}

// addAddress adds a host, and its port if it is known.
func addAddress(list []attribute.KeyValue, hostport string, address, port attribute.Key) []attribute.KeyValue {
	if hostport == "" {
		return list
	}
	host, p, err := net.SplitHostPort(hostport)
	if err != nil || strings.HasPrefix(hostport, "unix:") {
		return append(list, address.String(strings.TrimPrefix(strings.Trim(hostport, "[]"), "unix:")))
	}
	list = append(list, address.String(host))
	if n, err := strconv.Atoi(p); err == nil && n > 0 {
		list = append(list, port.Int(n))
	}
	return list
}
