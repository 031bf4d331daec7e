package listen

import "golang.org/x/sys/unix"

// darwin gives every connection to one of the sockets that share a port, so all
// loops accept from the same one.
const (
	reusePort         = unix.SO_REUSEPORT
	reusePortBalances = false
)
