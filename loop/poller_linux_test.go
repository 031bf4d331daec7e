package loop

import (
	"math"
	"testing"
	"time"
)

// TestMillisecondsRoundUp: a wait that ended too early would start again at once,
// many times over.
func TestMillisecondsRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1:                         -1,
		1:                          1,
		time.Millisecond:           1,
		time.Millisecond + 1:       2,
		33 * time.Second:           33000,
		100 * 24 * 365 * time.Hour: math.MaxInt32,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
