package loop

import (
	"net/netip"
	"time"

	"lb/loop/tick"
)

// Flags say what a socket is ready for.
type Flags uint8

const (
	// Readable: a Read may return bytes, the end or an error.
	Readable Flags = 1 << iota
	// Writable: a Write may accept bytes.
	Writable
	// PeerShut: the peer has ended its side. What it sent before can still be read.
	PeerShut
	// Hangup: a reset or an error has ended both directions.
	Hangup
)

// Event is the readiness of one use of a descriptor. Gen distinguishes the uses.
type Event struct {
	FD    int32
	Gen   uint32
	Flags Flags
}

// Addr is where to dial: an IP address and port, or the path of a unix socket.
type Addr struct {
	IP   netip.AddrPort
	Path string // path of a unix socket; if not empty, IP is not used
}

// Kernel is the seam between a loop and the system. epoll (Linux), kqueue (darwin,
// freebsd) and the seeded fake of looptest implement it. A kernel belongs to one
// loop; only Wake may be called from other goroutines. Every descriptor is
// non-blocking. A count of 0 with a nil error means "not ready now".
type Kernel interface {
	// Now returns the time of the monotonic clock, always above zero.
	Now() tick.Instant
	// Wait fills events and returns how many there are. A timeout of 0 only polls,
	// without entering the scheduler; below 0 it waits without limit. A Wake ends
	// the wait. An interrupted wait is not an error.
	Wait(events []Event, timeout time.Duration) (n int, err error)
	// Wake ends the current or the next Wait. Any goroutine may call it.
	Wake()
	// Watch registers fd once, edge-triggered, for both directions. Its events carry
	// gen.
	Watch(fd int, gen uint32) error
	// WatchListener registers a listening socket, level-triggered for reading.
	WatchListener(fd int, gen uint32) error
	// Unwatch stops watching a listening socket, which stays open.
	Unwatch(fd int) error
	// Accept takes one connection from a listening socket. The descriptor is
	// non-blocking, closed on exec and has TCP_NODELAY (inherited from the listener
	// where the system does that). fd is -1 with a nil error if there is no
	// connection. peer is the zero value for a unix socket; an IPv4 address mapped
	// to IPv6 is unmapped.
	Accept(listener int) (fd int, peer netip.AddrPort, err error)
	// Dial starts to connect and returns the descriptor at once, with
	// TCP_NODELAY set. The descriptor becomes writable when the attempt has
	// ended; DialResult returns how.
	Dial(to *Addr) (fd int, err error)
	// DialResult returns nil when fd is connected, or why it is not.
	DialResult(fd int) error
	// Read reads into b, which is not empty. The end is io.EOF.
	Read(fd int, b []byte) (n int, err error)
	// Write writes from b, which is not empty.
	Write(fd int, b []byte) (n int, err error)
	// Writev writes from a, then b, then c. Any may be empty, but not all.
	Writev(fd int, a, b, c []byte) (n int, err error)
	// GiveUp has the system end fd, as by a reset, once the peer's machine has acknowledged
	// nothing for about silence: neither bytes nor the probes that are sent while fd is
	// idle. It does not care what the peer's process does. fd is a TCP socket; a system
	// that knows no such limit leaves it as it is.
	GiveUp(fd int, silence time.Duration)
	// Takes reports whether fd would take a good part of what its buffer holds. If not,
	// an event follows when it does. An error counts as true: a write returns it.
	Takes(fd int) bool
	// ShutdownWrite ends our side of the connection.
	ShutdownWrite(fd int) error
	// Close closes fd. With reset the peer sees a reset instead of an end.
	Close(fd int, reset bool)
}

// KernelCloser is a kernel that has descriptors of its own. A loop calls
// CloseKernel once, as its last act.
type KernelCloser interface {
	CloseKernel()
}

// eventsMax is how many events one Wait can return.
const eventsMax = 512
