package looptest

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
	"lb/loop/tick"
)

// fdFirst is the lowest descriptor given out; a process has 0 to 2 already.
const fdFirst = 3

// Kernel is the fake kernel. Make it with New.
type Kernel struct {
	Faults Faults

	rng    *rand.Rand
	now    tick.Instant
	seq    uint64
	agenda agenda
	woken  atomic.Bool

	files     []file // by descriptor, starting at fdFirst
	lowest    int    // no descriptor below is free
	open      int    // sockets of the loop, without listeners
	listeners []*listener
	servers   map[loop.Addr]*Server

	ready   []*sock      // with changes not reported yet, in order
	stale   []loop.Event // for descriptors that are closed
	stalled bool

	misuses []string
	trace   io.Writer
}

// file is what a descriptor refers to; the zero value is free.
type file struct {
	sock     *sock
	listener *listener
}

// listener is a listening socket.
type listener struct {
	fd      int
	gen     uint32
	watched bool
	closed  bool
	queue   []*sock
}

// add puts a connection into the accept queue.
func (l *listener) add(s *sock) {
	if l.closed {
		s.sendReset()
		return
	}
	l.queue = append(l.queue, s)
}

// New returns a kernel without faults. All chances are drawn from seed.
func New(seed uint64) *Kernel {
	return &Kernel{
		rng:     rand.New(rand.NewPCG(seed, 'k')),
		now:     startOfTime,
		lowest:  fdFirst,
		servers: make(map[loop.Addr]*Server),
	}
}

// Listen returns a listening socket for Loop.Listen. It belongs to the test and not
// to the loop: k.Close closes it and resets connections that were not accepted.
func (k *Kernel) Listen() (fd int) {
	l := &listener{}
	l.fd = k.assign(file{listener: l})
	k.listeners = append(k.listeners, l)
	return l.fd
}

// assign gives out the lowest free descriptor.
func (k *Kernel) assign(f file) (fd int) {
	fd = k.lowest
	for fd-fdFirst < len(k.files) && k.files[fd-fdFirst] != (file{}) {
		fd++
	}
	if fd-fdFirst == len(k.files) {
		k.files = append(k.files, file{})
	}
	k.files[fd-fdFirst] = f
	k.lowest = fd + 1
	if f.sock != nil {
		f.sock.fd = fd
		k.open++
	}
	return fd
}

// full returns true if no more descriptors may be opened.
func (k *Kernel) full() bool {
	return k.Faults.FDMax > 0 && k.open+len(k.listeners) >= k.Faults.FDMax
}

func (k *Kernel) newSock(unixSocket bool) *sock {
	s := &sock{fd: -1}
	s.end = end{k: k, owner: s, unix: unixSocket}
	return s
}

// file returns what fd refers to. The zero value means that the call was a misuse,
// which is recorded.
func (k *Kernel) file(fd int, call string) file {
	if fd >= fdFirst && fd-fdFirst < len(k.files) && k.files[fd-fdFirst] != (file{}) {
		return k.files[fd-fdFirst]
	}
	k.misuse("%s of descriptor %d, which is not open", call, fd)
	return file{}
}

func (k *Kernel) sock(fd int, call string) *sock {
	f := k.file(fd, call)
	if f.listener != nil {
		k.misuse("%s of descriptor %d, which is listening", call, fd)
	}
	return f.sock
}

func (k *Kernel) listener(fd int, call string) *listener {
	f := k.file(fd, call)
	if f.sock != nil {
		k.misuse("%s of descriptor %d, which is not listening", call, fd)
	}
	return f.listener
}

// Watch registers a socket. Flags that already hold make its first event.
func (k *Kernel) Watch(fd int, gen uint32) error {
	s := k.sock(fd, "watch")
	switch {
	case s == nil:
		return unix.EBADF
	case s.watched:
		k.misuse("second watch of descriptor %d", fd)
		return unix.EEXIST
	}
	k.tracef("watch %d as %d", fd, gen)
	s.watch(gen)
	return nil
}

// WatchListener registers a listening socket.
func (k *Kernel) WatchListener(fd int, gen uint32) error {
	l := k.listener(fd, "watch")
	switch {
	case l == nil:
		return unix.EBADF
	case l.watched:
		k.misuse("second watch of descriptor %d", fd)
		return unix.EEXIST
	}
	k.tracef("watch listener %d as %d", fd, gen)
	l.watched, l.gen = true, gen
	return nil
}

// Unwatch stops watching a listening socket.
func (k *Kernel) Unwatch(fd int) error {
	l := k.listener(fd, "unwatch")
	switch {
	case l == nil:
		return unix.EBADF
	case !l.watched:
		k.misuse("unwatch of descriptor %d, which is not watched", fd)
		return unix.ENOENT
	}
	k.tracef("unwatch %d", fd)
	l.watched = false
	return nil
}

