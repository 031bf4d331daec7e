package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	for range 100 {
		var b Backoff
		for _, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000} {
			most *= time.Millisecond
			if d := b.Next(); d < most/2 || d > most {
				t.Fatalf("%v, want %v to %v", d, most/2, most)
			}
		}
		if b.Reset(); b.Next() > 100*time.Millisecond {
			t.Fatal("a new row begins late")
		}
	}
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		from := time.Now()
		if !Sleep(ctx, time.Second) || time.Since(from) != time.Second {
			t.Errorf("slept for %v", time.Since(from))
		}
		if Sleep(ctx, time.Hour) || time.Since(from) != time.Minute {
			t.Errorf("slept until %v", time.Since(from))
		}
	})
}
