package h2

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestDrain sends GOAWAY twice.
func TestDrain(t *testing.T) { // RFC 9113 6.8
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack + fr(Headers, endHeaders, 1, post)))
	r.log = nil
	r.sent(r.s.AppendNotice(nil))
	r.feed([]byte(fr(Headers, endHeaders, 3, post)))
	r.sent(r.s.AppendLast(nil))
	r.feed([]byte(fr(Headers, endHeaders, 5, post+"\x40\x01t\x01v") + fr(Data, 0, 5, "ignored") + fr(WindowUpdate, 0, 5, u32(0)) +
		fr(Headers, endHeaders|endStream, 5, "\x00\x01t\x01v") + fr(RSTStream, 0, 5, u32(8)) +
		fr(Data, 0, 3, "body") + fr(Headers, endHeaders|endStream, 1, "\xbe")))
	r.sent(r.s.AppendLast(nil))
	r.feed([]byte(fr(Ping, 0, 2, "12345678")))
	want := []string{"> GOAWAY 2147483647 NO_ERROR", "Head 3: " + postLog, "> GOAWAY 3 NO_ERROR", "Part 3: body", "Trail 1: t: v| end",
		"> GOAWAY 3 NO_ERROR", "> GOAWAY 3 PROTOCOL_ERROR", "Broken PROTOCOL_ERROR"}
	if fmt.Sprint(r.log) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", r.log, want)
	}
	if r.s.recv+r.s.owed != int32(serverOptions.connWindow()) {
		t.Errorf("ignored bytes are lost to the conn's window: %d and %d", r.s.recv, r.s.owed)
	}
}

func TestBreak(t *testing.T) { // RFC 9113 5.4.1
	r := newRig(&serverOptions)
	r.feed([]byte(hello + fr(Headers, endHeaders, 1, post)))
	r.log = nil
	r.sent(r.s.Break(nil, SettingsTimeout))
	r.sent(r.s.Break(nil, NoError))
	r.feed([]byte(ack))
	if got := fmt.Sprint(r.log); got != "[> GOAWAY 1 SETTINGS_TIMEOUT Broken SETTINGS_TIMEOUT]" || r.s.CanOpen() != 0 {
		t.Error(got)
	}
	st := r.s.find(1)
	if r.s.Drop(); !st.Closed() || r.s.Active() != 1 || len(r.s.Release(nil, st)) != 0 || r.s.Active() != 0 {
		t.Error("a stream after Drop")
	}
	r.over, r.in = false, nil
	r.s.Init(&serverOptions, r.s.shared)
	r.s.AppendStart(nil, r.now)
	r.log = nil
	r.feed([]byte(hello + fr(Headers, endHeaders|endStream, 1, get)))
	if got := fmt.Sprint(r.log); got != "[> SETTINGS ack Changed Head 1: "+getLog+" end]" {
		t.Errorf("the next conn: %s", got)
	}
}

func TestInBlock(t *testing.T) {
	r := newRig(&serverOptions)
	r.feed([]byte(hello + fr(Headers, 0, 1, post[:3])))
	if !r.s.InBlock() {
		t.Error("not within a block")
	}
	if r.feed([]byte(fr(Continuation, endHeaders, 1, post[3:]))); r.s.InBlock() || cap(r.s.shared.block) == 0 {
		t.Error("still within a block, or its memory is lost")
	}
	r.feed([]byte(fr(Headers, 0, 3, post[:3])))
	if r.s.Drop(); cap(r.s.shared.block) == 0 {
		t.Error("the memory of a block is lost with its conn")
	}
}

// TestLeftBlock leaves a block to the session, which reads it for the table's sake.
func TestLeftBlock(t *testing.T) { // RFC 9113 4.3
	r := newRig(&serverOptions)
	r.feed([]byte(hello))
	in := []byte(fr(Headers, endHeaders, 1, post+"\x40\x01t\x01v"))
	if ev, n, _ := r.s.Next(in, r.now, make([]byte, 0, OutMax)); ev.Kind != Head || n != len(in) {
		t.Fatalf("%+v", ev)
	}
	r.log = nil
	if r.feed([]byte(fr(Headers, endHeaders|endStream, 1, "\xbe"))); fmt.Sprint(r.log) != "[Trail 1: t: v| end]" {
		t.Errorf("%q", r.log)
	}
}

// TestResetsOfOurs resets more streams than are remembered.
func TestResetsOfOurs(t *testing.T) { // RFC 9113 5.1
	o := serverOptions
	o.Streams = 1000
	r := newRig(&o)
	r.feed([]byte(hello + ack))
	for i := range 2 * closedMax {
		r.feed([]byte(fr(Headers, endHeaders, id(i), post)))
		st := r.s.find(id(i))
		if got := string(r.s.Release(nil, st)); got != fr(RSTStream, 0, id(i), u32(uint32(Cancel))) {
			t.Fatalf("%q", got)
		}
	}
	r.log = nil
	for i := closedMax; i < 2*closedMax; i++ {
		r.feed([]byte(fr(Data, 0, id(i), "x") + fr(Headers, endHeaders|endStream, id(i), "\x00\x01t\x01v")))
	}
	if len(r.log) > 0 {
		t.Errorf("frames for streams that we have reset: %q", r.log)
	}
	r.feed([]byte(fr(Data, 0, 1, "x") + fr(Data, 0, 1, "x")))
	if fmt.Sprint(r.log) != "[> RST_STREAM 1 STREAM_CLOSED]" {
		t.Errorf("for one long ago: %q", r.log)
	}
}

// TestUnsent ends streams whose heads are not out.
func TestUnsent(t *testing.T) {
	r := newRig(&clientOptions)
	st := r.s.Open()
	if out := r.s.Reset(nil, st, Cancel); len(out) > 0 || !st.Closed() || st.ID != 0 || r.s.Sendable(st) != 0 {
		t.Errorf("%q, %+v", out, st)
	}
	r.s.Release(nil, st)
	if st = r.s.Open(); st.Closed() || r.s.Sendable(st) != 0 || r.s.CanOpen() != 3 || r.s.unsent != 1 {
		t.Errorf("the next one: %+v", st)
	}
}

// TestTable compares the table of streams with a map.
func TestTable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	o := Options{Role: Server, Streams: 1 << 30, Window: 1}
	var s Session
	s.Init(&o, NewShared(0, func() *Stream { return new(Stream) }))
	all := map[uint32]*Stream{}
	for range 20000 {
		n := uint32(random.IntN(500))<<1 | 1
		if st := s.find(n); st != all[n] {
			t.Fatalf("%d is %p, want %p", n, st, all[n])
		} else if st != nil {
			s.remove(n)
			delete(all, n)
		} else {
			all[n] = &Stream{ID: n}
			s.insert(all[n])
		}
		if s.filled != len(all) {
			t.Fatalf("%d streams, want %d", s.filled, len(all))
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Continuation.String(): "CONTINUATION", PriorityUpdate.String(): "PRIORITY_UPDATE", Type(0xa).String(): "type 10", Type(200).String(): "type 200",
		NoRFC7540Priorities.String(): "NO_RFC7540_PRIORITIES", Setting(7).String(): "setting 7", Setting(77).String(): "setting 77",
		HTTP11Required.String(): "HTTP_1_1_REQUIRED", Code(14).String(): "code 14", Code(1<<32 - 1).String(): "code 4294967295",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	seen := map[string]bool{}
	for b := FloodResets; b < floods; b++ {
		if name := b.String(); name == "" || seen[name] || name != strings.ToLower(name) {
			t.Errorf("budget %d is called %q", b, name)
		}
		seen[b.String()] = true
	}
}
