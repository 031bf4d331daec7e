//go:build darwin || freebsd

package rest

import (
	"net"

	"golang.org/x/sys/unix"
)

// solLocal is the level of options of unix sockets, which x/sys names on darwin alone.
const solLocal = 0

// credentials returns the user at the other end of c, as of its connect. The process is not
// known.
func credentials(c *net.UnixConn) (uid uint32, pid int32, known bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptXucred(int(fd), solLocal, unix.LOCAL_PEERCRED); err == nil {
			uid, known = peer.Uid, true
		}
	})
	return uid, 0, known
}
