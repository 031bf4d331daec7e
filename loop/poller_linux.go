package loop

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"lb/loop/tick"
)

// epoll is the Kernel of Linux. Calls that do not block use RawSyscall, which
// bypasses the Go scheduler; only a wait that may block uses Syscall.
type epoll struct {
	fd      int
	eventFD int         // Wake writes to it
	woken   atomic.Bool // a Wake that Wait has not yet seen
	ready   [eventsMax]unix.EpollEvent
	sock    scratch
}

const (
	connEvents     = unix.EPOLLET | unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP
	listenerEvents = unix.EPOLLIN
	wakeEvents     = unix.EPOLLET | unix.EPOLLIN // edge-triggered: each write is an event, and nobody has to read
)

// NewKernel returns the system's kernel. It implements KernelCloser: the loop
// closes it at its end; without a loop the caller must.
func NewKernel() (Kernel, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	eventFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	k := &epoll{fd: fd, eventFD: eventFD}
	if err := k.control(unix.EPOLL_CTL_ADD, eventFD, wakeEvents, 0); err != nil {
		k.CloseKernel()
		return nil, err
	}
	return k, nil
}

// CloseKernel closes the kernel's own descriptors.
func (k *epoll) CloseKernel() {
	unix.Close(k.fd)
	unix.Close(k.eventFD)
}

func (k *epoll) Now() tick.Instant { return Monotonic() }

func (k *epoll) Wait(events []Event, timeout time.Duration) (int, error) {
	n, errno := k.wait(min(len(events), eventsMax), timeout)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	out := 0
	for i := range n {
		ev := &k.ready[i]
		if int(ev.Fd) == k.eventFD {
			k.woken.Store(false)
			continue
		}
		events[out] = Event{FD: ev.Fd, Gen: uint32(ev.Pad), Flags: flagsOf(ev.Events)}
		out++
	}
	return out, nil
}

func (k *epoll) wait(room int, timeout time.Duration) (int, unix.Errno) {
	var n uintptr
	var errno unix.Errno
	if timeout == 0 {
		n, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.fd), uintptr(unsafe.Pointer(&k.ready)), uintptr(room), 0, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(k.fd), uintptr(unsafe.Pointer(&k.ready)), uintptr(room), uintptr(milliseconds(timeout)), 0, 0)
	}
	return int(n), errno
}

// milliseconds rounds up: a wait that ended too early would only have to start again.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int(min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
}

// flagsOf translates what epoll reports. EPOLLHUP alone is not a Hangup: both sides
// have ended in order, and what the peer sent can still be read.
func flagsOf(events uint32) Flags {
	var f Flags
	if events&unix.EPOLLIN != 0 {
		f |= Readable
	}
	if events&unix.EPOLLOUT != 0 {
		f |= Writable
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
		f |= Readable | PeerShut
	}
	if events&unix.EPOLLERR != 0 {
		f |= Readable | Writable | Hangup
	}
	return f
}

func (k *epoll) Wake() {
	if k.woken.Swap(true) {
		return
	}
	one := uint64(1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(k.eventFD), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}

func (k *epoll) Watch(fd int, gen uint32) error {
	return k.control(unix.EPOLL_CTL_ADD, fd, connEvents, gen)
}

func (k *epoll) WatchListener(fd int, gen uint32) error {
	// Accepted sockets inherit it. A unix socket refuses, and does not need it.
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return k.control(unix.EPOLL_CTL_ADD, fd, listenerEvents, gen)
}

func (k *epoll) Unwatch(fd int) error {
	return k.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (k *epoll) control(op, fd int, events, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(gen)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(k.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
