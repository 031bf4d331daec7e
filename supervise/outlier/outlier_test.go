package outlier

import (
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/config/health"
	"lb/loop/tick"
	"lb/supervise/plan"
)

// TestJudge: one line for each clause of the rule.
func TestJudge(t *testing.T) {
	rate := health.Eject{ErrorRate: 0.5, RequestsMin: 10}
	slow := health.Eject{LatencyFactor: 3, RequestsMin: 10}
	ms := func(n ...int) (list []seen) {
		for _, one := range n {
			list = append(list, seen{answers: 10, timed: 10, mean: time.Duration(one) * time.Millisecond})
		}
		return list
	}
	for name, tc := range map[string]struct {
		e    health.Eject
		all  []seen
		want []finding
	}{
		"rate":            {rate, []seen{{answers: 10, bad: 5}, {answers: 10}}, []finding{{0, board.ReasonErrorRate, 50}}},
		"below":           {rate, []seen{{answers: 10, bad: 4}, {answers: 10}}, nil},
		"few":             {rate, []seen{{answers: 9, bad: 9}, {answers: 100}}, nil},
		"as the others":   {rate, []seen{{answers: 10, bad: 8}, {answers: 100, bad: 60}}, nil},
		"twice":           {rate, []seen{{answers: 10, bad: 8}, {answers: 100, bad: 40}}, []finding{{0, board.ReasonErrorRate, 80}}},
		"alone":           {rate, []seen{{answers: 10, bad: 8}}, []finding{{0, board.ReasonErrorRate, 80}}},
		"worst first":     {rate, []seen{{answers: 10, bad: 6}, {answers: 10, bad: 10}, {answers: 1000}, {answers: 1000}}, []finding{{1, board.ReasonErrorRate, 100}, {0, board.ReasonErrorRate, 60}}},
		"off":             {health.Eject{RequestsMin: 1}, []seen{{answers: 10, bad: 10}, {answers: 10}}, nil},
		"slow":            {slow, ms(1, 2, 3, 40), []finding{{3, board.ReasonLatency, 40}}},
		"of three":        {slow, ms(1, 40, 2), []finding{{1, board.ReasonLatency, 40}}},
		"of two":          {slow, ms(1, 40), nil},
		"all are slow":    {slow, ms(40, 41, 42), nil},
		"no more than 3":  {slow, ms(10, 10, 30), nil},
		"by chance":       {slow, []seen{{timed: 10, mean: 100e3}, {timed: 10, mean: 100e3}, {timed: 10, mean: 900e3}}, nil},
		"slow, and few":   {slow, append(ms(1, 1, 1), seen{timed: 9, mean: time.Second}), nil},
		"rate comes once": {health.Eject{ErrorRate: 0.5, LatencyFactor: 3, RequestsMin: 10}, append(ms(1, 1, 1), seen{answers: 10, bad: 10, timed: 10, mean: time.Second}), []finding{{3, board.ReasonErrorRate, 100}}},
	} {
		if got := judge(&tc.e, tc.all); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestCourse: what is older than the window does not count, nor what another has counted.
func TestCourse(t *testing.T) {
	var c course
	at := tick.Instant(time.Hour)
	for i := range uint64(25) {
		got := c.move(point{at: at, replies: 10 * i, bad: 2 * i, statuses: 3 * i, firstBytes: math.MaxUint64 - 100 + i<<24*1000 + i}, time.Second)
		n := min(i, 10)
		if got.answers != 11*n || got.bad != 3*n || got.timed != n || n > 0 && got.mean != time.Millisecond {
			t.Errorf("step %d: %+v", i, got)
		}
		at = at.Add(100 * time.Millisecond)
	}
	if len(c.points) > parts+1 {
		t.Errorf("%d points are kept", len(c.points))
	}
	if got := c.move(point{at: at, replies: 5}, time.Second); got != (seen{}) {
		t.Errorf("counters that began again: %+v", got)
	}
}

// TestLook: an outlier is found by the sum over all loops, ejected as often as the rules of
// ejection allow, and judged again when it is back.
func TestLook(t *testing.T) {
	b := board.New(2, 4)
	p := config.NewPool("web")
	p.Eject.ErrorRate, p.Eject.RequestsMin, p.Eject.Window = 0.5, 20, time.Second
	for i := range 4 {
		p.Backends = append(p.Backends, config.Backend{Host: "10.0.0.1", Port: 80 + i, Weight: 1})
	}
	view := &plan.Snapshot{Config: &config.Config{Pools: []config.Pool{p}}, IDs: [][]int{{0, 1, 2, 3}}}
	now := tick.Instant(time.Hour)
	var log strings.Builder
	w := New(Options{Board: b, View: func() *plan.Snapshot { return view }, Now: func() tick.Instant { return now },
		Log: slog.New(slog.NewTextHandler(&log, nil))})
	answer := func(id, good, bad int) {
		for loop := range 2 {
			s := b.Backend(loop, id)
			s.Replies[0].Add(uint64(good))
			s.Replies[3].Add(uint64(bad))
		}
	}
	look := func(want ...bool) {
		t.Helper()
		now = now.Add(time.Second)
		w.Look()
		for id, is := range want {
			if got := b.State(id).EjectedUntil.Load() > uint64(now); got != is {
				t.Errorf("backend %d: ejected is %v, want %v", id, got, is)
			}
		}
	}
	look(false, false, false, false)
	answer(0, 4, 6) // of 10 in each loop, which is too few for one
	answer(1, 10, 0)
	answer(2, 10, 0)
	look(true, false, false, false)
	if s := b.State(0); board.Reason(s.EjectedReason.Load()).WordsWith(s.EjectedDetail.Load()) != "60 % of its answers are 5xx" {
		t.Errorf("the board says %v, %d", s.EjectedReason.Load(), s.EjectedDetail.Load())
	}
	if n := strings.Count(log.String(), "backend ejected"); n != 1 || !strings.Contains(log.String(), "reason=error_rate") {
		t.Errorf("the log says\n%s", log.String())
	}
	answer(1, 0, 30) // while the first is out: it may end it all the same, up to half of the pool
	answer(2, 100, 0)
	answer(3, 0, 30)
	look(true, true, false, false)
	now = now.Add(p.Eject.Time) // both are back, and what they did before is forgotten
	for id := range 4 {
		b.State(id).EjectedUntil.Store(0)
	}
	look(false, false, false, false)
}
