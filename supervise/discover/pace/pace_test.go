package pace

import (
	"context"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 5 * time.Second}
	for range 2 {
		for i, bound := range []time.Duration{1, 2, 4, 5, 5, 5} {
			bound *= time.Second
			if d := b.Next(); d < bound/2 || d > bound {
				t.Errorf("pause %d is %v, want %v to %v", i+1, d, bound/2, bound)
			}
		}
		b.Reset()
	}
	var zero Backoff
	if d := zero.Next(); d < minDefault/2 || d > minDefault {
		t.Errorf("the zero Backoff begins with %v", d)
	}
}

// Many that fail at one moment do not come back at one moment.
func TestBackoffSpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		b := Backoff{Min: time.Hour}
		b.Max = b.Min
		seen[b.Next()] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 pauses have %d lengths", len(seen))
	}
}

func TestWait(t *testing.T) {
	b := Backoff{Min: time.Millisecond, Max: time.Millisecond}
	if !b.Wait(context.Background()) {
		t.Error("Wait says that a context without an end is done")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if b.Min, b.Max = time.Hour, time.Hour; b.Wait(ctx) {
		t.Error("Wait says that a context is not done that is")
	}
}
