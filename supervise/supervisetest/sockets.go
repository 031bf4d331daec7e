package supervisetest

import (
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// WantSameOptions wants a connection to be treated alike whichever of files gets it.
func WantSameOptions(t *testing.T, files []*os.File) {
	t.Helper()
	first, err := unix.Getsockname(int(files[0].Fd()))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		fd := int(f.Fd())
		if got, err := unix.Getsockname(fd); err != nil || !reflect.DeepEqual(got, first) {
			t.Errorf("socket %d is at %+v, %v; want %+v", i, got, err, first)
		}
		for name, opt := range map[string][2]int{
			"SO_ACCEPTCONN": {unix.SOL_SOCKET, unix.SO_ACCEPTCONN},
			"SO_REUSEADDR":  {unix.SOL_SOCKET, unix.SO_REUSEADDR},
			"TCP_NODELAY":   {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		} {
			if v, err := unix.GetsockoptInt(fd, opt[0], opt[1]); err != nil || v == 0 {
				t.Errorf("socket %d: %s is %d, %v; want it on", i, name, v, err)
			}
		}
		if _, is6 := first.(*unix.SockaddrInet6); is6 {
			want, _ := unix.GetsockoptInt(int(files[0].Fd()), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
			if v, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err != nil || v != want {
				t.Errorf("socket %d: IPV6_V6ONLY is %d, %v; want %d", i, v, err, want)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("socket %d: not closed on exec, %v", i, err)
		}
	}
}
