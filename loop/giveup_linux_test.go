package loop

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGiveUp: the limit holds for bytes and for probes, which begin early enough for it.
func TestGiveUp(t *testing.T) {
	r := newRig(t)
	fd, peer := r.pair()
	defer peer.Close()
	defer r.k.Close(fd, false)
	for silence, want := range map[time.Duration][3]int{ // milliseconds, then seconds
		30 * time.Second: {30000, 15, 5},
		10 * time.Minute: {600000, 15, 5},
		5 * time.Second:  {5000, 2, 1},
		time.Second:      {1000, 1, 1},
	} {
		r.k.GiveUp(fd, silence)
		var got [3]int
		for i, option := range []int{unix.TCP_USER_TIMEOUT, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL} {
			got[i], _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option)
		}
		if on, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != want || on != 1 {
			t.Errorf("%v: %v, keepalive %d; want %v and keepalive", silence, got, on, want)
		}
	}
}
