package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// client sends spans to a collector, by OTLP over HTTP with protobuf. It stands in for the
// client of otlptracehttp, whose package brings all of gRPC into the program.
type client struct {
	http    *http.Client
	agent   string
	headers map[string]string
	url     atomic.Pointer[string]
}

// answerMax bounds how many bytes of an answer are read.
const answerMax = 64 << 10

func newClient(version string) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	return &client{
		// A redirect would take spans, and the headers, to a place that nobody has configured.
		http:    &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		agent:   "lb/" + version,
		headers: headersFrom(os.Getenv("OTEL_EXPORTER_OTLP_HEADERS"), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS")),
	}
}

// headersFrom reads header fields in the form of OpenTelemetry: name=value, with commas
// between them and values in percent encoding. The later list wins.
func headersFrom(lists ...string) map[string]string {
	out := map[string]string{}
	for _, list := range lists {
		for pair := range strings.SplitSeq(list, ",") {
			name, value, ok := strings.Cut(pair, "=")
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if name = strings.TrimSpace(name); ok && err == nil && name != "" {
				out[name] = value
			}
		}
	}
	return out
}

// to has the next batches sent to endpoint, the URL of a collector. Without a path, that
// is /v1/traces (OTLP 1.x, "OTLP/HTTP Request").
func (c *client) to(endpoint string) {
	if u, err := url.Parse(endpoint); err == nil && strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
		endpoint = u.String()
	}
	c.url.Store(&endpoint)
}

// Start does nothing: connections are made when there is something to send.
func (c *client) Start(context.Context) error { return nil }

// Stop closes the idle connection.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// againError is a failure that may be gone at the next try (OTLP 1.x, "Retryable Response
// Codes").
type againError struct {
	err   error
	after time.Duration // how long the collector asks to wait; 0: not said
}

// Error returns what has failed.
func (e *againError) Error() string { return e.err.Error() }

// Unwrap returns the error below.
func (e *againError) Unwrap() error { return e.err }

// partlyError says that a collector has taken only a part of a batch. The rest must not be
// sent again.
type partlyError struct {
	rejected uint64
	text     string
}

// Error returns what the collector says.
func (e *partlyError) Error() string {
	return fmt.Sprintf("the collector has rejected %d spans: %s", e.rejected, e.text)
}

// UploadTraces sends one batch.
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// TracesData is the same on the wire as ExportTraceServiceRequest, which stands in a
	// package that imports gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *c.url.Load(), &zipped)
	if err != nil {
		return err
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", c.agent)
	resp, err := c.http.Do(req)
	if err != nil {
		var inURL *url.Error
		if errors.As(err, &inURL) {
			err = inURL.Err // the endpoint stands in the log line anyway
		}
		return &againError{err: err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return &againError{err: err}
	}
	return judge(resp, answer)
}

// judge returns nil if the collector has taken all spans.
func judge(resp *http.Response, answer []byte) error {
	switch {
	case resp.StatusCode/100 == 2:
		if rejected, text := rejection(answer); rejected > 0 && resp.Header.Get("Content-Type") == "application/x-protobuf" {
			return &partlyError{rejected, text}
		}
		return nil
	case resp.StatusCode == 429, resp.StatusCode == 502, resp.StatusCode == 503, resp.StatusCode == 504:
		return &againError{errors.New("the collector answers " + resp.Status), retryAfter(resp.Header.Get("Retry-After"))}
	}
	return errors.New("the collector answers " + resp.Status)
}

// retryAfter reads the seconds of a Retry-After, and returns 0 for any other form.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// rejection reads partial_success of an ExportTraceServiceResponse: how many spans were
// rejected, and why.
func rejection(answer []byte) (rejected uint64, text string) {
	partial := fieldOf(answer, 1)
	if n, size := protowire.ConsumeVarint(fieldOf(partial, 1)); size > 0 {
		rejected = n
	}
	return rejected, string(fieldOf(partial, 2))
}

// fieldOf returns the value of the last field of this number in a message: of a varint its
// bytes, of others what they contain. It is empty if there is none, or the message is bad.
func fieldOf(message []byte, number protowire.Number) (value []byte) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
			return nil
		}
		if n == number {
			if value = message[:size]; kind == protowire.BytesType {
				value, _ = protowire.ConsumeBytes(message)
			}
		}
		message = message[size:]
	}
	return value
}
