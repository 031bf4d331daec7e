package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
	"lb/loop/tick"
)

// machineClock reads the clock that all processes of the machine share.
func machineClock(t *testing.T) tick.Instant {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(clockID, &ts); err != nil {
		t.Fatal(err)
	}
	return tick.Instant(ts.Nano())
}

// TestReadClock: base and offset are the same moment, give or take the time that
// reading them took. Instants from them are those of the machine's clock.
func TestReadClock(t *testing.T) {
	for range 100 {
		before := machineClock(t)
		base, offset := readClock()
		after := machineClock(t)
		if offset < before || offset > after {
			t.Fatalf("offset %d is not between %d and %d", offset, before, after)
		}
		slack := after.Sub(before)
		low := machineClock(t).Add(-slack)
		got := offset.Add(time.Since(base))
		if high := machineClock(t).Add(slack); got < low || got > high {
			t.Fatalf("%d is not between %d and %d", got, low, high)
		}
	}
}

// TestMonotonicIsTheMachines: processes can compare their instants, as they must on
// the board. How closely is TestReadClock's concern: this process may have lost the
// CPU while it read its clocks.
func TestMonotonicIsTheMachines(t *testing.T) {
	before, got, after := machineClock(t), Monotonic(), machineClock(t)
	if got < before.Add(-testkit.Patience) || got > after.Add(testkit.Patience) {
		t.Errorf("%d is far from %d to %d", got, before, after)
	}
}

func TestMonotonicNoAlloc(t *testing.T) {
	last := Monotonic()
	allocs := testing.AllocsPerRun(1000, func() {
		now := Monotonic()
		if now < last {
			t.Fatalf("the clock went back from %d to %d", last, now)
		}
		last = now
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
