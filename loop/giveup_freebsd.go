package loop

import (
	"time"

	"golang.org/x/sys/unix"
)

// tcpMaxUnackTime is TCP_MAXUNACKTIME of netinet/tcp.h, since FreeBSD 13, which x/sys does
// not have. An older system refuses it.
const tcpMaxUnackTime = 68

// GiveUp bounds how long bytes are sent again; probes have a number.
func (k *kqueue) GiveUp(fd int, silence time.Duration) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, tcpMaxUnackTime, int((silence+time.Second-1)/time.Second))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount)
	probe(fd, unix.TCP_KEEPIDLE, silence)
}
