package h1

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"lb/proxy/front"
)

// TestEndings: the conn after each ending.
func TestEndings(t *testing.T) {
	for _, tc := range []struct {
		how          front.Ending
		open         bool // after the response
		ended, reset bool // as the client sees it
		answers      int  // to two requests that come together
	}{
		{front.Keep, true, false, false, 2},
		{front.Close, true, true, false, 1},
		{front.Unread, true, true, false, 1},
		{front.Abort, false, true, false, 1},
		{front.Reset, false, false, true, 1},
	} {
		r := newRig(t)
		r.how = tc.how
		p := r.connect(ask + ask)
		got := bytes.Count(p.Received(), []byte("HTTP/1.1 204"))
		if p.Ended() != tc.ended || p.WasReset() != tc.reset || got != tc.answers || (r.s.Clients == 1) != tc.open {
			t.Errorf("ending %d: ended %t, reset %t, %d answers, %d clients", tc.how, p.Ended(), p.WasReset(), got, r.s.Clients)
		}
		p.Close()
		r.pass(LingerTimeout)
		r.check(t)
		if r.closed != 1 {
			t.Errorf("ending %d: told %d times that the conn has closed", tc.how, r.closed)
		}
	}
}

// TestCloseAtOnce: a conn with no unread byte does not linger.
func TestCloseAtOnce(t *testing.T) {
	r := newRig(t)
	r.how = front.Close
	p := r.connect(ask)
	if !p.Ended() || p.WasReset() {
		t.Errorf("ended %t, reset %t", p.Ended(), p.WasReset())
	}
	r.check(t)
}

// TestLingerBytes: a client that never ends is also cut off by the bytes that it sends.
func TestLingerBytes(t *testing.T) {
	r := newRig(t)
	r.how = front.Unread
	p := r.connect(ask)
	some := bytes.Repeat([]byte{'x'}, 1<<20)
	sent := 0
	for ; r.s.Clients > 0 && sent <= 2*lingerBytesMax; sent += len(some) {
		p.Send(some)
		r.turn()
	}
	if sent < lingerBytesMax || sent > lingerBytesMax+2<<20 || !p.WasReset() {
		t.Errorf("cut off after %d bytes, reset %t", sent, p.WasReset())
	}
	r.check(t)
}

// slack is longer than any timer is late.
const slack = 200 * time.Millisecond

// TestLastCall: in a drain an idle client has a moment to send a request, whether or
// not it has been answered before.
func TestLastCall(t *testing.T) {
	for _, before := range []string{"", ask} {
		r := newRig(t)
		p := r.connect(before)
		r.s.Draining = true
		r.s.Drain()
		r.pass(lastCallTimeout - slack)
		if r.s.Clients != 1 {
			t.Error("closed before its time")
		}
		r.pass(2 * slack)
		if !p.Ended() || p.WasReset() {
			t.Errorf("ended %t, reset %t", p.Ended(), p.WasReset())
		}
		r.check(t)
	}
}

// TestLastRequest: a request whose event has not been seen when the drain begins is
// answered, and the answer says that the conn closes.
func TestLastRequest(t *testing.T) {
	r := newRig(t)
	p := r.connect("")
	p.Send([]byte(ask))
	r.k.Advance(time.Millisecond)
	r.s.Draining = true
	r.s.Drain()
	if r.begun != 1 {
		t.Error("it was not begun at once")
	}
	r.turn()
	if got := string(p.Received()); !strings.Contains(got, "Connection: close") || !p.Ended() {
		t.Errorf("%q, ended %t", got, p.Ended())
	}
	r.check(t)
}

// TestLastCallToGoneClient: the drain closes a client that has ended, unseen.
func TestLastCallToGoneClient(t *testing.T) {
	r := newRig(t)
	p := r.connect("")
	p.Close()
	r.k.Advance(time.Millisecond)
	r.s.Draining = true
	r.s.Drain()
	if r.s.Clients != 0 {
		t.Error("it is still there")
	}
	r.turn()
	r.check(t)
}

// TestCut: idle and lingering conns end without a reply, the others through their
// exchanges, which are counted.
func TestCut(t *testing.T) {
	r := newRig(t)
	idle, head := r.connect(ask), r.connect("GET / HT")
	r.how = front.Unread
	lingers := r.connect(ask)
	r.silent = true
	waits := r.connect(ask)
	if n := r.s.Cut(); n != 2 {
		t.Errorf("%d requests were cut off, want 2", n)
	}
	if want := []string{"cut", "cut"}; !slices.Equal(r.ends, want) {
		t.Errorf("%q, want %q", r.ends, want)
	}
	r.turn()
	for _, p := range []interface{ Ended() bool }{idle, head, lingers, waits} {
		if !p.Ended() {
			t.Error("a conn is still open")
		}
	}
	r.check(t)
}

// TestHeads: heads that never become whole.
func TestHeads(t *testing.T) {
	r := newRig(t)
	r.how = front.Unread
	late, bad, gone := r.connect("GET / HT"), r.connect("GET / HTTP/1.1\r\nA : b\r\n\r\n"), r.connect("\r\nGET")
	gone.Reset()
	r.turn()
	if !slices.Equal(r.ends, []string{"gone"}) {
		t.Errorf("%q", r.ends)
	}
	r.pass(lease{}.HeadTimeout() + slack)
	for p, want := range map[interface{ Received() []byte }]string{late: "408", bad: "400"} {
		if got := string(p.Received()); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%q, want %s", got, want)
		}
	}
	late.Close()
	bad.Close()
	r.pass(LingerTimeout)
	r.check(t)
}

// TestAbandon: after a panic a conn is gone, with its exchange if it had one.
func TestAbandon(t *testing.T) {
	r := newRig(t)
	r.silent = true
	ps := []interface{ WasReset() bool }{r.connect(""), r.connect("GET / HT"), r.connect(ask)}
	for c := r.s.open; c != nil; c = r.s.open {
		c.Panicked("a mistake", nil)
	}
	r.turn()
	if want := []string{"abandoned", "abandoned"}; !slices.Equal(r.ends, want) || r.panics != 3 {
		t.Errorf("%q, %d panics", r.ends, r.panics)
	}
	for _, p := range ps {
		if !p.WasReset() {
			t.Error("a conn was not reset")
		}
	}
	r.check(t)
}
