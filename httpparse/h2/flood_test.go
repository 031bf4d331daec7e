package h2

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// answerAll answers each request at its end, and releases streams that were reset.
func answerAll(r *rig) {
	r.event = func(ev Event) {
		if ev.End && ev.Stream != nil && !ev.Stream.Closed() {
			r.s.AppendResponse(nil, ev.Stream, []byte("HTTP/1.1 200 OK\r\n\r\n"), false)
			r.s.AppendData(nil, ev.Stream, 1, true)
			r.s.Release(nil, ev.Stream)
		}
		r.log = r.log[:0]
		if ev.Kind == Broken {
			r.log = append(r.log, ev.Code.String()+" "+ev.Flood.String())
		}
	}
}

// flood feeds what f returns n times, d apart, or until the conn ends. It returns how often it did, and the end.
func flood(t *testing.T, n int, d time.Duration, f func(i int) string) (int, string) {
	t.Helper()
	r := newRig(&serverOptions)
	answerAll(r)
	r.feed([]byte(hello + ack))
	for i := range n {
		r.feed([]byte(f(i)))
		if r.now = r.now.Add(d); r.over {
			return i + 1, r.log[0]
		}
	}
	return n, ""
}

func id(i int) uint32 { return uint32(2*i + 1) }

func TestFloods(t *testing.T) {
	request := func(i int) string { return fr(Headers, endHeaders|endStream, id(i), get) }
	open := func(i int) string { return fr(Headers, endHeaders, id(i), post) }
	always := func(s string) func(int) string { return func(int) string { return s } }
	first := func(before, s string) func(int) string {
		return func(i int) string {
			if i == 0 {
				return before + s
			}
			return s
		}
	}
	bomb := fr(Headers, endHeaders|endStream, 1, post+"\x40\x01x\x7f\x81\x1e"+strings.Repeat("y", 3968)+strings.Repeat("\xbe", 300))
	for _, tc := range []struct {
		budget Budget
		most   int // it takes at most so many
		f      func(i int) string
	}{
		{FloodResets, 600, func(i int) string { return open(i) + fr(RSTStream, 0, id(i), u32(8)) }},
		{FloodFaults, 120, func(i int) string { return open(i) + fr(WindowUpdate, 0, id(i), u32(0)) }},
		{FloodFaults, 120, func(i int) string {
			return request(2*i) + fr(Headers, endHeaders|endStream, id(2*i+1), "\x00\x01X\x00")
		}},
		{FloodRefused, 1100, func(i int) string { return open(i) }},
		{FloodBlocks, 70, first(fr(Headers, endStream, 1, get[:1]), fr(Continuation, 0, 1, "\x00"))},
		{FloodBlocks, 10, first(fr(Headers, endStream, 1, get), fr(Continuation, 0, 1, ""))},
		{FloodBlocks, 5, first(fr(Headers, endStream, 1, get), fr(Continuation, 0, 1, strings.Repeat("\x00", FrameMax)))},
		{FloodHeads, 5, func(i int) string {
			return strings.Replace(bomb, "\x00\x00\x00\x01", u32(id(i)), 1)
		}},
		{FloodEmpty, 1100, first(open(0), fr(Data, 0, 1, ""))},
		{FloodEmpty, 1100, first(open(0), fr(Data, FlagPadded, 1, "\x01\x00"))},
		{FloodSettings, 110, always(fr(Settings, 0, 0, ""))},
		{FloodSettings, 110, always(ack)},
		{FloodPings, 550, always(fr(Ping, 0, 0, "12345678"))},
		{FloodPings, 550, always(fr(Ping, FlagAck, 0, "12345678"))},
		{FloodPriority, 1100, always(fr(Priority, 0, 1, u32(0)+"a"))},
		{FloodPriority, 1100, always(fr(PriorityUpdate, 0, 0, u32(1)+"u=1"))},
		{FloodWindow, 1100, first(open(0), fr(WindowUpdate, 0, 1, u32(1)))},
		{FloodWindow, 1100, always(fr(WindowUpdate, 0, 0, u32(1)))},
		{FloodClosed, 2100, first(open(0)+fr(RSTStream, 0, 1, u32(8)), fr(Data, 0, 1, ""))},
		{FloodClosed, 2100, first(open(0)+fr(WindowUpdate, 0, 1, u32(0)), fr(Data, 0, 1, "x"))},
		{FloodTable, 5, func(i int) string {
			return fr(Headers, endHeaders|endStream, id(i), strings.Repeat("\x20\x3f\xe1\x1f", 20)+get)
		}},
		{FloodUnknown, 110, always(fr(0x42, 0, 0, "abc"))},
	} {
		n, end := flood(t, 10000, 100*time.Microsecond, tc.f)
		if want := "ENHANCE_YOUR_CALM " + tc.budget.String(); end != want || n > tc.most {
			t.Errorf("%q after %d, want %q after %d at most", end, n, want, tc.most)
		}
	}
}

// TestSlivers opens the window byte by byte.
func TestSlivers(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Settings, 0, 0, setting(InitialWindowSize, 1)) + fr(Headers, endHeaders|endStream, 1, get)))
	st := r.s.find(1)
	n := 0
	for r.log = nil; !r.over && n < 1000; n++ {
		if k := r.s.Sendable(st); k != 1 {
			t.Fatalf("%d bytes may be sent", k)
		}
		r.s.AppendData(nil, st, 1, false)
		r.feed([]byte(fr(WindowUpdate, 0, 1, u32(1))))
	}
	if last := r.log[len(r.log)-1]; last != "Broken ENHANCE_YOUR_CALM slivers" || n > 210 {
		t.Errorf("%q after %d", last, n)
	}
}

