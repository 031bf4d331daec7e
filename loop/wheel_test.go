package loop

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"lb/loop/tick"
)

// TestWheelAgainstModel drives a wheel and a plain list of deadlines with the
// same random operations. Both fire the same timers, none early, none more than
// two buckets late.
func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		m := &wheelModel{rng: rand.New(rand.NewPCG(seed, 1)), now: tick.Instant(seed+1) * 1e9}
		m.wheel.pos = int64(m.now) / int64(bucketWidth)
		for step := range 2000 {
			if fault := m.step(); fault != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, fault)
			}
		}
		for i := range m.timers {
			m.wheel.disarm(&m.timers[i])
		}
		if m.wheel.len != 0 || m.wheel.summary != 0 || m.wheel.next() != -1 || m.wheel.due != nil {
			t.Fatalf("seed %d: %d timers left, summary %b", seed, m.wheel.len, m.wheel.summary)
		}
	}
}

type wheelModel struct {
	wheel     wheel
	rng       *rand.Rand
	now       tick.Instant
	timers    [60]Timer
	deadlines [60]tick.Instant // 0: disarmed
}

func (m *wheelModel) step() string {
	i := m.rng.IntN(len(m.timers))
	switch m.rng.IntN(10) {
	case 0, 1, 2, 3:
		m.arm(i)
	case 4:
		m.wheel.disarm(&m.timers[i])
		m.deadlines[i] = 0
	default:
		return m.pass(m.delay() / 4)
	}
	return m.checkWake()
}

// delay draws a delay from milliseconds to beyond the horizon.
func (m *wheelModel) delay() time.Duration {
	return time.Duration(m.rng.Int64N(1 << (18 + m.rng.IntN(20))))
}

func (m *wheelModel) arm(i int) {
	at := m.now.Add(m.delay())
	if m.rng.IntN(20) == 0 {
		at = m.now.Add(-time.Millisecond) // long past
	}
	m.wheel.arm(&m.timers[i], at)
	m.deadlines[i] = at
}

// pass lets d go by in one step, as a long turn does, and fires timers.
func (m *wheelModel) pass(d time.Duration) string {
	m.now = m.now.Add(d)
	m.wheel.collect(m.now)
	for t := m.wheel.pop(m.now); t != nil; t = m.wheel.pop(m.now) {
		i := m.index(t)
		switch {
		case m.deadlines[i] == 0:
			return "a disarmed timer fires"
		case m.deadlines[i] > m.now:
			return "a timer fires early"
		}
		m.deadlines[i] = 0
		switch m.rng.IntN(4) { // an Expired that arms and disarms
		case 0:
			m.arm(i)
		case 1:
			j := m.rng.IntN(len(m.timers))
			m.wheel.disarm(&m.timers[j])
			m.deadlines[j] = 0
		}
	}
	for _, at := range m.deadlines {
		if at != 0 && m.now.Sub(at) > 2*bucketWidth {
			return "a timer is late by more than two buckets"
		}
	}
	return m.checkWake()
}

func (m *wheelModel) index(t *Timer) int {
	for i := range m.timers {
		if &m.timers[i] == t {
			return i
		}
	}
	panic("not ours")
}

// checkWake returns an error text if the loop would sleep past a deadline.
func (m *wheelModel) checkWake() string {
	armed, wake := 0, m.wheel.wakeAt()
	for _, at := range m.deadlines {
		if at == 0 {
			continue
		}
		armed++
		if wake == 0 || wake.Sub(max(at, m.now)) > 2*bucketWidth {
			return "the loop would sleep past a deadline"
		}
	}
	if armed != m.wheel.len {
		return "the count of armed timers is wrong"
	}
	return ""
}

func TestTimersOnTheLoop(t *testing.T) {
	for _, d := range []time.Duration{
		0, 1, time.Millisecond, bucketWidth, bucketWidth + 1, time.Second,
		bucketCount * bucketWidth, 60 * time.Second, time.Hour,
	} {
		k := newFake(t)
		l := New(k, Options{})
		e := &expirer{}
		start := l.Now()
		l.Arm(&e.Timer, e, start.Add(d))
		for e.fired == 0 {
			l.Turn(true)
		}
		if late := l.Now().Sub(start) - d; late < 0 || late > 2*bucketWidth {
			t.Errorf("%v: late by %v", d, late)
		}
		if l.Timers() != 0 || len(k.waits) > 3+3*int(d/(bucketCount*bucketWidth)+2) {
			t.Errorf("%v: %d timers left, %d waits", d, l.Timers(), len(k.waits))
		}
	}
}

func TestArmLaterIsAStoreAndEarlierMoves(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	e := &expirer{}
	l.Arm(&e.Timer, e, l.Now().Add(time.Second))
	entry := e.entry
	l.Arm(&e.Timer, e, l.Now().Add(3*time.Second))
	if e.entry != entry {
		t.Error("a later deadline moved the entry")
	}
	l.Arm(&e.Timer, e, l.Now().Add(2*time.Second))
	start := l.Now()
	for e.fired == 0 {
		l.Turn(true)
	}
	if d := l.Now().Sub(start); d < 2*time.Second || d > 2*time.Second+2*bucketWidth {
		t.Errorf("fired after %v", d)
	}
	l.Arm(&e.Timer, e, tick.Instant(math.MaxInt64))
	l.Arm(&e.Timer, e, l.Now().Add(100*time.Millisecond))
	start = l.Now()
	for e.fired == 1 {
		l.Turn(true)
	}
	if d := l.Now().Sub(start); d > 100*time.Millisecond+2*bucketWidth {
		t.Errorf("moved earlier, but fired after %v", d)
	}
}

func TestExpiredMayArmAndDisarmItsNeighbours(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	at := l.Now().Add(time.Second)
	var timers [4]*expirer
	for i := range timers {
		timers[i] = &expirer{}
		timers[i].do = func() {
			for _, other := range timers {
				if other != timers[i] {
					l.Disarm(&other.Timer)
				}
			}
			l.Arm(&timers[i].Timer, timers[i], l.Now()) // due at once, but not in this turn
		}
		l.Arm(&timers[i].Timer, timers[i], at)
	}
	sum := func() (n int) {
		for _, e := range timers {
			n += e.fired
		}
		return n
	}
	for sum() == 0 {
		l.Turn(true)
	}
	if sum() != 1 || l.Timers() != 1 {
		t.Errorf("%d fired in one turn, %d armed, want 1 and 1", sum(), l.Timers())
	}
	for range 3 { // until the next bucket, and until the clock that was read there counts
		l.Turn(true)
	}
	if sum() != 2 {
		t.Errorf("%d fired after the next turns", sum())
	}
}

func TestTheMemoryOfADisarmedTimerIsFree(t *testing.T) {
	l := New(newFake(t), Options{})
	var timers [3]expirer
	for i := range timers {
		l.Arm(&timers[i].Timer, &timers[i], l.Now().Add(time.Second))
	}
	l.Disarm(&timers[1].Timer)
	l.Disarm(&timers[1].Timer)
	if timers[1].Timer != (Timer{}) {
		t.Errorf("the wheel is still in it: %+v", timers[1].Timer)
	}
	timers[1] = expirer{}
	for timers[0].fired+timers[2].fired < 2 {
		l.Turn(true)
	}
	if timers[1].fired != 0 || l.Timers() != 0 {
		t.Error("a disarmed timer fired")
	}
}
