package loop

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pending fills the backlog with n connections, numbered from fd.
func (k *fakeKernel) pending(fd, n int) {
	for i := range n {
		k.backlog = append(k.backlog, fd+i)
	}
}

// knock runs a turn in which the listener is ready.
func (k *fakeKernel) knock(l *Loop, listener int) {
	k.ready(k.of(listener, Readable))
	l.Turn(false)
}

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func listen(t *testing.T, k *fakeKernel, o Options) (*Loop, *taker) {
	t.Helper()
	l := New(k, o)
	a := &taker{l: l}
	if err := l.Listen(3, a); err != nil {
		t.Fatal(err)
	}
	return l, a
}

func TestAcceptBudgetGrowsWhileItIsUsedUp(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	k.pending(100, 1)
	k.knock(l, 3)
	if k.accepts != 1 {
		t.Errorf("%d calls for one connection", k.accepts)
	}
	l.Turn(false) // not ready: the budget is reset
	k.pending(101, 200)
	for turn, want := range []int{1, 2, 4, 8, 16, 32, 64, 64, 9} {
		before := len(a.taken)
		k.knock(l, 3)
		if got := len(a.taken) - before; got != want {
			t.Errorf("turn %d: %d accepted, want %d", turn, got, want)
		}
	}
	k.pending(500, 9)
	before := k.accepts
	if k.knock(l, 3); k.accepts != before+1 {
		t.Error("the budget stays high after the listener was found empty")
	}
	if got := l.Counters().Accepted; got != 202 {
		t.Errorf("%d counted as accepted, want 202", got)
	}
}

func TestListenersAreNotWatchedAtConnsMax(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{ConnsMax: 2})
	var dialled part
	if err := l.Dial(&dialled.Conn, &dialled, &Addr{IP: mustAddr("127.0.0.1:50")}); err != nil {
		t.Fatal(err)
	}
	k.pending(100, 4)
	for range 4 {
		k.knock(l, 3)
	}
	if len(a.taken) != 2 || k.listening[3] {
		t.Fatalf("%d accepted, watched %v, want 2 and false", len(a.taken), k.listening[3])
	}
	dialled.Close(false)
	if l.Turn(false); k.listening[3] {
		t.Error("watched again because a dialled conn was closed")
	}
	a.taken[0].Close(false)
	if l.Turn(false); !k.listening[3] {
		t.Error("not watched again after a client conn was closed")
	}
	k.knock(l, 3)
	if len(a.taken) != 3 || l.Conns() != 2 {
		t.Errorf("%d accepted, %d open", len(a.taken), l.Conns())
	}
}

// refuser closes every connection that it gets.
type refuser struct{ l *Loop }

func (a refuser) Accepted(fd int, _ netip.AddrPort) {
	p := &part{}
	if a.l.Adopt(&p.Conn, p, fd) == nil {
		p.Close(true)
	}
}

func TestConnsClosedInAcceptedAreGoneInTheSameTurn(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{ConnsMax: 1})
	if err := l.Listen(3, refuser{l}); err != nil {
		t.Fatal(err)
	}
	k.pending(100, 3)
	for range 2 {
		k.knock(l, 3)
	}
	if len(k.closed) != 3 || !k.listening[3] || l.Conns() != 0 {
		t.Errorf("closed %v, watched %v, %d conns", k.closed, k.listening[3], l.Conns())
	}
}

func TestOutOfDescriptorsPausesAccepting(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		var told []error
		k := newFake(t)
		l, a := listen(t, k, Options{OnAcceptFault: func(err error) { told = append(told, err) }})
		k.backlog = []any{100, errno, errno, 101}
		k.knock(l, 3)
		k.knock(l, 3)
		if k.listening[3] || !slices.Equal(told, []error{errno}) || l.Counters().AcceptFaults != 1 {
			t.Errorf("%v: watched %v, told %v", errno, k.listening[3], told)
		}
		start := k.now
		k.waits = nil
		for !k.listening[3] {
			l.Turn(true)
		}
		if waited := k.now.Sub(start); waited < acceptPause || waited > acceptPause+2*bucketWidth || len(k.waits) > 4 {
			t.Errorf("%v: tried again after %v and %d waits", errno, waited, len(k.waits))
		}
		k.knock(l, 3) // fails again
		a.taken[0].Close(false)
		if l.Turn(false); !k.listening[3] || l.Timers() != 0 {
			t.Errorf("%v: a descriptor came back, but nobody listens", errno)
		}
		k.knock(l, 3)
		if len(a.taken) != 2 {
			t.Errorf("%v: %d accepted, want 2", errno, len(a.taken))
		}
	}
}

func TestErrorsOfOneConnectionDoNotPause(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	k.backlog = []any{unix.ECONNABORTED, unix.EPROTO, 100}
	k.knock(l, 3)
	k.knock(l, 3)
	if len(a.taken) != 1 || !k.listening[3] || l.Counters().AcceptFaults != 0 {
		t.Errorf("%d accepted, watched %v, %d pauses", len(a.taken), k.listening[3], l.Counters().AcceptFaults)
	}
}

func TestAListenerThatCannotBeWatchedIsTriedAgain(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{ConnsMax: 1})
	k.pending(100, 1)
	k.knock(l, 3)
	k.watchErr = unix.ENOMEM
	a.taken[0].Close(false)
	l.Turn(false)
	k.watchErr = nil
	for until := k.now.Add(acceptPause + 2*bucketWidth); k.now < until; k.now = k.now.Add(bucketWidth) {
		l.Turn(false)
	}
	if !k.listening[3] {
		t.Error("nobody is listening")
	}
}

