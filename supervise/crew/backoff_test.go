package crew

import (
	"testing"
	"time"
)

func TestBackOff(t *testing.T) {
	for n, want := range []time.Duration{
		0,
		0, // the first is replaced at once
		100 * time.Millisecond,
		200 * time.Millisecond,
		400 * time.Millisecond,
		800 * time.Millisecond,
		1600 * time.Millisecond,
		3200 * time.Millisecond,
		5 * time.Second,
		5 * time.Second,
	} {
		if got := backOff(n); got != want {
			t.Errorf("after %d deaths: %v, want %v", n, got, want)
		}
	}
	if got := backOff(1 << 30); got != 5*time.Second {
		t.Errorf("after ever so many deaths: %v, want 5s", got)
	}
}

// A row of deaths goes on as long as the workers die within ten seconds and serve nothing.
func TestDeaths(t *testing.T) {
	var d deaths
	for i, tc := range []struct {
		lived  time.Duration
		served bool
		want   int
	}{
		{time.Hour, false, 1},
		{9 * time.Second, false, 2},
		{0, false, 3},
		{time.Millisecond, false, 4},
		{10 * time.Second, false, 1},
		{time.Millisecond, false, 2},
		{time.Millisecond, true, 0},
		{time.Millisecond, true, 0},
		{time.Millisecond, false, 1},
	} {
		if got := d.note(tc.lived, tc.served); got != tc.want {
			t.Errorf("death %d, after a life of %v: counts as number %d, want %d", i, tc.lived, got, tc.want)
		}
	}
}

// More than ten panics within a minute are too many, wherever the minute begins.
func TestPanicWatch(t *testing.T) {
	type look struct {
		after time.Duration
		total uint64
		want  bool
	}
	for name, looks := range map[string][]look{
		"none":                        {{0, 0, false}, {time.Second, 0, false}, {time.Hour, 0, false}},
		"ten":                         {{0, 0, false}, {time.Second, 10, false}},
		"eleven":                      {{0, 0, false}, {time.Second, 11, true}},
		"those before do not count":   {{0, 1000, false}, {time.Second, 1010, false}, {2 * time.Second, 1011, true}},
		"one every seven seconds":     {{0, 0, false}, {7 * time.Second, 1, false}, {60 * time.Second, 8, false}, {67 * time.Second, 10, false}},
		"over the edge of minutes":    {{0, 0, false}, {59 * time.Second, 6, false}, {61 * time.Second, 11, true}},
		"not within one minute":       {{0, 0, false}, {1 * time.Second, 6, false}, {61 * time.Second, 11, false}},
		"quiet for long, then eleven": {{0, 0, false}, {time.Hour, 0, false}, {time.Hour + time.Second, 11, true}},
	} {
		begin := time.Now()
		var w panicWatch
		for i, l := range looks {
			if got := w.note(begin.Add(l.after), l.total); got != l.want {
				t.Errorf("%s, look %d: %v, want %v", name, i, got, l.want)
			}
		}
	}
}
