package loop

import (
	"net/netip"
	"time"

	"lb/loop/tick"
)

// Flags tell what a socket is ready for.
type Flags uint8

const (
	// Readable: a Read may give bytes, the end or an error.
	Readable Flags = 1 << iota
	// Writable: a Write may take bytes.
	Writable
	// PeerShut: the peer has ended its side; what it sent before can still be read.
	PeerShut
	// Hangup: both directions are gone, by a reset or an error.
	Hangup
)

// Event is readiness of one use of a descriptor: Gen tells the uses apart.
type Event struct {
	FD    int32
	Gen   uint32
	Flags Flags
}

// Addr is where to dial: an IP address and port, or the path of a unix socket.
type Addr struct {
	IP   netip.AddrPort
	Path string // not empty: a unix socket, and IP is not used
}

// Kernel is the seam between a loop and the system. Implementations: epoll
// (Linux), kqueue (darwin, freebsd) and the seeded fake of looptest. A kernel
// belongs to one loop; only Wake may be called by others. Every descriptor is
// non-blocking. A count of 0 with a nil error means "not ready now".
type Kernel interface {
	// Now returns the time of the monotonic clock, always above zero.
	Now() tick.Instant
	// Wait fills events and returns how many came. timeout 0 only looks, and
	// does so without entering the scheduler; below 0 waits for ever. A Wake
	// ends the wait. Being interrupted is no error.
	Wait(events []Event, timeout time.Duration) (n int, err error)
	// Wake ends the current or the next Wait. Any goroutine may call it.
	Wake()
	// Watch registers fd once, edge-triggered, for both directions; what it
	// reports carries gen.
	Watch(fd int, gen uint32) error
	// WatchListener registers a listening socket, level-triggered for reading.
	WatchListener(fd int, gen uint32) error
	// Unwatch takes a listening socket out again; it stays open.
	Unwatch(fd int) error
	// Accept takes one connection from a listening socket: non-blocking, closed
	// on exec, TCP_NODELAY set (inherited from the listener where the system
	// does that). fd is -1 with a nil error when there is none. peer is the zero
	// value for unix sockets; IPv4 in IPv6 comes unmapped.
	Accept(listener int) (fd int, peer netip.AddrPort, err error)
	// Dial begins to connect and returns the descriptor at once; it becomes
	// writable when the attempt has ended, and DialResult tells how. TCP_NODELAY
	// is set.
	Dial(to *Addr) (fd int, err error)
	// DialResult returns nil when fd is connected, or why it is not.
	DialResult(fd int) error
	// Read fills b, which is not empty. The end is io.EOF.
	Read(fd int, b []byte) (n int, err error)
	// Write takes bytes from b, which is not empty.
	Write(fd int, b []byte) (n int, err error)
	// Writev takes bytes from a, then b, then c, any of which may be empty.
	Writev(fd int, a, b, c []byte) (n int, err error)
	// ShutdownWrite ends our side of the connection.
	ShutdownWrite(fd int) error
	// Close gives fd back. reset: the peer sees a reset instead of an end.
	Close(fd int, reset bool)
}

// KernelCloser is a kernel with something of its own to give back. A loop
// calls CloseKernel once, as its last act.
type KernelCloser interface {
	CloseKernel()
}

// eventsMax is how many events one Wait can bring.
const eventsMax = 512
