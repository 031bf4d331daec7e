package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lb/board"
	"lb/config"
	"lb/internal/testkit"
)

// TestMetricsState: what is shown of a backend after each change; the board's
// clock says an hour, at noon.
func TestMetricsState(t *testing.T) {
	const now = uint64(time.Hour)
	ago := func(d time.Duration) uint64 { return now - uint64(d) }
	noon := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	eject := func(s *board.State, at, until uint64) {
		s.EjectedUntil.Store(until)
		s.EjectedSince.Store(at)
		s.EjectedLast.Store(until)
	}
	for _, tc := range []struct {
		name        string
		set         func(b *board.Board, s *board.State)
		up, ejected float64
		changed     time.Duration // ago; -1: never
	}{
		{"nothing is known", func(*board.Board, *board.State) {}, 1, 0, -1},
		{"up", func(b *board.Board, _ *board.State) {
			b.SetHealth(0, board.Up, board.ReasonOK, 200, int64(ago(time.Second)))
		}, 1, 0, time.Second},
		{"down", func(b *board.Board, _ *board.State) {
			b.SetHealth(0, board.Down, board.ReasonStatus, 503, int64(ago(90*time.Second)))
		}, 0, 0, 90 * time.Second},
		{"up again", func(b *board.Board, _ *board.State) {
			b.SetHealth(0, board.Down, board.ReasonTimeout, 0, int64(ago(90*time.Second)))
			b.SetHealth(0, board.Up, board.ReasonOK, 200, int64(ago(2500*time.Millisecond)))
		}, 1, 0, 2500 * time.Millisecond},
		{"ejected", func(_ *board.Board, s *board.State) { eject(s, ago(4*time.Second), now+6e9) }, 1, 1, 4 * time.Second},
		{"ejected, and since then down", func(b *board.Board, s *board.State) {
			eject(s, ago(4*time.Second), now+6e9)
			b.SetHealth(0, board.Down, board.ReasonConnect, 0, int64(ago(3*time.Second)))
		}, 0, 1, 3 * time.Second},
		{"no longer ejected, though no loop has looked", func(_ *board.Board, s *board.State) {
			eject(s, ago(12*time.Second), ago(2*time.Second))
		}, 1, 0, 2 * time.Second},
		{"restored", func(_ *board.Board, s *board.State) {
			eject(s, ago(12*time.Second), ago(2*time.Second))
			s.EjectedUntil.Store(0)
			s.RecoveredAt.Store(ago(time.Second))
		}, 1, 0, time.Second},
		{"taken back by an operator", func(b *board.Board, _ *board.State) {
			b.SetAdmin(0, board.Disabled, int64(ago(9*time.Second)))
			b.SetAdmin(0, board.Enabled, int64(ago(8*time.Second)))
		}, 1, 0, 8 * time.Second},
	} {
		b := board.New(1, 1)
		tc.set(b, b.State(0))
		changed := 0.0
		if tc.changed >= 0 {
			changed = float64(noon.Add(-tc.changed).UnixMilli()) / 1e3
		}
		want := []float64{tc.up, tc.ejected, 0, changed}
		for i, m := range stateMetrics {
			if got := m.value(b.State(0), moment{int64(now), noon}); got != want[i] {
				t.Errorf("%s: %s is %v, want %v", tc.name, m.family.name, got, want[i])
			}
		}
	}
}

// TestMetricsLeaving: the wish of a backend ends with its time.
func TestMetricsLeaving(t *testing.T) {
	b := board.New(1, 1)
	b.State(0).LeavingUntil.Store(uint64(time.Second))
	for at, want := range map[time.Duration]float64{time.Second - 1: 1, time.Second: 0} {
		if got := isLeaving(b.State(0), moment{int64(at), time.Time{}}); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

// TestMetricsStateLabels: each backend shows its own state, over a socket.
func TestMetricsStateLabels(t *testing.T) {
	o := options()
	o.Board.SetHealth(1, board.Down, board.ReasonConnect, 0, 1)
	o.Board.State(2).EjectedUntil.Store(uint64(2 * time.Hour))
	url := start(t, o)
	for name, samples := range map[string][3]int{"lb_backend_up": {1, 0, 1}, "lb_backend_ejected": {0, 0, 1}} {
		want := fmt.Sprintf("# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n"+
			"%[1]s{backend=\"10.0.0.1:9001\",pool=\"default\"} %[3]d\n"+
			"%[1]s{backend=\"unix:/run/app.sock\",pool=\"default\"} %[4]d\n"+
			"%[1]s{backend=\"[::1]:80\",pool=\"api\"} %[5]d\n", name, helpOf(t, url, name), samples[0], samples[1], samples[2])
		if err := testutil.ScrapeAndCompare(url+"/metrics", strings.NewReader(want), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWeightMax: the board keeps every weight that the configuration may have.
func TestWeightMax(t *testing.T) {
	b := board.New(1, 1)
	b.SetWeight(0, config.WeightMax)
	if got := b.State(0).WeightOverride.Load(); got != config.WeightMax {
		t.Errorf("the board keeps %d, want %d", got, config.WeightMax)
	}
	if !testkit.Panics(func() { b.SetWeight(0, config.WeightMax+1) }) {
		t.Error("the board accepts more than the configuration does: let the two agree")
	}
}