func TestUnlisten(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	event := k.of(3, Readable)
	l.Unlisten()
	k.pending(100, 1)
	k.ready(event)
	l.Turn(false)
	if len(k.listening) != 0 || k.accepts != 0 || len(k.closed) != 0 {
		t.Errorf("watched %v, %d accepts, closed %v", k.listening, k.accepts, k.closed)
	}
	if err := l.Listen(3, a); err != nil {
		t.Fatal(err)
	}
	if k.knock(l, 3); len(a.taken) != 1 {
		t.Error("Listen after Unlisten accepts nothing")
	}
}

func TestUnlistenInAccepted(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	l.Listen(4, a)
	a.hook = func(int) { l.Unlisten() }
	k.pending(100, 3)
	k.ready(k.of(3, Readable), k.of(4, Readable))
	l.Turn(false)
	if len(a.taken) != 1 {
		t.Errorf("%d accepted, want 1", len(a.taken))
	}
}

// TestDrop: one listener is dropped, the others continue, and its socket may be
// listened on again.
func TestDrop(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	b := &taker{l: l}
	l.Listen(4, b)
	late := k.of(3, Readable)
	l.Drop(3)
	l.Drop(3) // a second time does nothing
	l.Drop(77)
	k.pending(100, 1)
	k.ready(late, k.of(4, Readable))
	l.Turn(false)
	if k.listening[3] || !k.listening[4] || len(k.closed) != 0 || len(a.taken) != 0 || len(b.taken) != 1 {
		t.Fatalf("watched %v, closed %v, %d and %d accepted, want all by the second", k.listening, k.closed, len(a.taken), len(b.taken))
	}
	if err := l.Listen(3, a); err != nil {
		t.Fatal(err)
	}
	k.pending(200, 1)
	if k.knock(l, 3); len(a.taken) != 1 {
		t.Error("Listen after Drop accepts nothing")
	}
}

// TestDropInAccepted: if a listener is dropped while another accepts, it takes
// nothing more and the others keep their turns.
func TestDropInAccepted(t *testing.T) {
	for drop, want := range map[int][3]int{3: {1, 4, 4}, 4: {4, 0, 4}, 5: {4, 4, 0}} {
		k := newFake(t)
		l := New(k, Options{})
		takers := [3]*taker{{l: l}, {l: l}, {l: l}}
		for i, a := range takers {
			l.Listen(3+i, a)
		}
		all := []Event{k.of(3, Readable), k.of(4, Readable), k.of(5, Readable)}
		for range 2 { // gives each a budget of two, then of four
			k.pending(100, 100)
			k.ready(all...)
			l.Turn(false)
			k.backlog = nil
		}
		var before [3]int
		for i, a := range takers {
			before[i] = len(a.taken)
		}
		takers[0].hook = func(int) { l.Drop(drop) }
		k.pending(300, 100)
		k.ready(all...)
		l.Turn(false)
		var got [3]int
		for i, a := range takers {
			got[i] = len(a.taken) - before[i]
		}
		if got != want {
			t.Errorf("drop of %d by the first: %v accepted, want %v", drop, got, want)
		}
	}
}

// TestCrowded: clients or other conns that come close to the limit crowd the loop.
func TestCrowded(t *testing.T) {
	l := &Loop{options: Options{ConnsMax: 100}}
	for n, want := range map[int]bool{0: false, 75: false, 76: true, 200: true} {
		if got := l.Crowded(n); got != want {
			t.Errorf("%d conns of 100: %v", n, got)
		}
	}
	l.SetConnsMax(0)
	if l.Crowded(1000) {
		t.Error("crowded without a limit")
	}
	l.SetConnsMax(4)
	l.clients = 4
	if !l.Crowded(0) {
		t.Error("as many clients as may be do not crowd it")
	}
}

// TestSetConnsMax: a new limit, higher or lower, applies from the end of the turn.
func TestSetConnsMax(t *testing.T) {
	k := newFake(t)
	l, a := listen(t, k, Options{})
	k.pending(100, 3)
	for range 2 {
		k.knock(l, 3)
	}
	l.Post(func() { l.SetConnsMax(2) })
	if l.Turn(false); k.listening[3] {
		t.Error("watched with more conns than the new limit")
	}
	for _, p := range a.taken {
		if !p.IsOpen() {
			t.Error("a conn was closed for it")
		}
	}
	l.Post(func() { l.SetConnsMax(4) })
	if l.Turn(false); !k.listening[3] {
		t.Error("not watched below the new limit")
	}
	l.Post(func() { l.SetConnsMax(0) })
	if l.Turn(false); !k.listening[3] {
		t.Error("not watched without a limit")
	}
}

func TestAPanicInAcceptedClosesWhatWasNotAdopted(t *testing.T) {
	var reported []any
	k := newFake(t)
	l, a := listen(t, k, Options{OnPanic: func(v any, _ []byte) { reported = append(reported, v) }})
	l.Listen(4, a)
	a.hook = func(fd int) {
		if fd == 100 {
			panic("in Accepted")
		}
	}
	k.pending(100, 2)
	k.ready(k.of(3, Readable), k.of(4, Readable))
	l.Turn(false)
	if _, ok := k.closed[100]; !ok || len(a.taken) != 1 || len(reported) != 1 {
		t.Errorf("closed %v, %d taken, reported %v", k.closed, len(a.taken), reported)
	}
}

func TestAcceptingHoldsNothingUp(t *testing.T) {
	k := newFake(t)
	l, _ := listen(t, k, Options{})
	k.backlog = []any{unix.EMFILE}
	k.knock(l, 3)
	for start := k.now; k.now.Sub(start) < time.Second; {
		before := len(k.waits)
		l.Turn(true)
		if len(k.waits)-before > 2 {
			t.Fatal("more than one look and one wait in a turn")
		}
		if k.listening[3] {
			return
		}
	}
	t.Error("not watched again within a second")
}
