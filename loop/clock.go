package loop

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop/tick"
)

// clockBase is a moment of this process, and clockOffset the time of the
// machine's clock at that moment, in nanoseconds: instants of different
// processes can be compared, on the board for one.
var clockBase, clockOffset = readClock()

// Monotonic returns the time of the machine's monotonic clock, the same in all
// its processes and always above zero. It makes no system call.
func Monotonic() tick.Instant { return clockOffset.Add(time.Since(clockBase)) }

// readClock reads both clocks, several times: a process that loses the CPU between
// the two readings would be off by as much for ever, so the closest pair counts. A
// system without clockID (there is none that lb is built for) has instants of its
// own, from a second on.
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
