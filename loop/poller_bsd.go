//go:build darwin || freebsd

package loop

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop/tick"
)

// kqueue is the Kernel of darwin and freebsd. It reports each direction as an event
// of its own; the loop combines them.
type kqueue struct {
	fd      int
	woken   atomic.Bool // a Wake that Wait has not yet seen
	gens    []uint32    // by descriptor: kqueue has no portable field for it
	ready   [eventsMax]unix.Kevent_t
	changes [2]unix.Kevent_t
	timeout unix.Timespec
	sock    scratch
}

// wakeIdent names the event of Wake; it is not a descriptor.
const wakeIdent = 1

// NewKernel returns the system's kernel. It implements KernelCloser: the loop
// closes it at its end; without a loop the caller must.
func NewKernel() (Kernel, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	k := &kqueue{fd: fd}
	if err := k.change(wakeIdent, unix.EV_ADD|unix.EV_CLEAR, unix.EVFILT_USER); err != nil {
		k.CloseKernel()
		return nil, err
	}
	return k, nil
}

// CloseKernel closes the kernel's own descriptor.
func (k *kqueue) CloseKernel() { unix.Close(k.fd) }

func (k *kqueue) Now() tick.Instant { return Monotonic() }

func (k *kqueue) Wait(events []Event, timeout time.Duration) (int, error) {
	var limit *unix.Timespec
	if timeout >= 0 {
		k.timeout = unix.NsecToTimespec(int64(timeout))
		limit = &k.timeout
	}
	n, err := unix.Kevent(k.fd, nil, k.ready[:min(len(events), eventsMax)], limit)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	out := 0
	for i := range n {
		ev := &k.ready[i]
		if ev.Filter == unix.EVFILT_USER {
			k.woken.Store(false)
			continue
		}
		events[out] = Event{FD: int32(ev.Ident), Gen: k.gens[ev.Ident], Flags: flagsOf(ev)}
		out++
	}
	return out, nil
}

// flagsOf translates what kqueue reports. EV_EOF of the writing direction alone is
// not a Hangup: what the peer sent can still be read, and a Write will fail.
func flagsOf(ev *unix.Kevent_t) Flags {
	f := Writable
	if ev.Filter == unix.EVFILT_READ {
		f = Readable
	}
	if ev.Flags&unix.EV_EOF == 0 {
		return f
	}
	if ev.Filter == unix.EVFILT_READ {
		f |= PeerShut
	}
	if ev.Fflags != 0 { // the socket's error
		f |= Readable | Writable | Hangup
	}
	return f
}

func (k *kqueue) Wake() {
	if k.woken.Swap(true) {
		return
	}
	var ev [1]unix.Kevent_t
	unix.SetKevent(&ev[0], wakeIdent, unix.EVFILT_USER, 0)
	ev[0].Fflags = unix.NOTE_TRIGGER
	unix.Kevent(k.fd, ev[:], nil, nil)
}

func (k *kqueue) Watch(fd int, gen uint32) error {
	k.stamp(fd, gen)
	return k.change(fd, unix.EV_ADD|unix.EV_CLEAR, unix.EVFILT_READ, unix.EVFILT_WRITE)
}

func (k *kqueue) WatchListener(fd int, gen uint32) error {
	k.stamp(fd, gen)
	return k.change(fd, unix.EV_ADD, unix.EVFILT_READ)
}

func (k *kqueue) Unwatch(fd int) error {
	return k.change(fd, unix.EV_DELETE, unix.EVFILT_READ)
}

// stamp stores the gen of this use of fd. No events of an earlier use are left:
// closing a descriptor removes them.
func (k *kqueue) stamp(fd int, gen uint32) {
	for len(k.gens) <= fd {
		k.gens = append(k.gens, 0)
	}
	k.gens[fd] = gen
}

func (k *kqueue) change(fd, flags int, filters ...int) error {
	for i, filter := range filters {
		unix.SetKevent(&k.changes[i], fd, filter, flags)
	}
	for {
		_, err := unix.Kevent(k.fd, k.changes[:len(filters)], nil, nil)
		if err != unix.EINTR {
			return err
		}
	}
}
