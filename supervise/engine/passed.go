package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// PassesMax is how many conns may be on their way to one loop, and from one
// worker to the supervisor.
const PassesMax = 16

// Passed is a conn on its way from one loop to another.
type Passed struct {
	FD      int // owned
	Peer    netip.AddrPort
	Address string // of the listener that accepted it, as configured
}

// Close ends a conn that no loop takes.
func (c Passed) Close() { unix.Close(c.FD) }
