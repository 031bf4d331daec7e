package value

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationMax is short enough that an instant plus a timeout cannot overflow.
const durationMax = 366 * 24 * time.Hour

// ParseDuration reads a length of time of at least low, which is above zero, in Go's
// form: "30s", "1m30s", "1h".
func ParseDuration(v any, low time.Duration) (time.Duration, *Flaw) {
	s, ok := v.(string)
	if !ok {
		hint := `write "30s"`
		if n, isInt := v.(int64); isInt && n > 0 {
			hint = fmt.Sprintf(`write "%ds"`, n)
		}
		return 0, Wrong(fmt.Sprintf("%v has no unit", v), hint)
	}
	d, err := time.ParseDuration(s)
	if strings.Trim(s, "0123456789.") == "" && s != "" && err != nil {
		return 0, Wrong(fmt.Sprintf("%q has no unit", s), fmt.Sprintf(`write "%ss"`, s))
	}
	switch {
	case err != nil:
		return 0, Wrong(fmt.Sprintf("%q is not a length of time", s), `write a number and ms, s, m or h, such as "30s"`)
	case d <= 0:
		return 0, Wrong(fmt.Sprintf("%q is not above zero", s), "no timeout can be turned off; use a long one")
	case d > durationMax:
		return 0, Wrong(fmt.Sprintf("%q is more than a year", s), `use at most "8784h"`)
	case d < low:
		return 0, Wrong(fmt.Sprintf("%q is too short", s), fmt.Sprintf("use at least %q", low))
	}
	return d, nil
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

// units are the units of sizes, larger ones first for SizeText.
var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// ParseSize reads a number of bytes from low to high: 65536, "65536", "64KiB" or
// "64 KiB".
func ParseSize(v any, low, high int64) (int64, *Flaw) {
	n, f := parseBytes(v)
	if f == nil && (n < low || n > high) {
		f = Wrong(fmt.Sprintf("%v is out of range", v), fmt.Sprintf("use %s to %s", SizeText(low), SizeText(high)))
	}
	return n, f
}

func parseBytes(v any) (int64, *Flaw) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, WrongKind(v, "a size", `write bytes, or text such as "64KiB"`)
	}
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(strings.TrimRight(digits, " "), 10, 64)
	if err != nil {
		return 0, Wrong(fmt.Sprintf("%q is not a size", s), `write bytes, or a number and KiB, MiB or GiB, such as "64KiB"`)
	}
	unit := s[len(digits):]
	for _, u := range units {
		if unit != u.name && (unit != "" || u.bytes != 1) {
			continue
		}
		if n > math.MaxInt64/u.bytes || n < math.MinInt64/u.bytes {
			return 0, Wrong(fmt.Sprintf("%q is out of range", s), "use a smaller size")
		}
		return n * u.bytes, nil
	}
	return 0, Wrong(fmt.Sprintf("there is no unit %q", unit), fmt.Sprintf(`write "%dKiB", or MiB or GiB`, n))
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
