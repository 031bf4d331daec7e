package loop

import (
	"testing"
	"time"
)

// answered is a conn that disarms its deadline when it is readable.
func answered(t *testing.T, k *fakeKernel, l *Loop, fd int) *expirer {
	t.Helper()
	e, p := &expirer{}, adopt(t, l, fd)
	p.ready = func() { l.Disarm(&e.Timer) }
	l.Arm(&e.Timer, e, l.Now().Add(time.Second))
	return e
}

// TestWhatHasComeIsReadBeforeADeadline: the thread stands still, in each place of a turn,
// until long after the deadline; the event was there before.
func TestWhatHasComeIsReadBeforeADeadline(t *testing.T) {
	for name, stop := range map[string]func(k *fakeKernel, l *Loop){
		"between two turns": func(k *fakeKernel, l *Loop) {
			k.now = k.now.Add(time.Hour)
			k.ready(k.of(5, Readable))
		},
		"in a wait that the stop interrupts": func(k *fakeKernel, l *Loop) {
			k.ready() // the poll
			k.stops(time.Hour)
			k.ready(k.of(5, Readable))
		},
		"with more events than one poll takes": func(k *fakeKernel, l *Loop) {
			k.now = k.now.Add(time.Hour)
			full := make([]Event, eventsMax)
			for i := range full {
				full[i] = k.of(6, Readable)
			}
			k.ready(full...)
			k.ready(k.of(5, Readable))
		},
	} {
		k := newFake(t)
		l := New(k, Options{})
		e := answered(t, k, l, 5)
		adopt(t, l, 6)
		stop(k, l)
		for l.Timers() > 0 {
			l.Turn(true)
		}
		if e.fired != 0 {
			t.Errorf("%s: the deadline was judged before the event", name)
		}
	}
}

// TestAStandstillGrantsAGrace: as long as the standstill, and a second at most. Then the
// deadline passes.
func TestAStandstillGrantsAGrace(t *testing.T) {
	for _, tc := range []struct{ stop, grace time.Duration }{
		{standstill - 1, 0},
		{300 * time.Millisecond, 300 * time.Millisecond},
		{time.Hour, graceMax},
	} {
		k := newFake(t)
		l := New(k, Options{})
		e := &expirer{}
		l.Arm(&e.Timer, e, l.Now().Add(time.Millisecond))
		begun := k.now
		k.now = k.now.Add(tc.stop)
		for e.fired == 0 {
			l.Turn(true)
		}
		if got := k.now.Sub(begun) - tc.stop; got < tc.grace || got > tc.grace+2*bucketWidth {
			t.Errorf("%v of standstill: the deadline passed %v later, want %v", tc.stop, got, tc.grace)
		}
		if stood := tc.grace > 0; l.StoodStill(begun) != stood || l.StoodStill(l.Now()) {
			t.Errorf("%v: stood still since then %t, since now %t", tc.stop, l.StoodStill(begun), l.StoodStill(l.Now()))
		}
	}
}

// TestDeadlinesPassOnALoopThatAlwaysStandsStill: every turn is late, or every poll full.
func TestDeadlinesPassOnALoopThatAlwaysStandsStill(t *testing.T) {
	for _, events := range []int{0, eventsMax} {
		k := newFake(t)
		l := New(k, Options{})
		adopt(t, l, 6)
		e := &expirer{}
		l.Arm(&e.Timer, e, l.Now().Add(time.Millisecond))
		for turns := 0; e.fired == 0; turns++ {
			if turns > 20 {
				t.Fatalf("%d events a turn: no deadline ever passes", events)
			}
			full := make([]Event, events)
			for i := range full {
				full[i] = k.of(6, Readable)
			}
			k.ready(full...)
			k.now = k.now.Add(standstill)
			l.Turn(false)
		}
	}
}
