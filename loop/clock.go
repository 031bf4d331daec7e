package loop

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop/tick"
)

// clockOffset is the machine's clock, in nanoseconds, at the moment clockBase of this
// process. It makes instants of different processes comparable, as the board needs.
var clockBase, clockOffset = readClock()

// Monotonic returns the time of the machine's monotonic clock, which all its
// processes share; it is always above zero. It makes no system call.
func Monotonic() tick.Instant { return clockOffset.Add(time.Since(clockBase)) }

// readClock reads both clocks several times and keeps the closest pair: if the
// process lost the CPU between two readings, all later instants would be off by
// that much. A system without clockID (none that lb is built for) gets instants of
// its own, from one second on.
func readClock() (base time.Time, offset tick.Instant) {
	const readings = 8
	closest := time.Duration(math.MaxInt64)
	for range readings {
		var ts unix.Timespec
		now := time.Now()
		if err := unix.ClockGettime(clockID, &ts); err != nil {
			return now, tick.Instant(time.Second)
		}
		if apart := time.Since(now); apart < closest {
			closest, base, offset = apart, now, max(tick.Instant(ts.Nano()), 1)
		}
	}
	return base, offset
}
