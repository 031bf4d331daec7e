package loop

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop/tick"
)

// fakeKernel is a kernel that a test drives by hand. Its clock moves only in a Wait
// that may block and has nothing ready.
type fakeKernel struct {
	t         testing.TB
	now       tick.Instant
	batches   [][]Event // what the next Waits return, one each
	waits     []time.Duration
	woken     bool
	gens      map[int]uint32 // watched conns
	listening map[int]bool   // watched listeners
	backlog   []any          // what Accept returns: an int for a descriptor, or an error
	accepts   int            // calls of Accept
	in        map[int][]any  // what Read returns: a string, or an error
	room      map[int]int    // what Write still takes; without an entry, everything
	writeErr  error
	watchErr  error
	closed    map[int]bool  // the value is whether with reset
	stop      time.Duration // how long the next Wait that returns nothing stands still
	ended     bool
}

func newFake(t testing.TB) *fakeKernel {
	return &fakeKernel{
		t: t, now: tick.Instant(time.Hour), gens: map[int]uint32{}, listening: map[int]bool{},
		in: map[int][]any{}, room: map[int]int{}, closed: map[int]bool{},
	}
}

// ready makes one Wait return these events, all in one batch.
func (k *fakeKernel) ready(events ...Event) { k.batches = append(k.batches, events) }

// stops makes one Wait return nothing, d later, as a stop signal does.
func (k *fakeKernel) stops(d time.Duration) {
	k.ready()
	k.stop = d
}

// of returns an event for the current use of fd.
func (k *fakeKernel) of(fd int, f Flags) Event {
	return Event{FD: int32(fd), Gen: k.gens[fd], Flags: f}
}

func (k *fakeKernel) Now() tick.Instant { return k.now }

func (k *fakeKernel) Wait(events []Event, timeout time.Duration) (int, error) {
	k.waits = append(k.waits, timeout)
	switch {
	case len(k.batches) > 0:
		n := copy(events, k.batches[0])
		k.batches = k.batches[1:]
		if n == 0 && timeout != 0 {
			k.now, k.stop = k.now.Add(k.stop), 0
		}
		return n, nil
	case timeout < 0 && !k.woken:
		k.t.Fatal("the loop would wait for ever")
	case timeout > 0 && !k.woken:
		k.now = k.now.Add(timeout)
	}
	k.woken = false
	return 0, nil
}

func (k *fakeKernel) Wake() { k.woken = true }

func (k *fakeKernel) Watch(fd int, gen uint32) error {
	if k.watchErr == nil {
		k.gens[fd] = gen
	}
	return k.watchErr
}

func (k *fakeKernel) WatchListener(fd int, gen uint32) error {
	if k.watchErr == nil {
		k.gens[fd], k.listening[fd] = gen, true
	}
	return k.watchErr
}

func (k *fakeKernel) Unwatch(fd int) error {
	if !k.listening[fd] {
		k.t.Errorf("Unwatch(%d) of what is not watched", fd)
	}
	delete(k.listening, fd)
	return nil
}

func (k *fakeKernel) Accept(int) (int, netip.AddrPort, error) {
	k.accepts++
	if len(k.backlog) == 0 {
		return -1, netip.AddrPort{}, nil
	}
	next := k.backlog[0]
	k.backlog = k.backlog[1:]
	if err, failed := next.(error); failed {
		return -1, netip.AddrPort{}, err
	}
	return next.(int), netip.AddrPort{}, nil
}

func (k *fakeKernel) Dial(to *Addr) (int, error) {
	if to.Path != "" {
		return -1, unix.ENOENT
	}
	return int(to.IP.Port()), nil // the test chooses the descriptor
}

func (k *fakeKernel) DialResult(int) error { return k.writeErr }

func (k *fakeKernel) Read(fd int, b []byte) (int, error) {
	queue := k.in[fd]
	if len(queue) == 0 {
		return 0, nil
	}
	if err, failed := queue[0].(error); failed {
		k.in[fd] = queue[1:]
		return 0, err
	}
	text := queue[0].(string)
	n := copy(b, text)
	if queue[0] = text[n:]; n == len(text) {
		k.in[fd] = queue[1:]
	}
	return n, nil
}

func (k *fakeKernel) Write(fd int, b []byte) (int, error) {
	if k.writeErr != nil {
		return 0, k.writeErr
	}
	n := len(b)
	if room, limited := k.room[fd]; limited {
		n = min(n, room)
		k.room[fd] = room - n
	}
	return n, nil
}

func (k *fakeKernel) Writev(fd int, a, b, c []byte) (int, error) {
	return k.Write(fd, fmt.Appendf(nil, "%s%s%s", a, b, c))
}

func (k *fakeKernel) GiveUp(int, time.Duration) {}

func (k *fakeKernel) Takes(fd int) bool {
	room, limited := k.room[fd]
	return !limited || room > 0
}

func (k *fakeKernel) ShutdownWrite(int) error { return nil }

func (k *fakeKernel) Close(fd int, reset bool) {
	if _, twice := k.closed[fd]; twice {
		k.t.Errorf("descriptor %d is closed twice", fd)
	}
	k.closed[fd] = reset
	delete(k.gens, fd)
}

func (k *fakeKernel) CloseKernel() { k.ended = true }

// reuse allows the numbers of closed descriptors to be used again.
func (k *fakeKernel) reuse() { clear(k.closed) }

// part is a handler made of functions.
type part struct {
	Conn
	ready  func()
	called int
	panics []any
}

func (p *part) Ready() {
	p.called++
	if p.ready != nil {
		p.ready()
	}
}

func (p *part) Panicked(value any, _ []byte) {
	p.panics = append(p.panics, value)
	p.Close(true)
}

// adopt opens a part on fd, or fails the test.
func adopt(t testing.TB, l *Loop, fd int) *part {
	t.Helper()
	p := &part{}
	if err := l.Adopt(&p.Conn, p, fd); err != nil {
		t.Fatal(err)
	}
	return p
}

// taker is an acceptor that adopts.
type taker struct {
	l     *Loop
	taken []*part
	hook  func(fd int) // runs first, if set
}

func (a *taker) Accepted(fd int, _ netip.AddrPort) {
	if a.hook != nil {
		a.hook(fd)
	}
	p := &part{}
	if a.l.Adopt(&p.Conn, p, fd) == nil {
		a.taken = append(a.taken, p)
	}
}

// expirer is a timer and the function that it calls.
type expirer struct {
	Timer
	fired int
	do    func()
}

func (e *expirer) Expired() {
	e.fired++
	if e.do != nil {
		e.do()
	}
}
