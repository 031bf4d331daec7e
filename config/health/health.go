// Package health has the keys about backends that fail: active checks, ejection by faults,
// and retries. Like config, it opens nothing.
package health

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Kinds of active checks.
const (
	CheckHTTP = "http" // a request, answered with an expected status
	CheckTCP  = "tcp"  // a connection that comes about
	CheckGRPC = "grpc" // a call of grpc.health.v1.Health/Check, answered with SERVING
)

// Health are the settings of active checks of a pool's backends.
type Health struct {
	Type         string        // CheckHTTP, CheckTCP or CheckGRPC; "": no checks, and the rest has no meaning
	Service      string        // that CheckGRPC asks for; "": the whole server
	Path         string        // with a query or without
	Host         string        // the Host field; "": the backend's name
	Method       string        // GET or HEAD
	Interval     time.Duration // between probes of a backend that is up
	IntervalDown time.Duration // the same of a backend that is down
	Timeout      time.Duration // of a whole probe
	Rise         int           // good probes in a row until a backend is up
	Fall         int           // bad probes in a row until it is down
	Expect       []Statuses    // status codes of a good probe
	Panic        string        // what happens while so many backends are down: Panic503 or PanicFailOpen
	PanicPercent int           // of the pool's backends
}

// What a pool does while checks find (nearly) all of its backends down.
const (
	Panic503      = "503"       // requests are refused
	PanicFailOpen = "fail_open" // all backends are used as if they were up
)

// Statuses is a range of status codes, both ends included.
type Statuses struct{ Low, High int }

// New returns checks with all defaults. Checks are off unless the file has a
// [health] table.
func New() Health {
	return Health{
		Type:         CheckHTTP,
		Path:         "/",
		Method:       "GET",
		Interval:     5 * time.Second,
		IntervalDown: time.Second,
		Timeout:      2 * time.Second,
		Rise:         2,
		Fall:         3,
		Expect:       []Statuses{{200, 399}},
		Panic:        Panic503,
		PanicPercent: 100,
	}
}

// Keys are the keys of [health].
var Keys = []schema.Key[Health]{
	schema.Text("type", checkCheck, func(h *Health) *string { return &h.Type }),
	schema.Text("service", value.CheckService, func(h *Health) *string { return &h.Service }),
	schema.Text("path", value.CheckTarget, func(h *Health) *string { return &h.Path }),
	schema.Text("host", value.CheckHostField, func(h *Health) *string { return &h.Host }),
	schema.Text("method", checkProbeMethod, func(h *Health) *string { return &h.Method }),
	schema.DurationFrom("interval", intervalMin, func(h *Health) *time.Duration { return &h.Interval }),
	schema.DurationFrom("interval_down", intervalMin, func(h *Health) *time.Duration { return &h.IntervalDown }),
	schema.DurationFrom("timeout", time.Millisecond, func(h *Health) *time.Duration { return &h.Timeout }),
	schema.Number("rise", 1, streakMax, func(h *Health) *int { return &h.Rise }),
	schema.Number("fall", 1, streakMax, func(h *Health) *int { return &h.Fall }),
	schema.Special("expect", readExpect, schema.Shown(func(h *Health) string { return expectText(h.Expect) })),
	schema.Text("panic", checkPanic, func(h *Health) *string { return &h.Panic }),
	schema.Number("panic_percent", 1, 100, func(h *Health) *int { return &h.PanicPercent }),
}

// The largest and smallest values that make sense.
const (
	streakMax   = 1000
	attemptsMax = 100
	intervalMin = 10 * time.Millisecond
)

// Read reads the table at path, [health], into h.
func Read(r *schema.Reader, h *Health, path string, v any) {
	*h = New()
	schema.ReadTable(r, h, path, v, Keys)
	if h.Type != CheckGRPC && h.Service != "" {
		r.RefuseHere(tomlfile.Under(path, "service"), value.Wrong(fmt.Sprintf("is not used by type = %q", h.Type), `use type = "grpc", or remove it`))
	}
	var unused []string
	switch h.Type {
	case CheckTCP:
		unused = []string{"path", "host", "method", "expect"}
	case CheckGRPC:
		unused = []string{"path", "method", "expect"}
	default:
		return
	}
	for _, name := range unused {
		r.RefuseHere(tomlfile.Under(path, name), value.Wrong(fmt.Sprintf("is not used by type = %q", h.Type), `use type = "http", or remove it`))
	}
	h.Path, h.Method, h.Expect = "", "", nil
}

// readExpect reads status codes and ranges of them: "200-299, 404", or 204.
func readExpect(r *schema.Reader, h *Health, path string, v any) {
	if n, ok := v.(int64); ok {
		v = strconv.FormatInt(n, 10)
	}
	s, ok := v.(string)
	if !ok {
		r.RefuseValue(path, value.WrongKind(v, "text", `write codes and ranges in one text, such as "200-299, 404"`))
		return
	}
	h.Expect = nil
	for part := range strings.SplitSeq(s, ",") {
		low, high, f := value.ParseStatuses(strings.TrimSpace(part))
		if f != nil {
			r.RefuseValue(path, f)
			return
		}
		h.Expect = append(h.Expect, Statuses{low, high})
	}
}

func checkCheck(s string) *value.Flaw {
	return value.OneOf(s, "kind of check", CheckHTTP, CheckTCP, CheckGRPC)
}

func checkProbeMethod(s string) *value.Flaw {
	return value.OneOf(s, "method for checks", "GET", "HEAD")
}

// Diff compares key by key only checks of the same kind.
func Diff(d *schema.Differ, old, new *Health, path string) {
	if old.Type == new.Type && (d.Show == nil || new.Type != "") {
		schema.DiffTable(d, old, new, path, Keys)
		return
	}
	d.Setting(path, text(*old), text(*new))
}

func text(h Health) string {
	switch h.Type {
	case "":
		return "off"
	case CheckTCP, CheckGRPC:
		return h.Type + " every " + value.DurationText(h.Interval)
	}
	return fmt.Sprintf("%s %s every %s", h.Method, h.Path, value.DurationText(h.Interval))
}
func expectText(list []Statuses) string {
	words := make([]string, len(list))
	for i, s := range list {
		if words[i] = fmt.Sprintf("%d-%d", s.Low, s.High); s.Low == s.High {
			words[i] = fmt.Sprint(s.Low)
		}
	}
	return value.QuoteText(strings.Join(words, ","))
}

func checkPanic(s string) *value.Flaw {
	return value.OneOf(s, "way out", Panic503, PanicFailOpen)
}
