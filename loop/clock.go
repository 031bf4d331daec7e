package loop

import (
	"time"

	"lb/loop/tick"
)

// clockBase is the same for all kernels of the process, so that their
// instants can be compared. The second keeps an Instant above zero.
var clockBase = time.Now().Add(-time.Second)

// monotonic reads the clock without a system call.
func monotonic() tick.Instant { return tick.Instant(time.Since(clockBase)) }
