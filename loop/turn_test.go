package loop

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFlagsOfTheWholeBatchAreSetBeforeTheFirstReady(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	a, b := adopt(t, l, 5), adopt(t, l, 6)
	var seen bool
	a.ready = func() { seen = b.Readable() }
	k.ready(k.of(5, Readable), k.of(6, Readable))
	l.Turn(true)
	if !seen || b.called != 1 {
		t.Errorf("the other was readable: %v, called %d times, want true and 1", seen, b.called)
	}
}

func TestTwoEventsOfOneConnAreOneReady(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	p := adopt(t, l, 5)
	k.ready(k.of(5, Readable), k.of(5, Writable)) // as kqueue reports them
	l.Turn(true)
	if p.called != 1 || !p.Readable() || !p.Writable() {
		t.Errorf("called %d times, flags %b", p.called, p.flags)
	}
}

func TestEventsForAnEarlierUseAreStale(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	a, b := adopt(t, l, 5), adopt(t, l, 6)
	old := k.of(6, Readable)
	var again part
	a.ready = func() {
		b.Close(false)
		if len(k.closed) != 0 {
			t.Error("the descriptor is closed in the middle of the batch")
		}
	}
	k.ready(k.of(5, Readable), old)
	l.Turn(true)
	if reset, ok := k.closed[6]; b.called != 0 || !ok || reset {
		t.Errorf("called %d times after Close, closed %v", b.called, k.closed)
	}
	if got := l.Counters().StaleEvents; got != 1 {
		t.Errorf("%d stale events, want 1", got)
	}

	k.reuse()
	if err := l.Adopt(&again.Conn, &again, 6); err != nil {
		t.Fatal(err)
	}
	k.ready(old)
	l.Turn(true)
	if again.called != 0 || again.Readable() {
		t.Error("an event of the earlier use reached the later one")
	}
	k.ready(k.of(6, Readable), Event{FD: 70000, Flags: Readable}) // the second descriptor was never in use
	l.Turn(true)
	if again.called != 1 || l.Counters().StaleEvents != 3 {
		t.Errorf("called %d times, %d stale", again.called, l.Counters().StaleEvents)
	}
}

func TestAConnStructMayBeUsedAnewAtOnce(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	p := adopt(t, l, 5)
	p.ready = func() {
		p.ready = nil
		p.Again()
		p.Close(true)
		if err := l.Adopt(&p.Conn, p, 6); err != nil {
			t.Error(err)
		}
	}
	k.ready(k.of(5, Readable))
	l.Turn(true)
	l.Turn(false)
	if p.called != 1 || p.Readable() || !k.closed[5] || l.Conns() != 1 {
		t.Errorf("called %d times, flags %b, closed %v, %d conns", p.called, p.flags, k.closed, l.Conns())
	}
	p.Close(false)
	p.Close(false) // closing a free conn does nothing
	if p.IsOpen() || l.Conns() != 0 {
		t.Error("still open")
	}
}

func TestAgainRunsInTheNextTurnAndNeverBlocks(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	p := adopt(t, l, 5)
	p.ready = func() { p.Again(); p.Again() }
	k.ready(k.of(5, Readable))
	for want := 1; want <= 4; want++ {
		l.Turn(true)
		if p.called != want {
			t.Fatalf("called %d times after turn %d", p.called, want)
		}
		if want == 2 {
			k.ready(k.of(5, Readable)) // an event and Again are one call
		}
	}
	if slices.ContainsFunc(k.waits, func(d time.Duration) bool { return d != 0 }) {
		t.Errorf("waited %v with work to do", k.waits)
	}
	p.Close(false)
	before := p.called
	if l.Turn(false); p.called != before {
		t.Error("Ready after Close")
	}
}

// ender notes its calls, and does something in each.
type ender struct {
	End
	name string
	log  *[]string
	do   func()
}

func (e *ender) TurnEnds() {
	*e.log = append(*e.log, e.name)
	if e.do != nil {
		e.do()
	}
}

func (e *ender) Panicked(any, []byte) { *e.log = append(*e.log, e.name+" panicked") }

func TestTheEndOfATurn(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	p := adopt(t, l, 5)
	var log []string
	a, b, c := &ender{name: "a", log: &log}, &ender{name: "b", log: &log}, &ender{name: "c", log: &log}
	a.do = func() { panic("at the end") }
	b.do = func() { l.AtEnd(&c.End, c) } // still this turn's
	p.ready = func() {
		l.AtEnd(&a.End, a)
		l.AtEnd(&b.End, b)
		l.AtEnd(&a.End, a)
		l.Post(func() { log = append(log, "posted") })
		log = append(log, "ready")
	}
	k.ready(k.of(5, Readable))
	l.Turn(true)
	if got := strings.Join(log, ", "); got != "ready, posted, a, a panicked, b, c" {
		t.Errorf("the turn was %s", got)
	}
	log, b.do = nil, nil
	l.AtEnd(&b.End, b) // between two turns: the next one must not wait for events
	k.ready()
	l.Turn(true)
	l.Turn(false)
	if got := strings.Join(log, ", "); got != "b" {
		t.Errorf("asked for between two turns: %s", got)
	}
}

