package upstream

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/loop/tick"
	"lb/upstream/usable"
)

// TestLeave: a backend that asks for it gets no new clients for leaveTime from the last time
// that it asked. Those that have its cookie go on.
func TestLeave(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	p.UseSticky([]byte("key"))
	want := func(now tick.Instant, want ...int) {
		t.Helper()
		if list, _ := may(p, now); !slices.Equal(list, want) {
			t.Errorf("%v are picked, want %v", list, want)
		}
	}
	version := shared.Version()
	p.Leave(1, board.ReasonClosing503, start)
	if shared.Version() == version || board.Reason(shared.State(1).LeavingReason.Load()) != board.ReasonClosing503 {
		t.Error("the board does not know, or not why")
	}
	want(start, 0, 2)
	if i, why := p.Pick(Ask{Sticky: []byte(p.Sticky(1))}, start); i != 1 || why != Picked {
		t.Errorf("its client is sent to %d, %v", i, why)
	}
	half := start.Add(leaveTime / 2)
	p.Leave(1, board.ReasonClosing503, half)
	want(start.Add(leaveTime+1), 0, 2)
	want(half.Add(leaveTime), 0, 1, 2)

	p.Leave(1, board.ReasonClosing503, half.Add(leaveTime))
	shared.SetHealth(1, board.Down, board.ReasonConnect, 0, int64(half.Add(leaveTime)))
	shared.SetHealth(1, board.Up, board.ReasonOK, 200, int64(half.Add(leaveTime)))
	want(half.Add(leaveTime), 0, 1, 2)
	p.Leave(1, board.ReasonClosing503, half.Add(leaveTime))
	shared.SetAdmin(1, board.Enabled, int64(half.Add(leaveTime)))
	want(half.Add(leaveTime), 0, 1, 2)
}

// TestLeaveAtMost: a wish that a request may have brought about is believed of so many as may
// be ejected, one that the pool's setting names of more, and none of the last one.
func TestLeaveAtMost(t *testing.T) {
	for _, tc := range []struct {
		states string
		why    board.Reason
		want   []int
	}{
		{".", board.ReasonDrainField, nil},
		{"....", board.ReasonClosing503, []int{0, 1}},
		{"....", board.ReasonGoaway, []int{0, 1}},
		{"....", board.ReasonDrainField, []int{0, 1, 2}},
		{"..d", board.ReasonDrainField, []int{0}},
		{".xx", board.ReasonDrainField, nil},
		{".w", board.ReasonDrainField, nil},
	} {
		p, shared := buildOf(config.RoundRobin, equal(len(tc.states), 1)...).state(tc.states)
		for i := range p.Backends {
			p.Leave(i, tc.why, start)
		}
		var got []int
		for i := range p.Backends {
			if shared.State(i).LeavingUntil.Load() != 0 {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s, %v: %v leave, want %v", tc.states, tc.why, got, tc.want)
		}
		if list, why := may(p, start); len(list) == 0 && slices.Contains([]byte(tc.states), '.') {
			t.Errorf("%s, %v: none is picked: %v", tc.states, tc.why, why)
		}
	}
}

// TestLeaveAlone: the one that leaves is used when all others have gone down.
func TestLeaveAlone(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1).pool()
	p.Leave(0, board.ReasonDrainField, start)
	if list, _ := may(p, start); !slices.Equal(list, []int{1}) {
		t.Errorf("%v are picked, want 1", list)
	}
	shared.SetHealth(1, board.Down, board.ReasonConnect, 0, int64(start))
	if list, _ := may(p, start); !slices.Equal(list, []int{0}) {
		t.Errorf("%v are picked, want 0", list)
	}
}

