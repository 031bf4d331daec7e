package rest

import (
	"net"

	"golang.org/x/sys/unix"
)

// credentials returns the user and the process at the other end of c, as of its connect.
func credentials(c *net.UnixConn) (uid uint32, pid int32, known bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid, pid, known = peer.Uid, peer.Pid, true
		}
	})
	return uid, pid, known
}
