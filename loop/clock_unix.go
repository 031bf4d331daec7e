//go:build linux || freebsd

package loop

import "golang.org/x/sys/unix"

// clockID is the clock that Go's own time uses here.
const clockID = unix.CLOCK_MONOTONIC
