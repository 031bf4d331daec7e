package loop

import "golang.org/x/sys/unix"

// clockID is the clock that Go's own time uses here. Unlike CLOCK_MONOTONIC it
// stands still while the machine sleeps.
const clockID = unix.CLOCK_UPTIME_RAW
