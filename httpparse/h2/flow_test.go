package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWindowsOfPeers is what the peer lets us send.
func TestWindowsOfPeers(t *testing.T) { // RFC 9113 6.9
	open := fr(Headers, endHeaders, 1, post)
	log := "Head 1: " + postLog
	faulted := func(code string) []string { return []string{log, "> RST_STREAM 1 " + code, "Faulted 1 " + code} }
	broken := func(last, code string, before ...string) []string {
		return append(before, "> GOAWAY "+last+" "+code, "Broken "+code)
	}
	shut := fr(Settings, 0, 0, setting(InitialWindowSize, 0))
	shutLog := []string{"> SETTINGS ack", "Changed", log}
	runWire(t, &serverOptions, hello+ack, nil, []wireCase{
		{"a short WINDOW_UPDATE", fr(WindowUpdate, 0, 0, "abc"), broken("0", "FRAME_SIZE_ERROR")},
		{"by nothing", fr(WindowUpdate, 0, 0, u32(0)), broken("0", "PROTOCOL_ERROR")},
		{"by nothing, of a stream", open + fr(WindowUpdate, 0, 1, u32(0)), faulted("PROTOCOL_ERROR")},
		{"to the most", open + fr(WindowUpdate, 0, 0, u32(windowMax-65535)) + fr(WindowUpdate, 0, 1, u32(windowMax-65535)), []string{log}},
		{"beyond it", fr(WindowUpdate, 0, 0, u32(windowMax-65534)), broken("0", "FLOW_CONTROL_ERROR")},
		{"beyond it, of a stream", open + fr(WindowUpdate, 0, 1, u32(windowMax-65534)), faulted("FLOW_CONTROL_ERROR")},
		{"beyond it by SETTINGS", open + fr(WindowUpdate, 0, 1, u32(windowMax-65535)) + fr(Settings, 0, 0, setting(InitialWindowSize, 65536)), broken("1", "FLOW_CONTROL_ERROR", log)},
		{"opened", shut + open + fr(WindowUpdate, 0, 1, u32(5)) + fr(WindowUpdate, 0, 1, u32(5)), append(slices.Clone(shutLog), "Opened 1")},
		{"the reserved bit", shut + open + fr(WindowUpdate, 0, 1, u32(1<<31|5)), append(slices.Clone(shutLog), "Opened 1")},
	})
}

func TestSendable(t *testing.T) { // RFC 9113 6.9.2
	r := newRig(&serverOptions)
	r.feed([]byte(hello + fr(Headers, endHeaders, 1, post)))
	st := r.s.find(1)
	want := func(n int) {
		t.Helper()
		if got := r.s.Sendable(st); got != n {
			t.Errorf("Sendable is %d, want %d", got, n)
		}
	}
	want(FrameMax)
	for range 3 {
		r.s.AppendData(nil, st, FrameMax, false)
	}
	want(65535 - 3*FrameMax)
	r.feed([]byte(fr(Settings, 0, 0, setting(InitialWindowSize, 3*FrameMax-1))))
	want(0)
	r.feed([]byte(fr(WindowUpdate, 0, 1, u32(1))))
	want(0)
	r.feed([]byte(fr(WindowUpdate, 0, 1, u32(2))))
	want(2)
	r.feed([]byte(fr(WindowUpdate, 0, 1, u32(windowMax-10))))
	want(65535 - 3*FrameMax) // the conn's
	r.s.AppendData(nil, st, 65535-3*FrameMax, false)
	want(0)
	if r.feed([]byte(fr(WindowUpdate, 0, 0, u32(7)))); r.log[len(r.log)-1] != "Opened" {
		t.Errorf("the conn's window: %q", r.log)
	}
	want(7)
	r.s.AppendData(nil, st, 0, true)
	want(0)
}

