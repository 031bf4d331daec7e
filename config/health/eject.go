package health

import (
	"fmt"
	"slices"
	"time"

	"lb/config/schema"
	"lb/config/tomlfile"
	"lb/config/value"
)

// Eject are the settings of passive checks: a backend with faults in its exchanges is
// left out for a while.
type Eject struct {
	Enabled    bool
	Faults     int           // in a row until an ejection
	Time       time.Duration // of the first ejection; the n-th takes n times as long
	TimeMax    time.Duration
	MaxPercent int   // of the pool's backends that may be ejected at once; never the last one
	OnStatus   []int // which of 502, 503 and 504 count as faults

	// Outliers are ejected, too, by what all loops have seen of them in Window.
	ErrorRate     float64       // share of 5xx answers from which on a backend is one; 0: off
	LatencyFactor float64       // the same of its time to the first byte, as a multiple of the pool's median; 0: off
	Window        time.Duration // that both look at
	RequestsMin   int           // with fewer answers in Window, a backend is not judged
}

// EjectKeys are the keys of [eject].
var EjectKeys = []schema.Key[Eject]{
	schema.Flag("enabled", func(e *Eject) *bool { return &e.Enabled }),
	schema.Number("faults", 1, streakMax, func(e *Eject) *int { return &e.Faults }),
	schema.DurationFrom("time", time.Millisecond, func(e *Eject) *time.Duration { return &e.Time }),
	schema.DurationFrom("time_max", time.Millisecond, func(e *Eject) *time.Duration { return &e.TimeMax }),
	schema.Number("max_percent", 1, 100, func(e *Eject) *int { return &e.MaxPercent }),
	schema.Special("on_status", readOnStatus, schema.Shown(func(e *Eject) string { return value.ListText(e.OnStatus) })),
	schema.Fraction("error_rate", value.CheckShare, func(e *Eject) *float64 { return &e.ErrorRate }),
	schema.Fraction("latency_factor", checkFactor, func(e *Eject) *float64 { return &e.LatencyFactor }),
	schema.DurationFrom("window", time.Second, func(e *Eject) *time.Duration { return &e.Window }),
	schema.Number("requests_min", 1, 1<<20, func(e *Eject) *int { return &e.RequestsMin }),
}

// ReadEject reads the table at path, [eject], into e.
func ReadEject(r *schema.Reader, e *Eject, path string, v any) {
	schema.ReadTable(r, e, path, v, EjectKeys)
	if !r.File.Has(tomlfile.Under(path, "time_max")) {
		e.TimeMax = max(e.TimeMax, e.Time)
	}
	if e.TimeMax < e.Time {
		r.RefuseValue(tomlfile.Under(path, "time_max"), value.Wrong(fmt.Sprintf("%v is less than time (%v)", e.TimeMax, e.Time), "make it longer, or time shorter"))
	}
}

// readOnStatus reads the status codes that count as faults.
func readOnStatus(r *schema.Reader, e *Eject, path string, v any) {
	e.OnStatus = nil
	schema.ReadList(r, path, v, func(at string, v any) {
		n, ok := v.(int64)
		switch {
		case !ok || n < 502 || n > 504:
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%v cannot eject a backend", v), "use 502, 503 and 504"))
		case slices.Contains(e.OnStatus, int(n)):
			r.RefuseValue(at, value.Wrong(fmt.Sprintf("%d is there already", n), "remove one"))
		default:
			e.OnStatus = append(e.OnStatus, int(n))
		}
	})
}

// checkFactor accepts a multiple of the median, and 0 for off.
func checkFactor(n float64) *value.Flaw {
	if n != 0 && !(n > 1 && n <= 1000) { // so that NaN is not accepted
		return value.Wrong(fmt.Sprintf("%v is out of range", n), "use more than 1, such as 3, or 0 for off")
	}
	return nil
}