// TestNoFloods is what peers do for good reasons, at full speed: no time passes.
func TestNoFloods(t *testing.T) {
	request := func(i int) string { return fr(Headers, endHeaders|endStream, id(i), get) }
	update := fr(WindowUpdate, 0, 0, u32(1000))
	for _, tc := range []struct {
		name string
		n    int
		d    time.Duration
		f    func(i int) string
	}{
		{"small streams, each with its priority and windows", 30000, 0, func(i int) string {
			return fr(PriorityUpdate, 0, 0, u32(id(i))+"u=1") + request(i) + update + fr(WindowUpdate, 0, id(i), u32(1000))
		}},
		{"a browser that cancels 300 images", 300, 0, func(i int) string {
			return fr(Headers, endHeaders, id(i), post) + fr(RSTStream, 0, id(i), u32(8))
		}},
		{"gRPC calls of which each second one is cancelled", 30000, 0, func(i int) string {
			return fr(Headers, endHeaders, id(2*i), post) + fr(RSTStream, 0, id(2*i), u32(8)) + request(2*i+1)
		}},
		{"cancelled when the answer was on its way", 1000, 0, func(i int) string {
			return request(i) + fr(RSTStream, 0, id(i), u32(8)) + fr(WindowUpdate, 0, id(i), u32(8))
		}},
		{"PING each 100 ms", 5000, 100 * time.Millisecond, func(int) string { return fr(Ping, 0, 0, "12345678") }},
		{"a table that changes its size in each block", 1000, 0, func(i int) string {
			return fr(Headers, endHeaders|endStream, id(i), "\x20\x3f\xe1\x1f"+get)
		}},
		{"frames of grease", 3, 0, func(int) string { return fr(0x0b, 0, 0, "grease") }},
		{"a cookie that is too large, each second", 100, time.Second, func(i int) string {
			return fr(Headers, endHeaders|endStream, id(i), get+block("cookie", strings.Repeat("x", 15000)))
		}},
	} {
		if n, end := flood(t, tc.n, tc.d, tc.f); end != "" {
			t.Errorf("%s: %q after %d", tc.name, end, n)
		}
	}
}

// TestDownload sends much, and gets two updates and a PING for each frame.
func TestDownload(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Headers, endHeaders|endStream, 1, get)))
	st := r.s.find(1)
	for range 10000 {
		r.s.AppendData(nil, st, r.s.Sendable(st), false)
		r.feed([]byte(fr(WindowUpdate, 0, 0, u32(FrameMax)) + fr(WindowUpdate, 0, 1, u32(FrameMax)) + fr(Ping, 0, 0, "12345678")))
		if r.log = r.log[:0]; r.over {
			t.Fatal("the conn has ended")
		}
	}
}

// TestLongWay sends much before the first update comes, of which there are two for each
// frame then.
func TestLongWay(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Settings, 0, 0, setting(InitialWindowSize, 1<<30)) + fr(WindowUpdate, 0, 0, u32(1<<30)) + fr(Headers, endHeaders|endStream, 1, get)))
	st := r.s.find(1)
	const frames = 5000
	for range frames {
		r.s.AppendData(nil, st, r.s.Sendable(st), false)
	}
	for range frames {
		r.feed([]byte(fr(WindowUpdate, 0, 0, u32(FrameMax)) + fr(WindowUpdate, 0, 1, u32(FrameMax))))
		if r.log = r.log[:0]; r.over {
			t.Fatal("the conn has ended")
		}
	}
}

// TestRestOfWindow gives a window back as it was used: each time a few bytes are left.
func TestRestOfWindow(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Settings, 0, 0, setting(InitialWindowSize, 1000)) + fr(Headers, endHeaders|endStream, 1, get)))
	st := r.s.find(1)
	for range 5000 {
		for _, n := range []int{900, 100} {
			r.s.AppendData(nil, st, n, false)
			r.feed([]byte(fr(WindowUpdate, 0, 0, u32(uint32(n)))))
		}
		r.feed([]byte(fr(WindowUpdate, 0, 1, u32(900)) + fr(WindowUpdate, 0, 1, u32(100))))
		if r.log = r.log[:0]; r.over {
			t.Fatal("the conn has ended")
		}
	}
}

// TestSmallMessages sends small frames, and gets two updates for each.
func TestSmallMessages(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Headers, endHeaders|endStream, 1, get)))
	st := r.s.find(1)
	for range 10000 {
		r.s.AppendData(nil, st, 20, false)
		r.feed([]byte(fr(WindowUpdate, 0, 0, u32(20)) + fr(WindowUpdate, 0, 1, u32(20))))
		if r.log = r.log[:0]; r.over {
			t.Fatal("the conn has ended")
		}
	}
}

// TestBudgets takes a budget to its end and waits.
func TestBudgets(t *testing.T) {
	r := newRig(&serverOptions)
	b := &r.s.budgets
	for i := range 100 {
		if !b.spend(FloodSettings, 1, Server, r.now) {
			t.Fatalf("no more after %d", i)
		}
	}
	if b.spend(FloodSettings, 1, Server, r.now.Add(99*time.Millisecond)) {
		t.Error("more than there is")
	}
	n := 0
	for now := r.now.Add(time.Second); b.spend(FloodSettings, 1, Server, now); n++ {
	}
	if n != 9 { // one is owed
		t.Errorf("%d after a second, want 9", n)
	}
	n = 0
	for now := r.now.Add(time.Hour); b.spend(FloodSettings, 1, Server, now); n++ {
	}
	if n != 100 {
		t.Errorf("%d after an hour, want 100", n)
	}
	b.earn(FloodSettings, 1000, Server)
	if got := fmt.Sprint(b.left[FloodSettings]); got != "100" {
		t.Errorf("earned up to %s", got)
	}
}
