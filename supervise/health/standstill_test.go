package health

import (
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

func TestGaps(t *testing.T) {
	const tick = 100 * time.Millisecond
	for name, tc := range map[string]struct {
		steps []time.Duration
		want  bool
	}{
		"none":            {nil, false},
		"ticks":           {[]time.Duration{tick, tick, tick, tick, tick, tick, tick, tick}, false},
		"a late tick":     {[]time.Duration{tick, 4 * tick, tick}, false},
		"a long one":      {[]time.Duration{tick, 6 * tick}, true},
		"and then others": {[]time.Duration{6 * tick, tick, tick}, true},
		"clock set back":  {[]time.Duration{-time.Hour, tick}, false},
	} {
		now := time.Now().Round(0)
		g := gaps{max: 5 * tick, last: now}
		for _, step := range tc.steps {
			now = now.Add(step)
			g.look(now)
		}
		if g.seen != tc.want {
			t.Errorf("%s: %v, want %v", name, g.seen, tc.want)
		}
	}
}

// Failures amid a standstill are not counted, but no more than againMax in a row.
func TestStandstillIsNoVerdict(t *testing.T) {
	for name, tc := range map[string]struct {
		r     result
		stood []bool
		want  int // probes that count
	}{
		"no standstill": {result{}, []bool{false, false}, 2},
		"once":          {result{}, []bool{true, false}, 1},
		"for ever":      {result{}, []bool{true, true, true, true, true, true, true, true}, 2},
		"good ones":     {result{good: true}, []bool{true, true}, 2},
	} {
		var c checker
		counted := 0
		for _, stood := range tc.stood {
			if !c.again(tc.r, stood) {
				counted++
			}
		}
		if counted != tc.want {
			t.Errorf("%s: %d probes count, want %d", name, counted, tc.want)
		}
	}
}

// A probe that is made during a standstill is made again, at once.
func TestProbeAfterStandstill(t *testing.T) {
	status, probes, addrs := turning(t)
	status.Store(503)
	stood := make(chan bool, 2)
	stood <- true
	stood <- false
	watch = func(time.Duration) func() bool {
		return func() bool {
			select {
			case s := <-stood:
				return s
			default:
				return false
			}
		}
	}
	defer func() { watch = watchStandstill }()
	r := start(t, func(h *config.Health) { h.Fall, h.Interval, h.IntervalDown = 1, time.Hour, time.Hour }, addrs)
	testkit.Until(t, "down", func() bool { return r.health(1) == board.Down })
	r.Close()
	if n := probes.Load(); n != 2 {
		t.Errorf("%d probes, want the one that does not count and another", n)
	}
}
