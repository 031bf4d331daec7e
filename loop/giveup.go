//go:build linux || darwin || freebsd

package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// probeCount is how many probes in a row stay without an answer before a silent peer counts
// as gone.
const probeCount = 3

// probing returns when an idle conn is probed first, and how long after each other the
// probes are, so that probeCount of them are without an answer after silence: 15 s and 5 s
// for 30 s, which is what other proxies do. No probe is later than that, whatever silence is.
func probing(silence time.Duration) (first, every time.Duration) {
	first = min(max(silence/2, time.Second), 15*time.Second)
	return first, max(first/probeCount, time.Second)
}

// probe has the system probe fd while it is idle. idle is the option for that.
func probe(fd, idle int, silence time.Duration) {
	first, every := probing(silence)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, idle, int(first/time.Second))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(every/time.Second))
}