func TestAPanicCostsOneConnOnly(t *testing.T) {
	var reported []any
	k := newFake(t)
	l := New(k, Options{OnPanic: func(v any, stack []byte) {
		reported = append(reported, v)
		if !strings.Contains(string(stack), "turn_test.go") {
			t.Errorf("the stack does not show who panicked:\n%s", stack)
		}
	}})
	a, b, c := adopt(t, l, 5), adopt(t, l, 6), adopt(t, l, 7)
	a.ready = func() { panic("in Ready") }
	b.ready = func() { b.Close(false); panic("after Close") }
	other := &expirer{}
	bad := &expirer{do: func() { panic("in Expired") }}
	l.Arm(&bad.Timer, bad, l.Now())
	l.Arm(&other.Timer, other, l.Now())
	k.now = k.now.Add(bucketWidth)
	l.Turn(false) // reads the clock by which the timers are judged
	k.ready(k.of(5, Readable), k.of(6, Readable), k.of(7, Readable))
	ran := false
	l.Post(func() { panic("in a posted function") })
	l.Post(func() { ran = true })
	l.Turn(true)

	if c.called != 1 || other.fired != 1 || !ran {
		t.Errorf("others suffered: conn %d, timer %d, mailbox %v", c.called, other.fired, ran)
	}
	if !slices.Equal(a.panics, []any{"in Ready"}) || !slices.Equal(b.panics, []any{"after Close"}) {
		t.Errorf("told %v and %v", a.panics, b.panics)
	}
	if !slices.Equal(reported, []any{"in Expired", "in a posted function"}) {
		t.Errorf("reported %v", reported)
	}
	if l.Conns() != 1 || len(k.closed) != 2 || l.Counters().Panics != 4 {
		t.Errorf("%d conns, closed %v, %d panics", l.Conns(), k.closed, l.Counters().Panics)
	}
}

// badPart panics in Panicked too.
type badPart struct{ Conn }

func (*badPart) Ready()               { panic("first") }
func (*badPart) Panicked(any, []byte) { panic("second") }

func TestAPanicInPanickedIsReported(t *testing.T) {
	var reported []any
	k := newFake(t)
	l := New(k, Options{OnPanic: func(v any, _ []byte) { reported = append(reported, v) }})
	p := &badPart{}
	if err := l.Adopt(&p.Conn, p, 5); err != nil {
		t.Fatal(err)
	}
	q := adopt(t, l, 6)
	k.ready(k.of(5, Readable), k.of(6, Readable))
	l.Turn(true)
	if !slices.Equal(reported, []any{"second"}) || q.called != 1 {
		t.Errorf("reported %v, the other called %d times", reported, q.called)
	}
}

func TestReadFlags(t *testing.T) {
	tests := []struct {
		name  string
		flags Flags // of the event
		in    any   // what the kernel's Read returns, nil for "not ready now"
		err   error
		want  bool // Readable afterwards
	}{
		{"a full read may have left bytes", Readable, "12345678", nil, true},
		{"a short read has drained the socket", Readable, "123", nil, false},
		{"but not when the end has been announced", Readable | PeerShut, "123", nil, true},
		{"nor when a reset has", Readable | Hangup, "123", nil, true},
		{"nothing there", Readable, nil, nil, false},
		{"the end", Readable | PeerShut, io.EOF, io.EOF, false},
		{"an error", Readable | Hangup, unix.ECONNRESET, unix.ECONNRESET, false},
	}
	for _, tc := range tests {
		k := newFake(t)
		l := New(k, Options{})
		p := adopt(t, l, 5)
		k.ready(k.of(5, tc.flags))
		l.Turn(true)
		if tc.in != nil {
			k.in[5] = []any{tc.in}
		}
		_, err := p.Read(make([]byte, 8))
		if err != tc.err || p.Readable() != tc.want {
			t.Errorf("%s: %v, readable %v, want %v and %v", tc.name, err, p.Readable(), tc.err, tc.want)
		}
		k.ready(k.of(5, Readable))
		l.Turn(true)
		if p.Readable() != (tc.err == nil) {
			t.Errorf("%s: readable %v after the next event", tc.name, p.Readable())
		}
	}
}

