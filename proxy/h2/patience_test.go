package h2

import (
	"strings"
	"testing"
	"time"

	"lb/httpparse/h2"
	"lb/loop/looptest"
)

// TestShareOfTurn: an answer that both sides keep up with leaves the turn to others.
func TestShareOfTurn(t *testing.T) {
	r := newRig(t)
	const size = 100 << 20
	r.body = strings.Repeat("x", size)
	p := r.connect(0, 4, 0x7f, 0, 0, 0)
	p.send(h2.AppendWindowUpdate(nil, 0, 1<<30))
	p.Send(ask(1, true))
	before := len(p.Received())
	r.l.Turn(false)
	if n := len(p.Received()) - before; n == 0 || n > 4<<20 {
		t.Errorf("%d bytes in one turn", n)
	}
	for n := 0; len(p.Received()) < size; n++ {
		if n == 5000 {
			t.Fatalf("%d bytes in all", len(p.Received()))
		}
		r.l.Turn(false)
	}
	p.leave()
}

// TestAlwaysInside: a client whose bytes always end inside a frame is well, as long as each
// frame comes to its end.
func TestAlwaysInside(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	ping := frame(h2.Ping, 0, 0, make([]byte, 8))
	p.send(ping[:5])
	for range 8 {
		r.pass(6 * time.Second)
		p.send(append(ping[5:len(ping):len(ping)], ping[:5]...))
		p.want("PING 0")
	}
	r.pass(10*time.Second + slack)
	p.want("GOAWAY 0 NO_ERROR")
	p.leave()
}

// TestSlowBlock: the frames of a block that does not end are no progress.
func TestSlowBlock(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	p.send(frame(h2.Headers, 0, 1, []byte{0x82}))
	for range 3 {
		r.pass(3 * time.Second)
		p.send(frame(h2.Continuation, 0, 1, []byte{0x86}))
	}
	r.pass(time.Second + slack)
	p.want("GOAWAY 0 NO_ERROR")
	p.leave()
}

// TestCutOfLingering: a conn that has said its last word ends with the others.
func TestCutOfLingering(t *testing.T) {
	r := newRig(t)
	p := r.connect()
	p.send(frame(h2.Data, 0, 0, []byte("x")))
	p.want("GOAWAY 0 PROTOCOL_ERROR")
	if r.s.Clients != 1 {
		t.Error("it does not wait for the client's end")
	}
	r.s.Cut()
	r.turn()
	r.check()
}

// TestBehind: an answer that waits for room or for the window of the conn is behind others, as
// long as the client takes bytes; one whose own window is shut is not.
func TestBehind(t *testing.T) {
	for _, tc := range []struct {
		name         string
		stream, conn int // windows, above 65,535
		behind       bool
	}{
		{"room", 1 << 24, 1 << 24, true},
		{"window of the conn", 1 << 24, 0, true},
		{"window of the stream", 0, 1 << 24, false},
	} {
		r := newRig(t)
		r.k.Faults = looptest.Faults{BufferMin: 8 << 10, BufferMax: 8 << 10}
		r.body = strings.Repeat("x", 400000)
		p := r.connect(0, 4, byte((tc.stream+65535)>>24), byte((tc.stream+65535)>>16), 0xff, 0xff)
		p.send(h2.AppendWindowUpdate(nil, 0, tc.conn+1))
		if tc.stream > 0 && tc.conn > 0 {
			p.Pause()
		}
		p.send(ask(1, true, "priority: u=7"), ask(3, true, "priority: u=0"))
		st := r.waiting[0].f
		if got := st.Behind(); got != tc.behind {
			t.Errorf("%s: behind %t", tc.name, got)
		}
		r.pass(19 * time.Second)
		if got := st.Behind(); got != tc.behind {
			t.Errorf("%s: behind %t after a while", tc.name, got)
		}
		r.pass(time.Second + slack)
		if st.Behind() {
			t.Errorf("%s: behind while nothing moves", tc.name)
		}
		p.leave()
	}
}
