package loop

import "golang.org/x/sys/unix"

// clockID is the clock that Go's own time runs by here: it stands still while
// the machine sleeps, which CLOCK_MONOTONIC does not.
const clockID = unix.CLOCK_UPTIME_RAW
