package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// GiveUp bounds how long bytes are sent again; probes have a number.
func (k *kqueue) GiveUp(fd int, silence time.Duration) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, int((silence+time.Second-1)/time.Second))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount)
	probe(fd, unix.TCP_KEEPALIVE, silence)
}
