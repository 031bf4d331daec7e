package h2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/arena"
	"lb/httpparse/h2"
	"lb/loop/looptest"
	"lb/proxy/front"
	"lb/proxy/lane"
)

const (
	slack = 200 * time.Millisecond
	ok    = "HEADERS %d :status=200 content-length=%d"
	whole = "HEADERS 1 :status=200 content-length=5"
)

// leave ends the client, and checks that nothing is left.
func (p *peer) leave() {
	p.r.t.Helper()
	p.Close()
	p.r.turn()
	p.r.check()
}

// TestEndings: a whole answer to a whole request ends its stream and nothing more.
func TestEndings(t *testing.T) {
	for _, how := range []front.Ending{front.Keep, front.Close, front.Unread} {
		r := newRig(t)
		r.how, r.body = how, "hello"
		p := r.connect()
		p.send(ask(1, true), ask(3, false))
		p.want(whole, `DATA 1 5 "hello" end`)
		p.send(frame(h2.Data, h2.FlagEndStream, 3, nil))
		p.want(fmt.Sprintf(ok, 3, 5), `DATA 3 5 "hello" end`)
		p.leave()
	}
}

// TestCutAnswer: an answer that is not whole never looks like one that is.
func TestCutAnswer(t *testing.T) {
	for _, how := range []front.Ending{front.Abort, front.Reset} {
		r := newRig(t)
		r.silent = true
		p := r.connect()
		p.send(ask(1, true))
		r.waiting[0].f.End(how)
		r.turn()
		p.want("RST_STREAM 1 INTERNAL_ERROR")
		p.leave()
	}
}

// TestUnread: after a whole answer, a client that still sends is asked to stop (RFC 9113 8.1).
func TestUnread(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, false))
	x := r.waiting[0]
	r.how = front.Unread
	x.in.Take(int(x.req.HeadLen))
	x.answer(200, "hello")
	r.turn()
	p.want(whole, `DATA 1 5 "hello" end`, "RST_STREAM 1 NO_ERROR")
	p.send(frame(h2.Data, 0, 1, []byte("ignored")), ask(3, true))
	r.waiting[1].answer(200, "")
	r.turn()
	p.want("HEADERS 3 :status=200 content-length=0 end")
	p.leave()
}

// TestTogether: what comes together is answered together, in one write.
func TestTogether(t *testing.T) {
	r := newRig(t)
	r.body = "hello"
	p := r.connect()
	p.send(ask(1, true), ask(3, true), ask(5, true))
	p.want(whole, `DATA 1 5 "hello" end`, fmt.Sprintf(ok, 3, 5), `DATA 3 5 "hello" end`, fmt.Sprintf(ok, 5, 5), `DATA 5 5 "hello" end`)
	p.leave()
}

// TestBodies: the body of a request, in pieces, with trailers, with and without a length.
func TestBodies(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	long := strings.Repeat("0123456789", 1000)
	p.send(ask(1, false, "content-length: 20000"), frame(h2.Data, 0, 1, []byte(long)))
	p.send(frame(h2.Data, h2.FlagEndStream, 1, []byte(long)))
	p.send(ask(3, false), frame(h2.Data, 0, 3, []byte("abc")), ask(3, true)) // malformed trailers
	p.send(ask(5, false), frame(h2.Data, 0, 5, []byte("def")), frame(h2.Headers, h2.FlagEndHeaders|h2.FlagEndStream, 5, []byte("\x00\x05x-sum\x011")))
	p.want("HEADERS 1 :status=200 content-length=0 end", "RST_STREAM 3 PROTOCOL_ERROR", "HEADERS 5 :status=200 content-length=0 end")
	if got := string(r.read); got != long+long+"def"+"x-sum: 1\r\n\r\n" {
		t.Errorf("%d bytes: %.50q", len(got), got[max(0, len(got)-50):])
	}
	if !slices.Equal(r.ends, []string{"gone"}) && len(r.ends) > 0 {
		t.Error(r.ends)
	}
	p.leave()
}

