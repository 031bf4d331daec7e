package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// GiveUp sets TCP_USER_TIMEOUT, which counts for bytes, and for probes in the place of their
// number (TCP_KEEPCNT).
func (k *epoll) GiveUp(fd int, silence time.Duration) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence/time.Millisecond))
	probe(fd, unix.TCP_KEEPIDLE, silence)
}
