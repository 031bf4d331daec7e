package h2

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// seeds are what peers send after their SETTINGS.
func seeds() []string {
	open := fr(Headers, endHeaders, 1, post+block("content-length", "4"))
	return []string{
		open + fr(Data, 0, 1, "bo") + fr(Data, endStream|FlagPadded, 1, "\x02dy\x00\x00"),
		open + fr(Data, 0, 1, "body") + fr(Headers, endHeaders|endStream, 1, block("t", "v")),
		fr(Headers, endStream|FlagPriority|FlagPadded, 1, "\x01"+u32(3)+"\x10"+get+"\x00") + fr(Continuation, endHeaders, 1, block("x", "y")),
		open + fr(RSTStream, 0, 1, u32(8)) + fr(Data, 0, 1, "x") + fr(WindowUpdate, 0, 1, u32(9)) + fr(WindowUpdate, 0, 0, u32(9)),
		fr(Settings, 0, 0, setting(InitialWindowSize, 0)+setting(MaxConcurrentStreams, 1)) + fr(Ping, 0, 0, "12345678"),
		fr(GoAway, 0, 0, u32(1)+u32(0)) + fr(PriorityUpdate, 0, 0, u32(1)+"u=1, i") + fr(Priority, 0, 1, u32(0)+"a"),
		fr(Headers, endHeaders, 1, ok("content-length", "4")) + fr(Data, endStream, 1, "body") + fr(Headers, endHeaders|endStream, 3, block(":status", "103")),
		fr(PushPromise, endHeaders, 1, u32(2)+get),
		fr(0x42, 0xff, 7, "abc") + fr(Ping, FlagAck, 0, "12345678"),
	}
}

// fuzzRig returns a running rig: its owner answers each second request.
func fuzzRig(t *testing.T, client bool, window int) *rig {
	o, start := serverOptions, hello+ack
	if client {
		o, start = clientOptions, fr(Settings, 0, 0, "")+ack
	}
	o.Window = window
	r := newRig(&o)
	r.feed([]byte(start))
	if client {
		ask(getText, postText, headText)(r)
	}
	r.event = func(ev Event) {
		if st := ev.Stream; !client && ev.Kind == Head && !st.Closed() && st.ID&2 == 0 {
			r.s.AppendResponse(nil, st, []byte("HTTP/1.1 200 OK\r\n\r\n"), false)
			if n := r.s.Sendable(st); n > 0 {
				r.s.AppendData(nil, st, min(n, 5), true)
			}
			if st.Closed() {
				r.sent(r.s.Release(nil, st))
			}
		}
		checkWindow(t, r)
	}
	return r
}

// checkWindow checks that no byte of the conn's window is lost.
func checkWindow(t *testing.T, r *rig) {
	t.Helper()
	s := &r.s
	sum := int(s.recv) + int(s.owed) + int(s.partLeft) + int(s.padLeft)
	n, filled := 0, 0
	for st := s.first; st != nil; st = st.next {
		sum += st.Held()
		n++
		if !st.closed && st.ID != 0 {
			filled++
			if s.find(st.ID) != st {
				t.Fatalf("stream %d is not in the table", st.ID)
			}
		}
	}
	if want := max(s.o.connWindow(), windowInitial); sum != want || n != s.active || filled != s.filled {
		t.Fatalf("the conn's window is %d, want %d; %d streams, want %d; %d in the table, want %d", sum, want, n, s.active, filled, s.filled)
	}
}

// FuzzNext checks that a conn goes on in the same way however its bytes are cut, and that
// nothing is lost of its window and its streams.
func FuzzNext(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s), uint(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint, client bool) {
		if len(in) > FrameMax {
			return
		}
		run := func(pieces ...[]byte) []string {
			r := fuzzRig(t, client, 65535)
			for _, p := range pieces {
				r.feed(p)
			}
			checkWindow(t, r)
			return r.log
		}
		whole := run(in)
		cut %= uint(len(in) + 1)
		if got := run(in[:cut], in[cut:]); !slices.Equal(got, whole) {
			t.Fatalf("%q cut at %d:\n got %q\nwant %q", in, cut, got, whole)
		}
		if got := run(bytes.SplitAfter(in, nil)...); !slices.Equal(got, whole) {
			t.Fatalf("%q byte by byte:\n got %q\nwant %q", in, got, whole)
		}
		small := fuzzRig(t, client, 20)
		small.hold = cut&1 == 0
		small.feed(in)
		checkWindow(t, small)
		sameFrames(t, in, client)
	})
}

// sameFrames checks that x/net finds the same frames as far as it finds no fault.
func sameFrames(t *testing.T, in []byte, client bool) {
	fr := http2.NewFramer(nil, bytes.NewReader(in))
	fr.SetMaxReadFrameSize(FrameMax)
	for b := in; ; {
		theirs, err := fr.ReadFrame()
		if err != nil {
			return
		}
		h, x := ParseHeader(b), theirs.Header()
		if h.Length != int(x.Length) || uint8(h.Type) != uint8(x.Type) || h.Flags != uint8(x.Flags) || h.Stream != x.StreamID {
			t.Fatalf("%+v, want %v", h, x)
		}
		b = b[HeaderLen+h.Length:]
	}
}

// TestSeeds keeps a record of what becomes of the seeds, in testdata/seeds.txt.
func TestSeeds(t *testing.T) {
	var b strings.Builder
	for _, s := range seeds() {
		for _, client := range []bool{false, true} {
			r := fuzzRig(t, client, 65535)
			r.log = nil
			r.feed([]byte(s))
			b.WriteString(map[bool]string{true: "client\n", false: "server\n"}[client])
			for _, line := range r.log {
				b.WriteString("\t" + line + "\n")
			}
		}
	}
	golden(t, "testdata/seeds.txt", b.String())
}