func TestWriteFlags(t *testing.T) {
	tests := []struct {
		name string
		room int // what the kernel takes of 8 bytes, twice as much for Writev
		err  error
		want bool // Writable afterwards
	}{
		{"all taken", 8, nil, true},
		{"a part taken", 3, nil, false},
		{"none taken", 0, nil, false},
		{"an error", 0, unix.EPIPE, false},
	}
	for _, tc := range tests {
		for _, call := range []struct {
			name  string
			parts int
			write func(*Conn) (int, error)
		}{
			{"Write", 1, func(c *Conn) (int, error) { return c.Write(make([]byte, 8)) }},
			{"Writev", 2, func(c *Conn) (int, error) { return c.Writev(make([]byte, 8), nil, make([]byte, 8)) }},
		} {
			k := newFake(t)
			l := New(k, Options{})
			p := adopt(t, l, 5)
			k.ready(k.of(5, Writable))
			l.Turn(true)
			k.room[5], k.writeErr = tc.room*call.parts, tc.err
			n, err := call.write(&p.Conn)
			if n != tc.room*call.parts || err != tc.err || p.Writable() != tc.want {
				t.Errorf("%s, %s: %d, %v, writable %v", call.name, tc.name, n, err, p.Writable())
			}
			k.ready(k.of(5, Writable))
			l.Turn(true)
			if p.Writable() != (tc.err == nil) {
				t.Errorf("%s, %s: writable %v after the next event", call.name, tc.name, p.Writable())
			}
		}
	}
}

func TestDialStates(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{ConnsMax: 1})
	p := &part{}
	if err := l.Dial(&p.Conn, p, &Addr{Path: "/nowhere"}); !errors.Is(err, unix.ENOENT) || p.IsOpen() {
		t.Errorf("%v, open %v", err, p.IsOpen())
	}
	if err := l.Dial(&p.Conn, p, &Addr{IP: netip.MustParseAddrPort("127.0.0.1:9")}); err != nil {
		t.Fatal(err)
	}
	if !p.IsOpen() || p.Writable() || p.DialResult() != unix.EINPROGRESS {
		t.Error("want an open conn, not writable, still in progress")
	}
	k.writeErr = unix.ECONNREFUSED
	k.ready(k.of(9, Writable|Hangup))
	l.Turn(true)
	if err := p.DialResult(); p.called != 1 || err != unix.ECONNREFUSED {
		t.Errorf("called %d times, %v", p.called, err)
	}
	p.Close(false)
}

func TestAdoptThatFailsClosesTheDescriptor(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	k.watchErr = unix.ENOSPC
	p := &part{}
	if err := l.Adopt(&p.Conn, p, 5); err != unix.ENOSPC || p.IsOpen() || l.Conns() != 0 {
		t.Errorf("%v, open %v, %d conns", err, p.IsOpen(), l.Conns())
	}
	l.Turn(false)
	if _, ok := k.closed[5]; !ok {
		t.Error("the descriptor stays open")
	}
}

func TestMailboxKeepsOrderAndOneTurnOfDistance(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	var got []int
	l.Post(func() {
		got = append(got, 1)
		l.Post(func() { got = append(got, 3) })
	})
	l.Post(func() { got = append(got, 2) })
	if l.Turn(true); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v after the first turn", got)
	}
	if l.Turn(true); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("%v after the second turn", got)
	}
}

// callsBetween is a kernel that calls a function within the first poll of a turn,
// so that this poll, and not the sleep, sees the wake-up.
type callsBetween struct {
	*fakeKernel
	call func()
}

func (k *callsBetween) Wait(events []Event, timeout time.Duration) (int, error) {
	if call := k.call; call != nil {
		k.call = nil
		call()
	}
	return k.fakeKernel.Wait(events, timeout)
}

// TestNoWakeUpIsLost: what happens between the poll and the sleep of a turn prevents
// the sleep. Otherwise the fake kernel would report that it waits for ever.
func TestNoWakeUpIsLost(t *testing.T) {
	for name, call := range map[string]func(*Loop){
		"Stop": (*Loop).Stop,
		"Post": func(l *Loop) { l.Post(func() {}) },
	} {
		t.Run(name, func(t *testing.T) {
			k := &callsBetween{fakeKernel: newFake(t)}
			l := New(k, Options{})
			k.call = func() { call(l) }
			l.Turn(true)
		})
	}
}

func TestTheEndOfALoop(t *testing.T) {
	k := newFake(t)
	l := New(k, Options{})
	adopt(t, l, 5)
	ran := 0
	l.Post(func() { l.Stop() })
	l.Post(func() {
		ran++
		l.Post(func() { // Stop was called but has not yet taken effect
			ran++
			if l.Post(func() { ran++ }) {
				t.Error("Post is let in while the loop ends")
			}
		})
	})
	l.Run()
	if l.Post(func() { ran++ }) || ran != 2 {
		t.Errorf("ran %d functions, want 2 and no more", ran)
	}
	l.Stop()
	l.Close()
	if _, ok := k.closed[5]; !ok || !k.ended || l.Conns() != 0 {
		t.Errorf("closed %v, kernel %v, %d conns", k.closed, k.ended, l.Conns())
	}
}