// TestWindow: an answer goes as far as the windows of the stream and of the conn, and on when they open.
func TestWindow(t *testing.T) {
	r := newRig(t)
	r.body = strings.Repeat("x", 100000)
	p := r.connect(0, 4, 0, 0, 0, 10) // INITIAL_WINDOW_SIZE
	p.send(ask(1, true))
	p.want("HEADERS 1 :status=200 content-length=100000", `DATA 1 10 "xxxxxxxxxx"`)
	p.send(h2.AppendWindowUpdate(nil, 1, 5))
	p.want(`DATA 1 5 "xxxxx"`)
	p.send(frame(h2.Settings, 0, 0, []byte{0, 4, 0, 0, 0, 12}))
	p.want(`DATA 1 2 "xx"`)
	p.send(h2.AppendWindowUpdate(nil, 1, 1<<20))
	got := p.got()
	if n := bytesIn(got); n != 65535-17 {
		t.Errorf("%d bytes within the window of the conn", n)
	}
	p.send(h2.AppendWindowUpdate(nil, 0, 1<<20))
	if got = p.got(); bytesIn(got) != 100000-65535 || !strings.HasSuffix(got, " end\n") {
		t.Error(got)
	}
	p.leave()
}

// bytesIn returns how many bytes of DATA there are in got.
func bytesIn(got string) (n int) {
	for line := range strings.Lines(got) {
		var id, k int
		if _, err := fmt.Sscanf(line, "DATA %d %d", &id, &k); err == nil {
			n += k
		}
	}
	return n
}

// TestGone: a stream that the client resets, and a conn that it closes, end their exchanges.
func TestGone(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, true), ask(3, true), ask(5, false))
	r.silent = false
	p.send(h2.AppendReset(nil, 1, h2.Cancel))
	if !slices.Equal(r.ends, []string{"gone"}) {
		t.Error(r.ends)
	}
	p.Close()
	r.turn()
	if !slices.Equal(r.ends, []string{"gone", "gone", "gone"}) {
		t.Error(r.ends)
	}
	r.check()
}

// TestStreams: what is above the limit of streams is refused and counted.
func TestStreams(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, true), ask(3, true), ask(5, true), ask(7, true), ask(9, true))
	p.want("RST_STREAM 9 REFUSED_STREAM")
	if n := r.s.Counters.HTTP2Refused.Load(); n != 1 || r.begun != 4 {
		t.Errorf("%d were refused, %d begun", n, r.begun)
	}
	r.silent = false
	p.leave()
}

// TestResetAtOnce: the exchange of a request that is reset with its head ends at once. It has
// one, because it is a request that has come, and is to be found in the log.
func TestResetAtOnce(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	p.send(ask(1, true), h2.AppendReset(nil, 1, h2.Cancel))
	p.want()
	if r.begun != 1 || !slices.Equal(r.ends, []string{"gone"}) {
		t.Errorf("%d exchanges were begun, and ended %q", r.begun, r.ends)
	}
	p.leave()
}

// TestHeads: heads that are no good.
func TestHeads(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	p.send(ask(1, true, "a b: x"))
	p.send(ask(3, true, "connection: close"))
	p.send(ask(5, true, slices.Repeat([]string{"x: y"}, limits.Fields)...))
	p.send(ask(7, true))
	p.want("RST_STREAM 1 PROTOCOL_ERROR", "RST_STREAM 3 PROTOCOL_ERROR",
		"HEADERS 5 :status=431 content-length=0 end", "HEADERS 7 :status=200 content-length=0 end")
	p.leave()
}

// TestErrors: an error of the conn ends it with GOAWAY, which is not lost to a reset.
func TestErrors(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, true))
	r.silent = false
	p.send(frame(h2.Data, 0, 0, []byte("x")), make([]byte, 100000))
	p.want("GOAWAY 1 PROTOCOL_ERROR")
	if !p.Ended() || p.WasReset() || !slices.Equal(r.ends, []string{"gone"}) {
		t.Errorf("ended %t, reset %t, %q", p.Ended(), p.WasReset(), r.ends)
	}
	p.leave()
}

