package upstream

import (
	"testing"
	"time"

	"lb/board"
	"lb/config"
)

// TestPassed: a check that begins after an ejection and passes ends the first ejection at
// once, and the n-th once it has lasted as long as the one before would.
func TestPassed(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	var told []Change
	p.Notify(func(c Change) { told = append(told, c) })
	s, eject := shared.State(1), &config.Eject{Time: 10 * time.Second, TimeMax: 5 * time.Minute}
	if _, ended := Passed(shared, 1, eject, start, start); ended {
		t.Error("an ejection ended before there was one")
	}
	now := start
	fail(p, 1, 2, now)
	for n := 1; n <= 40; n++ {
		c, ejected := fail(p, 1, 1, now)
		if want := min(time.Duration(n)*10*time.Second, 5*time.Minute); !ejected || c.For != want {
			t.Fatalf("ejection %d: %+v, want it for %v", n, c, want)
		}
		if _, ended := Passed(shared, 1, eject, now, now.Add(c.For-1)); ended {
			t.Fatalf("ejection %d: ended by a check that began before it", n)
		}
		least := c.For - 10*time.Second
		if _, ended := Passed(shared, 1, eject, now+1, now.Add(least-1)); ended {
			t.Fatalf("ejection %d: ended before %v", n, least)
		}
		now = now.Add(least + 1)
		version := shared.Version()
		if out, ended := Passed(shared, 1, eject, now, now); !ended || out != least+1 {
			t.Fatalf("ejection %d: out for %v, %v", n, out, ended)
		}
		if s.EjectedUntil.Load() != 0 || s.RecoveredAt.Load() != uint64(now) || s.EjectedLast.Load() != uint64(now) || shared.Version() == version {
			t.Fatalf("ejection %d: the board does not know that it has ended", n)
		}
		if list, _ := may(p, now); len(list) != 3 {
			t.Fatalf("ejection %d: %v are picked", n, list)
		}
		now++
	}
	if len(told) > 0 {
		t.Errorf("a loop reports it as well: %+v", told)
	}
}

// TestPassedNot: a check ends no ejection of a backend that is down, nor one that is over.
func TestPassedNot(t *testing.T) {
	p, shared := buildOf(config.RoundRobin, 1, 1, 1).pool()
	eject := &config.Eject{Time: 10 * time.Second, TimeMax: 5 * time.Minute}
	fail(p, 1, 3, start)
	shared.SetHealth(1, board.Down, board.ReasonConnect, 0, int64(start))
	if _, ended := Passed(shared, 1, eject, start+1, start+2); ended {
		t.Error("it is down")
	}
	shared.SetHealth(1, board.Up, board.ReasonOK, 0, int64(start))
	if _, ended := Passed(shared, 1, eject, start+1, start.Add(10*time.Second)); ended {
		t.Error("its time is over: that is for a loop to report")
	}
}