// TestWindowsOfOurs is what we let the peer send.
func TestWindowsOfOurs(t *testing.T) { // RFC 9113 5.2, 6.9.1
	full := strings.Repeat("x", FrameMax)
	r := newRig(&serverOptions)
	r.hold = true
	r.feed([]byte(hello + ack + fr(Headers, endHeaders, 1, post) + fr(Headers, endHeaders, 3, post)))
	st := r.s.find(1)
	r.log = nil
	r.feed([]byte(strings.Repeat(fr(Data, 0, 1, full), 3)))
	if r.log = nil; st.Held() != 3*FrameMax {
		t.Errorf("%d bytes are held", st.Held())
	}
	r.sent(r.s.Take(nil, st, FrameMax))
	if r.sent(r.s.Take(nil, st, FrameMax)); strings.Join(r.log, " ") != "> WINDOW_UPDATE 1 +32768" {
		t.Errorf("half of a window taken: %q", r.log)
	}
	r.log = nil
	r.feed([]byte(strings.Repeat(fr(Data, FlagPadded, 1, "\xff"+strings.Repeat("y", FrameMax-257)+strings.Repeat("\x00", 255)), 3)))
	if st.Held() != FrameMax+3*(FrameMax-257) || r.s.recv != 5*65535-6*FrameMax+3 {
		t.Errorf("%d bytes are held with padding, and the conn's window is %d", st.Held(), r.s.recv)
	}
	r.sent(r.s.Take(nil, st, st.Held()))
	if got := fmt.Sprint(r.log[len(r.log)-2:]); got != "[> WINDOW_UPDATE 1 +65533 > WINDOW_UPDATE 0 +98301]" {
		t.Errorf("all taken: %s", got)
	}
	r.log = nil
	r.feed([]byte(strings.Repeat(fr(Data, 0, 3, full), 4)))
	if got := fmt.Sprint(r.log[1:]); got != "[> RST_STREAM 3 FLOW_CONTROL_ERROR Faulted 3 FLOW_CONTROL_ERROR > WINDOW_UPDATE 0 +65536]" {
		t.Errorf("beyond a stream's window: %.200s", got)
	}
	if r.s.recv+r.s.owed != 5*65535 {
		t.Errorf("a stream that ended kept %d bytes of the conn's window", 5*65535-r.s.recv-r.s.owed)
	}
}

// TestConnWindow is that of a peer that does not obey the conn's.
func TestConnWindow(t *testing.T) { // RFC 9113 6.9.1
	r := newRig(&serverOptions)
	r.feed([]byte(hello + ack))
	r.s.recv = 5
	r.feed([]byte(fr(Headers, endHeaders, 1, post) + fr(Data, 0, 1, "123456")))
	if last := r.log[len(r.log)-1]; last != "Broken FLOW_CONTROL_ERROR" {
		t.Errorf("%q", r.log)
	}
}

// TestSlowStreams fills the windows of all streams but one, which goes on for long.
func TestSlowStreams(t *testing.T) {
	o := serverOptions
	o.Streams = 100
	r := newRig(&o)
	r.hold = true
	r.feed([]byte(hello + ack))
	full := strings.Repeat("x", FrameMax-1)
	for i := range 99 {
		r.feed([]byte(fr(Headers, endHeaders, uint32(2*i+1), post)))
		for range 4 {
			r.feed([]byte(fr(Data, 0, uint32(2*i+1), full)))
		}
		r.feed([]byte(fr(Data, 0, uint32(2*i+1), "xyz")))
	}
	r.hold = false
	r.feed([]byte(fr(Headers, endHeaders, 1001, post)))
	for range 1000 {
		r.feed([]byte(fr(Data, 0, 1001, full)))
	}
	if r.over || r.s.Active() != 100 {
		t.Fatalf("%q", r.log[len(r.log)-1])
	}
	st := r.s.find(1001)
	if r.s.recv < st.recv {
		t.Errorf("the conn's window is %d, that of the stream %d", r.s.recv, st.recv)
	}
	for st := range r.s.All {
		r.s.Release(nil, st)
	}
	if want := int32(o.connWindow()); r.s.recv+r.s.owed != want || r.s.Active() != 0 || r.s.filled != 0 {
		t.Errorf("in the end the conn's window is %d, want %d; %d streams", r.s.recv+r.s.owed, want, r.s.Active())
	}
}

// TestOtherWindow announces a window of its own, which counts from the ACK on.
func TestOtherWindow(t *testing.T) { // RFC 9113 6.5.3
	for _, window := range []int{1000, 100000} {
		o := serverOptions
		o.Window = window
		r := newRig(&o)
		r.feed([]byte(hello + fr(Headers, endHeaders, 1, post)))
		st := r.s.find(1)
		if st.recv != windowInitial {
			t.Errorf("before the ACK: %d", st.recv)
		}
		r.feed([]byte(ack + fr(Headers, endHeaders, 3, post)))
		if st.recv != int32(window) || r.s.find(3).recv != int32(window) {
			t.Errorf("after the ACK: %d and %d, want %d", st.recv, r.s.find(3).recv, window)
		}
	}
}