// TestDeadlines: a client that owes something, or has nothing to say, for too long.
func TestDeadlines(t *testing.T) {
	begun := frame(h2.Headers, 0, 1, []byte{0x82})
	for _, tc := range []struct {
		name  string
		send  []byte
		after time.Duration
		want  string
	}{
		{"idle", nil, time.Minute, "GOAWAY 0 NO_ERROR"},
		{"a block", begun, 10 * time.Second, "GOAWAY 0 NO_ERROR"},
		{"a frame", begun[:5], 10 * time.Second, "GOAWAY 0 NO_ERROR"},
	} {
		r := newRig(t)
		p := r.connect()
		p.send(tc.send)
		r.pass(tc.after - slack)
		p.want()
		r.pass(2 * slack)
		if p.want(tc.want); !p.Ended() {
			t.Errorf("%s: not ended", tc.name)
		}
		p.leave()
	}
}

// TestNoPreface: a client that sends no preface, and one that does not acknowledge SETTINGS.
func TestNoPreface(t *testing.T) {
	r := newRig(t)
	silent := &peer{Peer: r.k.Connect(r.listener, client), r: r}
	rude := &peer{Peer: r.k.Connect(r.listener, client), r: r}
	wrong := &peer{Peer: r.k.Connect(r.listener, client), r: r}
	rude.send([]byte(h2.Preface), frame(h2.Settings, 0, 0, nil))
	wrong.send([]byte("GET / HTTP/1.1\r\n\r\n"))
	r.pass(ackTimeout + slack)
	silent.want("GOAWAY 0 NO_ERROR")
	rude.want("GOAWAY 0 SETTINGS_TIMEOUT")
	wrong.want("GOAWAY 0 PROTOCOL_ERROR")
	silent.Close()
	rude.Close()
	wrong.leave()
}

// TestSlowClient: a client that takes nothing for too long is cut off, and its requests with it.
func TestSlowClient(t *testing.T) {
	r := newRig(t)
	r.k.Faults = looptest.Faults{BufferMin: 1000, BufferMax: 1000}
	r.body = strings.Repeat("x", 60000)
	p := r.connect()
	p.Pause()
	p.send(ask(1, true), ask(3, true))
	r.pass(20*time.Second - slack)
	if r.s.Clients != 1 {
		t.Error("cut off before its time")
	}
	r.pass(2 * slack)
	if r.s.Clients != 0 {
		t.Error("still there")
	}
	r.check()
}

// TestDrain: the client gets two GOAWAY frames, and what it had sent before the last is served.
func TestDrain(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, true))
	r.s.Draining = true
	r.s.Drain()
	r.turn()
	p.want("GOAWAY 2147483647 NO_ERROR", "PING 0")
	p.send(ask(3, true), frame(h2.Ping, h2.FlagAck, 0, make([]byte, 8)), ask(5, true))
	p.want("GOAWAY 3 NO_ERROR")
	if r.begun != 2 {
		t.Errorf("%d requests were begun", r.begun)
	}
	r.silent = false
	for _, x := range r.waiting {
		x.f.Advance()
	}
	r.turn()
	p.want("HEADERS 1 :status=200 content-length=0 end", "HEADERS 3 :status=200 content-length=0 end")
	if !p.Ended() {
		t.Error("not ended")
	}
	p.leave()
}

// TestDrainOfIdle: a client that does not answer the PING has a second.
func TestDrainOfIdle(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	r.s.Draining = true
	r.s.Drain()
	r.pass(time.Second - slack)
	p.want("GOAWAY 2147483647 NO_ERROR", "PING 0")
	r.pass(2 * slack)
	if p.want("GOAWAY 0 NO_ERROR"); !p.Ended() {
		t.Error("not ended")
	}
	p.leave()
}

// TestCut: every conn ends at once, and its exchanges are counted.
func TestCut(t *testing.T) {
	r := newRig(t)
	idle, lingers := r.connect(), r.connect()
	lingers.send(frame(h2.Data, 0, 0, nil))
	lingers.want("GOAWAY 0 PROTOCOL_ERROR")
	r.silent = true
	busy := r.connect()
	busy.send(ask(1, true), ask(3, true))
	if n := r.s.Cut(); n != 2 || !slices.Equal(r.ends, []string{"cut", "cut"}) {
		t.Errorf("%d, %q", n, r.ends)
	}
	r.turn()
	idle.want("GOAWAY 0 NO_ERROR")
	busy.want("RST_STREAM 1 INTERNAL_ERROR", "RST_STREAM 3 INTERNAL_ERROR", "GOAWAY 3 NO_ERROR")
	r.check()
}