// TestLeaveTogether: whatever loops see at once, one backend stays.
func TestLeaveTogether(t *testing.T) {
	const loops, backends = 4, 4
	set := buildOf(config.P2C, equal(backends, 1)...)
	set.loops = loops
	for round := range 300 {
		shared := board.New(loops, backends)
		var wait sync.WaitGroup
		for loop := range loops {
			wait.Go(func() {
				p := set.on(shared, loop)
				for _, i := range rand.Perm(backends) {
					p.Leave(i, board.ReasonDrainField, start)
				}
			})
		}
		wait.Wait()
		left := 0
		for i := range backends {
			if shared.State(i).LeavingUntil.Load() == 0 {
				left++
			}
		}
		if left == 0 {
			t.Fatalf("round %d: all leave", round)
		}
	}
}

// TestFailsOpen: with so many down, all that are to be used are, and package usable says the
// same as the pick.
func TestFailsOpen(t *testing.T) {
	for _, tc := range []struct {
		states  string
		panic   string
		percent int
		want    []int
	}{
		{"dd", config.Health{}.Panic, 100, nil},
		{"dd", "503", 100, nil},
		{"dd", "fail_open", 100, []int{0, 1}},
		{"d.", "fail_open", 100, []int{1}},
		{"d.", "fail_open", 50, []int{0, 1}},
		{"d...", "fail_open", 50, []int{1, 2, 3}},
		{"dc", "fail_open", 100, []int{0}}, // what is drained or disabled does not count
		{"..", "fail_open", 1, []int{0, 1}},
	} {
		set := buildOf(config.RoundRobin, equal(len(tc.states), 1)...)
		set.Health.Type, set.Health.Panic, set.Health.PanicPercent = config.CheckHTTP, tc.panic, tc.percent
		p, shared := set.state(tc.states)
		list, _ := may(p, start)
		if !slices.Equal(list, tc.want) {
			t.Errorf("%s, %s from %d %%: %v are picked, want %v", tc.states, tc.panic, tc.percent, list, tc.want)
		}
		ids := make([]int, len(tc.states))
		for i := range ids {
			ids[i] = i
		}
		if got := usable.Of(shared, &set.Pool, ids); got.Any() != (len(list) > 0) {
			t.Errorf("%s: usable says %+v, the pick %v", tc.states, got, list)
		}
		for i := range p.Backends {
			if out := p.Out(i, start); out && slices.Contains(list, i) {
				t.Errorf("%s: %d is picked, and out", tc.states, i)
			}
		}
	}
}

// TestExpel: an outlier is ejected as others are, and no check that passes ends it.
func TestExpel(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	c, ejected := p.Expel(1, Fault{Why: board.ReasonLatency, Detail: 40}, start)
	if !ejected || c.Reason != board.ReasonLatency || c.Detail != 40 || c.For != 10*time.Second {
		t.Errorf("%+v, %v", c, ejected)
	}
	if _, again := p.Expel(1, Fault{Why: board.ReasonLatency}, start); again {
		t.Error("it is ejected twice")
	}
	if _, again := p.Expel(0, Fault{Why: board.ReasonLatency}, start); again {
		t.Error("two of three are ejected")
	}
	if _, ended := Passed(shared, 1, &config.Eject{Time: 10 * time.Second, TimeMax: time.Minute}, start+1, start.Add(9*time.Second)); ended {
		t.Error("a check ends it")
	}
	if list, _ := may(p, start.Add(10*time.Second)); len(list) != 3 {
		t.Errorf("after its time %v are picked", list)
	}
}

// TestFirstBytesAreCounted: only where outliers are looked for.
func TestFirstBytesAreCounted(t *testing.T) {
	for factor, want := range map[float64]uint64{0: 0, 3: 2} {
		set := buildOf(config.RoundRobin, 1)
		set.Eject.LatencyFactor = factor
		p, shared := set.pool()
		p.Succeeded(0, 3*time.Millisecond, start)
		p.Succeeded(0, 0, start) // not known
		p.Succeeded(0, 5*time.Millisecond, start)
		n, mean := board.FirstBytesOf(0, shared.BackendTotals(0).FirstBytes)
		if n != want || want > 0 && mean != 4*time.Millisecond {
			t.Errorf("factor %v: %d, %v", factor, n, mean)
		}
	}
}
