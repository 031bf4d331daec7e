package value

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// durationMax is short enough that an instant plus a timeout cannot overflow.
const durationMax = 366 * 24 * time.Hour

// ParseDuration reads a length of time of at least low, which is above zero, in Go's
// form: "30s", "1m30s", "1h".
func ParseDuration(v any, low time.Duration) (time.Duration, *Flaw) {
	return parseDuration(v, low, durationMax)
}

// parseDuration is ParseDuration for at most high.
func parseDuration(v any, low, high time.Duration) (time.Duration, *Flaw) {
	s, ok := v.(string)
	if !ok {
		return 0, Wrong(fmt.Sprintf("%v has no unit", v), hintSeconds(v))
	}
	d, err := time.ParseDuration(s)
	if n, isNumber := number(s); isNumber && err != nil {
		return 0, Wrong(fmt.Sprintf("%q has no unit", s), hintSeconds(n))
	}
	switch {
	case err != nil:
		return 0, Wrong(fmt.Sprintf("%q is not a length of time", s), hintDuration(s))
	case d <= 0:
		return 0, Wrong(fmt.Sprintf("%q is not above zero", s), `no timeout can be turned off; use a long one, such as "24h"`)
	case d > high:
		return 0, Wrong(fmt.Sprintf("%q is more than %s", s, years(high)), fmt.Sprintf("use at most %q", DurationText(high)))
	case d < low:
		return 0, Wrong(fmt.Sprintf("%q is too short", s), fmt.Sprintf("use at least %q", low))
	}
	return d, nil
}

// years returns d, which is one year or some, in words.
func years(d time.Duration) string {
	if n := d / durationMax; n > 1 {
		return fmt.Sprintf("%d years", n)
	}
	return "a year"
}

// number returns the number that s is, whole or not.
func number(s string) (v any, ok bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && strings.Trim(s, "0123456789.") == ""
}

// hintSeconds returns how to write a number without a unit. It is seconds, but for a large
// one, which may be milliseconds, as HAProxy has them.
func hintSeconds(v any) string {
	switch n := v.(type) {
	case int64:
		if n >= 1000 {
			return fmt.Sprintf(`write "%dms" or "%ds"`, n, n)
		}
		if n > 0 {
			return fmt.Sprintf(`write "%ds"`, n)
		}
	case float64:
		if n > 0 && n < 1000 {
			return fmt.Sprintf(`write "%vs"`, n)
		}
	}
	return `write a number and ms, s, m or h, such as "30s"`
}

// longUnits are units of time as people write them.
var longUnits = []struct {
	unit  time.Duration
	names []string
}{
	{time.Millisecond, []string{"ms", "msec", "msecs", "millisecond", "milliseconds", "millis"}},
	{time.Second, []string{"s", "sec", "secs", "second", "seconds"}},
	{time.Minute, []string{"m", "min", "mins", "minute", "minutes"}},
	{time.Hour, []string{"h", "hr", "hrs", "hour", "hours"}},
	{24 * time.Hour, []string{"d", "day", "days"}},
}

// hintDuration returns how to write s, a number and a unit in other words, as a length of
// time.
func hintDuration(s string) string {
	digits := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
	unit := strings.ToLower(strings.TrimSpace(s[len(digits):]))
	if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
		for _, u := range longUnits {
			if d := time.Duration(n) * u.unit; slices.Contains(u.names, unit) && d > 0 && d <= durationMax && d/u.unit == time.Duration(n) {
				return fmt.Sprintf("write %q", DurationText(d))
			}
		}
	}
	return `write a number and ms, s, m or h, such as "30s"`
}

// DurationText returns d without the zeros of Duration.String: 1h, not 1h0m0s.
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// units are the units of sizes, larger ones first for SizeText, and what people write for
// them, in lower case.
var units = []struct {
	name   string
	bytes  int64
	others []string
}{
	{"GiB", 1 << 30, []string{"g", "gb", "gib"}},
	{"MiB", 1 << 20, []string{"m", "mb", "mib"}},
	{"KiB", 1 << 10, []string{"k", "kb", "kib"}},
	{"B", 1, []string{"b", "", "byte", "bytes"}},
}

// ParseSize reads a number of bytes from low to high: 65536, "65536", "64KiB" or
// "64 KiB".
func ParseSize(v any, low, high int64) (int64, *Flaw) {
	n, f := parseBytes(v)
	switch {
	case f != nil && f.Hint == "" && n >= low && n <= high: // it has another unit
		f.Hint = fmt.Sprintf("write %q", SizeText(n))
	case f != nil && f.Hint == "" || f == nil && (n < low || n > high):
		f = Wrong(fmt.Sprintf("%v is out of range", v), fmt.Sprintf("use %s to %s", SizeText(low), SizeText(high)))
	}
	return n, f
}

// parseBytes returns a number of bytes, also if the flaw is only that its unit is not one
// of ours. That flaw has no hint.
func parseBytes(v any) (int64, *Flaw) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, WrongKind(v, "a size", `write bytes, or text such as "64KiB"`)
	}
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	unit := s[len(digits):]
	n, err := strconv.ParseFloat(strings.TrimRight(digits, " "), 64)
	if err != nil || n != n {
		return 0, Wrong(fmt.Sprintf("%q is not a size", s), `write bytes, or a number and KiB, MiB or GiB, such as "64KiB"`)
	}
	for _, u := range units {
		if !slices.Contains(u.others, strings.ToLower(unit)) {
			continue
		}
		bytes := n * float64(u.bytes)
		if math.Abs(bytes) >= 1<<62 {
			return 0, Wrong(fmt.Sprintf("%q is out of range", s), "use a smaller size")
		}
		whole := bytes == math.Trunc(bytes) && !strings.Contains(digits, ".")
		switch {
		case whole && (unit == u.name || unit == "" && u.bytes == 1):
			return int64(bytes), nil
		case whole:
			return int64(bytes), Wrong(fmt.Sprintf("there is no unit %q", unit), "")
		}
		return int64(bytes), Wrong(fmt.Sprintf("%q is no whole number", s), "")
	}
	return 0, Wrong(fmt.Sprintf("there is no unit %q", unit), "write B, KiB, MiB or GiB")
}

// SizeText returns n bytes in the largest unit that keeps it whole.
func SizeText(n int64) string {
	for _, u := range units {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}