// TestPanic: a panic in one exchange costs its conn, and no other.
func TestPanic(t *testing.T) {
	r := newRig(t)
	r.silent = true
	other, p := r.connect(), r.connect()
	other.send(ask(1, true))
	p.send(ask(1, true), ask(3, true))
	r.silent, r.panics = false, true
	p.send(ask(5, true))
	if r.panics = false; r.caught != 1 || !p.WasReset() {
		t.Errorf("caught %d, reset %t", r.caught, p.WasReset())
	}
	if !slices.Equal(r.ends, []string{"abandoned", "abandoned", "abandoned"}) {
		t.Error(r.ends)
	}
	r.waiting[0].f.Advance()
	r.turn()
	other.want("HEADERS 1 :status=200 content-length=0 end")
	other.leave()
}

// TestPanicOfTimer: a panic in the deadline of an exchange costs its conn, too.
func TestPanicOfTimer(t *testing.T) {
	r := newRig(t)
	r.silent = true
	p := r.connect()
	p.send(ask(1, true))
	st := r.waiting[0].f.(*stream)
	st.Panicked("a mistake", nil)
	r.turn()
	if !p.WasReset() || !slices.Equal(r.ends, []string{"abandoned"}) {
		t.Errorf("reset %t, %q", p.WasReset(), r.ends)
	}
	r.check()
}

// TestFlood: a flood ends its conn and is counted.
func TestFlood(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	for range 30 {
		if p.Ended() {
			break
		}
		p.send([]byte(strings.Repeat(string(frame(h2.Ping, 0, 0, make([]byte, 8))), 1000)))
	}
	if got := p.got(); !strings.HasSuffix(got, "GOAWAY 0 ENHANCE_YOUR_CALM\n") || !p.Ended() {
		t.Errorf("ended %t: %s", p.Ended(), got[max(0, len(got)-100):])
	}
	if n := r.s.Counters.HTTP2Floods[h2.FloodPings].Load(); n != 1 {
		t.Errorf("counted %d times", n)
	}
	p.leave()
}

// TestBadHeads: heads that only the parser of requests refuses are faults of the client as well.
func TestBadHeads(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	for id := uint32(1); id < 600 && !p.Ended(); id += 2 {
		p.send(frame(h2.Headers, h2.FlagEndHeaders|h2.FlagEndStream, id, []byte("\x82\x86\x84\x01\x03a/b")))
	}
	if got := p.got(); !strings.HasSuffix(got, " ENHANCE_YOUR_CALM\n") || !strings.Contains(got, "RST_STREAM 1 PROTOCOL_ERROR\n") {
		t.Errorf("%s", got[max(0, len(got)-100):])
	}
	if n := r.s.Counters.HTTP2Floods[h2.FloodFaults].Load(); n != 1 {
		t.Errorf("counted %d times", n)
	}
	p.leave()
}

// TestUnderFaults: the same frames come out whatever the socket does.
func TestUnderFaults(t *testing.T) {
	for seed := range uint64(200) {
		r := newRig(t)
		if seed%3 == 0 {
			r.s.Arena = arena.New(48, lane.LargeBytes(limits.HeadBytes, 0))
		}
		r.k.Faults = looptest.Faults{CutReads: 0.5, CutWrites: 0.5, NotReady: 0.3, BufferMin: 1, BufferMax: 3000, FullState: seed%2 == 0}
		r.body = strings.Repeat("x", 30000)
		p := r.connect()
		p.send(h2.AppendWindowUpdate(nil, 0, 1<<20), ask(1, true), ask(3, false), frame(h2.Data, h2.FlagEndStream, 3, []byte("body")), ask(5, true))
		for range 100 {
			r.pass(time.Millisecond)
		}
		if got := p.got(); bytesIn(got) != 90000 || strings.Count(got, " end\n") != 3 || string(r.read) != "body" {
			t.Fatalf("seed %d: %d bytes, read %q\n%s", seed, bytesIn(got), r.read, got)
		}
		r.k.Faults = looptest.Faults{}
		p.leave()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