// Accept takes one connection from a listening socket.
func (k *Kernel) Accept(fd int) (int, netip.AddrPort, error) {
	var none netip.AddrPort
	l := k.listener(fd, "accept")
	switch {
	case l == nil:
		return -1, none, unix.EBADF
	case len(l.queue) == 0:
		return -1, none, nil
	case k.full(), k.chance(k.Faults.AcceptErrors / 2):
		k.tracef("accept: EMFILE")
		return -1, none, unix.EMFILE
	}
	s := l.queue[0]
	l.queue = l.queue[1:]
	if k.chance(k.Faults.AcceptErrors / 2) {
		k.tracef("accept: ECONNABORTED")
		s.strike()
		return -1, none, unix.ECONNABORTED
	}
	s.taken = true
	k.assign(file{sock: s})
	k.tracef("accept %d from %s", s.fd, name(s.peer.addr))
	return s.fd, s.from, nil
}

// Dial starts to connect.
func (k *Kernel) Dial(to *loop.Addr) (int, error) {
	if k.full() {
		return -1, unix.EMFILE
	}
	s := k.newSock(to.Path != "")
	s.dialed, s.to = true, *to
	if err := s.begin(); err != nil {
		k.tracef("dial to %s: %v", name(*to), err)
		return -1, err
	}
	k.assign(file{sock: s})
	k.tracef("dial %d to %s", s.fd, name(*to))
	return s.fd, nil
}

// DialResult returns nil if fd is connected, EINPROGRESS if that is undecided, or
// the error, once.
func (k *Kernel) DialResult(fd int) error {
	s := k.sock(fd, "dial result")
	switch {
	case s == nil:
		return unix.EBADF
	case s.other == nil && !s.gone:
		return unix.EINPROGRESS
	}
	return s.takeErr()
}

// Read reads into b.
func (k *Kernel) Read(fd int, b []byte) (n int, err error) {
	s := k.sock(fd, "read")
	if s == nil {
		return 0, unix.EBADF
	}
	if len(b) == 0 {
		k.misuse("read of nothing from descriptor %d", fd)
		return 0, nil
	}
	n, err = s.read(b)
	k.tracef("read %d: %d of %d, %v", fd, n, len(b), err)
	return n, err
}

// Write writes from b.
func (k *Kernel) Write(fd int, b []byte) (n int, err error) {
	return k.Writev(fd, b, nil, nil)
}

// Writev writes from a, then b, then c.
func (k *Kernel) Writev(fd int, a, b, c []byte) (n int, err error) {
	s := k.sock(fd, "write")
	if s == nil {
		return 0, unix.EBADF
	}
	total := len(a) + len(b) + len(c)
	if total == 0 {
		k.misuse("write of nothing to descriptor %d", fd)
		return 0, nil
	}
	n, err = s.write(a, b, c)
	k.tracef("write %d: %d of %d, %v", fd, n, total, err)
	return n, err
}

// GiveUp is not needed: what vanishes here is a peer that is silent, see Server.
func (k *Kernel) GiveUp(int, time.Duration) {}

// Takes reports whether a third of the send buffer is free. If not, Writable is raised
// when there is room again.
func (k *Kernel) Takes(fd int) bool {
	s := k.sock(fd, "takes")
	if s == nil {
		return true
	}
	takes := s.takes()
	k.tracef("takes %d: %t", fd, takes)
	return takes
}

// ShutdownWrite ends the loop's side of a connection.
func (k *Kernel) ShutdownWrite(fd int) error {
	s := k.sock(fd, "shutdown")
	if s == nil {
		return unix.EBADF
	}
	k.tracef("shutdown %d", fd)
	return s.shutdownWrite()
}

// Close closes fd.
func (k *Kernel) Close(fd int, reset bool) {
	f := k.file(fd, "close")
	if f == (file{}) {
		return
	}
	k.tracef("close %d, reset %t", fd, reset)
	k.files[fd-fdFirst] = file{}
	k.lowest = min(k.lowest, fd)
	if f.listener != nil {
		k.closeListener(f.listener)
		return
	}
	k.open--
	if f.sock.watched && k.chance(k.Faults.Spurious) {
		late := loop.Event{FD: int32(fd), Gen: f.sock.gen, Flags: everything}
		k.After(k.upTo(laterMax), func() { k.stale = append(k.stale, late) })
	}
	f.sock.closeFD(reset)
}

func (k *Kernel) closeListener(l *listener) {
	l.closed, l.watched = true, false
	for i, x := range k.listeners {
		if x == l {
			k.listeners = append(k.listeners[:i], k.listeners[i+1:]...)
			break
		}
	}
	for _, s := range l.queue {
		s.sendReset()
	}
	l.queue = nil
}

func (k *Kernel) misuse(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	k.tracef("misuse: %s", what)
	k.misuses = append(k.misuses, what)
}
