package looptest

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/loop"
)

// TestClock: what moves the clock, how far, and in what order things happen.
func TestClock(t *testing.T) {
	k := New(1)
	var events [4]loop.Event
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	begun := k.Now()
	since := func() time.Duration { return k.Now().Sub(begun) }
	if begun <= 0 {
		t.Errorf("the clock starts at %d", begun)
	}
	k.After(3*time.Second, note("c"))
	k.After(time.Second, note("a"))
	k.After(time.Second, note("b"))
	if n, _ := k.Wait(events[:], 500*time.Millisecond); n != 0 || since() != 500*time.Millisecond || len(order) != 0 {
		t.Errorf("timeout: %v, %v", since(), order)
	}
	k.Wait(events[:], 0)
	if since() != 500*time.Millisecond {
		t.Errorf("a look took %v", since())
	}
	k.Advance(time.Second)
	if since() != 1500*time.Millisecond || !slices.Equal(order, []string{"a", "b"}) {
		t.Errorf("advance: %v, %v", since(), order)
	}
	k.Wake()
	if k.Wait(events[:], -1); since() != 1500*time.Millisecond || k.Stalled() {
		t.Errorf("wake: %v, stalled %t", since(), k.Stalled())
	}
	if k.Wait(events[:], -1); since() != 3*time.Second || len(order) != 3 || !k.Stalled() {
		t.Errorf("for ever: %v, %v, stalled %t", since(), order, k.Stalled())
	}
	if k.Wait(events[:], time.Hour); since() != time.Hour+3*time.Second || k.Stalled() {
		t.Errorf("with a timeout: %v, stalled %t", since(), k.Stalled())
	}
}

// TestAtOneTime: what is due at the same time runs in the order it was asked for.
func TestAtOneTime(t *testing.T) {
	k := New(1)
	var order []int
	for i := range 50 {
		k.After(time.Second, func() { order = append(order, i) })
	}
	k.Advance(time.Second)
	if len(order) != 50 || !slices.IsSorted(order) {
		t.Errorf("%v", order)
	}
}

// TestCallbacks: they run in Wait, not within a call of the loop, and may send.
func TestCallbacks(t *testing.T) {
	k := New(1)
	var got []string
	k.Serve(backend).OnConnect = func(p *Peer) {
		p.OnBytes = func(p *Peer) {
			got = append(got, string(p.Recv()))
			p.Send([]byte("answer"))
		}
		p.OnEnd = func(p *Peer) {
			got = append(got, "end")
			p.Close()
		}
	}
	fd, _ := k.Dial(&backend)
	watch(t, k, fd)
	k.Write(fd, []byte("one "))
	k.Write(fd, []byte("two"))
	if got != nil {
		t.Errorf("called from within a write: %q", got)
	}
	if f := look(t, k); f != loop.Readable || read(t, k, fd, 100) != "answer" {
		t.Errorf("event %s", flagNames(f))
	}
	k.ShutdownWrite(fd)
	look(t, k)
	if want := []string{"one two", "end"}; !slices.Equal(got, want) {
		t.Errorf("called with %q, want %q", got, want)
	}
	if _, err := k.Read(fd, make([]byte, 1)); err != io.EOF {
		t.Errorf("after the backend closed: %v", err)
	}
}

// TestDelay: bytes come in order and in time, and the end after them.
func TestDelay(t *testing.T) {
	k := New(5)
	k.Faults.Delay = 10 * time.Millisecond
	fd, p := accepted(t, k)
	sent := pattern(2000)
	p.Send(sent[:1000])
	p.Send(sent[1000:])
	p.Shut()
	if got := read(t, k, fd, 100); len(got) == 100 {
		t.Error("all bytes came at once")
	}
	k = New(5)
	k.Faults.Delay = 10 * time.Millisecond
	fd, p = accepted(t, k)
	p.Send(sent)
	p.Shut()
	k.Advance(10 * time.Millisecond)
	if got := read(t, k, fd, 3000); got != string(sent) {
		t.Errorf("%d of %d bytes within the longest delay", len(got), len(sent))
	}
	if got := outcome(k, fd); got != "EOF" {
		t.Errorf("then %s", got)
	}
}

// TestConnectDelay: bytes that a client sends before it is connected come after that.
func TestConnectDelay(t *testing.T) {
	k := New(2)
	k.Faults.ConnectDelay = time.Second
	listener := k.Listen()
	k.WatchListener(listener, 1)
	p := k.Connect(listener, somewhere)
	p.Send([]byte("early"))
	p.Shut()
	var events [4]loop.Event
	if n, _ := k.Wait(events[:], -1); n != 1 || k.Now() == startOfTime {
		t.Fatalf("%d events at %d", n, k.Now())
	}
	fd, _, _ := k.Accept(listener)
	k.Watch(fd, 1)
	if got := look(t, k); got != loop.Readable|loop.Writable|loop.PeerShut {
		t.Errorf("first event: %s", flagNames(got))
	}
}

// TestSameSeedSameRun: the seed alone decides, down to the last line of the trace.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) string {
		var trace strings.Builder
		k := New(seed)
		k.TraceTo(&trace)
		listener := k.Listen()
		p := k.Connect(listener, somewhere)
		fd, _, _ := k.Accept(listener)
		k.Watch(fd, 1)
		k.Faults = Faults{CutReads: 0.5, CutWrites: 0.5, NotReady: 0.3, Delay: time.Millisecond, Spurious: 0.1, Shuffle: true}
		p.Send(pattern(5000))
		p.Shut()
		echo(k, fd)
		return trace.String()
	}
	a := run(1)
	if a != run(1) {
		t.Error("one seed, two runs")
	}
	if a == run(2) {
		t.Error("two seeds, one run")
	}
	if strings.Count(a, "\n") < 20 {
		t.Errorf("the trace is\n%s", a)
	}
}

// TestDraw: every knob is on for some seeds and off for others, except for those that a
// run has to ask for.
func TestDraw(t *testing.T) {
	asked := map[string]bool{"FDMax": true, "Noise": true, "Truncate": true}
	on := map[string]int{}
	const seeds = 200
	for seed := range uint64(seeds) {
		v := reflect.ValueOf(Draw(seed))
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !v.Field(i).IsZero() {
				on[name]++
			}
		}
	}
	for i := range reflect.TypeFor[Faults]().NumField() {
		name := reflect.TypeFor[Faults]().Field(i).Name
		if n := on[name]; !asked[name] && (n < seeds/4 || n > seeds*3/4) {
			t.Errorf("%s is on for %d of %d seeds", name, n, seeds)
		}
	}
}
