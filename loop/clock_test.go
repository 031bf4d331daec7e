package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMonotonicIsTheMachines: instants are those of the system's clock, which
// every process reads alike: what one writes on the board the others understand.
func TestMonotonicIsTheMachines(t *testing.T) {
	read := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(clockID, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	// Both clocks were read one after the other at the start: between the two
	// the process may have lost the CPU for a moment, though hardly every time.
	const slack = int64(50 * time.Millisecond)
	for range 100 {
		before, got, after := read(), int64(Monotonic()), read()
		if got < before-slack || got > after+slack {
			t.Fatalf("%d is not between %d and %d", got, before, after)
		}
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
