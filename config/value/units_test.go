package value

import (
	"math"
	"testing"
	"time"
)

// TestUnits: what is shown of a length of time or a size is read as the same.
func TestUnits(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"1ms": time.Millisecond, "1.5s": 1500 * time.Millisecond, "1m": time.Minute, "1m30s": 90 * time.Second, "1h": time.Hour, "1h0m5s": time.Hour + 5*time.Second, "8784h": durationMax,
	} {
		if got := DurationText(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
		if got, f := ParseDuration(want, 1); got != d || f != nil {
			t.Errorf("%s is read as %v, %+v; want %v", want, got, f, d)
		}
	}
	for want, n := range map[string]int64{
		"0": 0, "1023": 1023, "1KiB": 1 << 10, "1025": 1025, "64KiB": 64 << 10, "1025KiB": 1025 << 10, "3MiB": 3 << 20, "4GiB": 4 << 30, "4096GiB": 4 << 40,
	} {
		if got := SizeText(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
		if got, f := ParseSize(want, 0, math.MaxInt64); got != n || f != nil {
			t.Errorf("%s is read as %d, %+v; want %d", want, got, f, n)
		}
	}
}
