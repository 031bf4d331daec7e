// Package logging has the keys about what lb writes down: the access log, traces, metrics
// and its own log. Like config, it opens nothing.
package logging

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"lb/config/schema"
	"lb/config/value"
)

// AccessLog is how requests are logged.
type AccessLog struct {
	// Path is "" for off, Stdout, SyslogPrefix and the path of a unix socket, or the path
	// of a file.
	Path   string
	Format string  // JSON, Combined, or a template with fields in braces
	Sample float64 // share of the good requests that is written, 0 to 1
	Slow   time.Duration
}

// Paths of AccessLog that are no files.
const (
	Stdout       = "-"
	SyslogPrefix = "syslog:unix:"
)

// Formats of AccessLog that are no templates.
const (
	JSON     = "json"
	Combined = "combined"
)

// DefaultAccessLog is off.
var DefaultAccessLog = AccessLog{Format: JSON, Sample: 1, Slow: time.Second}

// AccessLogKeys are the keys of [access_log].
var AccessLogKeys = []schema.Key[AccessLog]{
	schema.Text("path", checkPath, func(a *AccessLog) *string { return &a.Path }),
	schema.Text("format", CheckFormat, func(a *AccessLog) *string { return &a.Format }),
	schema.Fraction("sample", value.CheckShare, func(a *AccessLog) *float64 { return &a.Sample }),
	schema.Duration("slow", func(a *AccessLog) *time.Duration { return &a.Slow }),
}

func checkPath(s string) *value.Flaw {
	switch path, syslog := strings.CutPrefix(s, SyslogPrefix); {
	case s == "" || s == Stdout:
		return nil
	case syslog:
		return value.CheckSocket(path)
	case strings.HasPrefix(s, "syslog:"):
		return value.Wrong(fmt.Sprintf("%q names no unix socket", s), `write "syslog:unix:/dev/log"`)
	}
	return value.CheckFile(s)
}

// Tracing is where spans go.
type Tracing struct {
	Endpoint string  // http or https URL of OTLP over HTTP; "": off
	Sample   float64 // share of the requests without a traceparent whose trace is sampled, 0 to 1
}

// DefaultTracing is off.
var DefaultTracing = Tracing{Sample: 0.01}

// TracingKeys are the keys of [tracing].
var TracingKeys = []schema.Key[Tracing]{
	schema.URL("endpoint", checkEndpoint, func(t *Tracing) *string { return &t.Endpoint }),
	schema.Fraction("sample", value.CheckShare, func(t *Tracing) *float64 { return &t.Sample }),
}

func checkEndpoint(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return value.NoURL(s, `write one such as "http://127.0.0.1:4318", or "" for off`)
	}
	if u.User != nil {
		return value.Wrong("has a user name in it", "leave it out")
	}
	return nil
}

// Metrics is what /metrics shows.
type Metrics struct {
	PerBackend bool // histograms of each backend, too
}

// MetricsKeys are the keys of [metrics].
var MetricsKeys = []schema.Key[Metrics]{
	schema.Flag("per_backend", func(m *Metrics) *bool { return &m.PerBackend }),
}

// The formats of lb's own log.
const (
	FormatAuto = "auto" // text on a terminal, else JSON
	FormatText = "text"
	FormatJSON = "json"
)

// CheckLogFormat checks log_format.
func CheckLogFormat(s string) *value.Flaw {
	return value.OneOf(s, "log format", FormatAuto, FormatText, FormatJSON)
}

// requestIDMax is the length of the longest name of the field for request ids, in bytes.
const requestIDMax = 64

// CheckRequestID checks the name of the field for request ids; "" is none.
func CheckRequestID(s string) *value.Flaw {
	if s == "" {
		return nil
	}
	if len(s) > requestIDMax {
		return value.Wrong("is too long for a name", `write "X-Request-ID"`)
	}
	switch strings.ToLower(s) {
	case "host", "authorization", "cookie", "traceparent", "tracestate", "content-type":
		return value.Wrong("has a meaning of its own", `write "X-Request-ID"`)
	}
	return value.CheckSetRequest(s)
}
