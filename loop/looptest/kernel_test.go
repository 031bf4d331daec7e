package looptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
)

var (
	_ loop.Kernel = (*Kernel)(nil)

	somewhere = netip.MustParseAddrPort("192.0.2.7:40000")
	backend   = loop.Addr{IP: netip.MustParseAddrPort("192.0.2.80:9001")}
	unixPath  = loop.Addr{Path: "/run/app.sock"}
)

// accepted returns a connection from a client, watched with gen 1, whose first
// event (Writable) has been taken.
func accepted(t *testing.T, k *Kernel) (fd int, p *Peer) {
	t.Helper()
	listener := k.Listen()
	p = k.Connect(listener, somewhere)
	return take(t, k, listener), p
}

func take(t *testing.T, k *Kernel, listener int) (fd int) {
	t.Helper()
	fd, from, err := k.Accept(listener)
	if err != nil || fd < 0 {
		t.Fatalf("accept: %d, %v", fd, err)
	}
	if from != somewhere && from.IsValid() {
		t.Errorf("accept: client is %s", from)
	}
	watch(t, k, fd)
	return fd
}

func watch(t *testing.T, k *Kernel, fd int) {
	t.Helper()
	if err := k.Watch(fd, 1); err != nil {
		t.Fatal(err)
	}
	if got := look(t, k); got != loop.Writable {
		t.Fatalf("first event: %s", flagNames(got))
	}
}

// dialed returns a connection to a server at to, as accepted does.
func dialed(t *testing.T, k *Kernel, to loop.Addr) (fd int, p *Peer) {
	t.Helper()
	v := k.Serve(to)
	fd, err := k.Dial(&to)
	if err != nil {
		t.Fatal(err)
	}
	watch(t, k, fd)
	if err := k.DialResult(fd); err != nil {
		t.Fatal(err)
	}
	return fd, v.Accept()
}

// look returns the flags of the one event there is, or 0.
func look(t *testing.T, k *Kernel) loop.Flags {
	t.Helper()
	var events [8]loop.Event
	n, err := k.Wait(events[:], 0)
	switch {
	case err != nil:
		t.Fatal(err)
	case n > 1:
		t.Errorf("%d events, want one at most", n)
	case n == 0:
		return 0
	}
	return events[0].Flags
}

func read(t *testing.T, k *Kernel, fd, size int) string {
	t.Helper()
	b := make([]byte, size)
	n, err := k.Read(fd, b)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return string(b[:n])
}

// TestEdges: one event for each change, telling what changed, and none besides.
func TestEdges(t *testing.T) {
	const r, w, shut, hup = loop.Readable, loop.Writable, loop.PeerShut, loop.Hangup
	type step struct {
		what string
		do   func(k *Kernel, fd int, p *Peer)
		want loop.Flags
	}
	send := step{"bytes came", func(_ *Kernel, _ int, p *Peer) { p.Send([]byte("abcd")) }, r}
	quiet := step{"nothing", func(*Kernel, int, *Peer) {}, 0}
	readSome := func(size int, want loop.Flags) step {
		return step{"read", func(k *Kernel, fd int, p *Peer) { k.Read(fd, make([]byte, size)) }, want}
	}
	write := func(size int, want loop.Flags) step {
		return step{"write", func(k *Kernel, fd int, p *Peer) { k.Write(fd, make([]byte, size)) }, want}
	}
	pause := step{"pause", func(_ *Kernel, _ int, p *Peer) { p.Pause() }, 0}
	resume := func(want loop.Flags) step {
		return step{"resume", func(_ *Kernel, _ int, p *Peer) { p.Resume() }, want}
	}
	peerShut := step{"peer shut", func(_ *Kernel, _ int, p *Peer) { p.Shut() }, r | shut}
	reset := step{"reset", func(_ *Kernel, _ int, p *Peer) { p.Reset() }, r | w | shut | hup}
	shutdown := func(want loop.Flags) step {
		return step{"shutdown", func(k *Kernel, fd int, p *Peer) { k.ShutdownWrite(fd) }, want}
	}

	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"bytes, once", []step{send, quiet, quiet}},
		{"more bytes, again", []step{send, send, quiet}},
		{"a part read, no more events", []step{send, readSome(1, 0), quiet}},
		{"all read, no more events", []step{send, readSome(100, 0), quiet}},
		{"read before the event: none", []step{{"both", func(k *Kernel, fd int, p *Peer) {
			p.Send([]byte("abcd"))
			k.Read(fd, make([]byte, 4))
		}, 0}}},
		{"a write that fits", []step{write(1000, 0), quiet}},
		{"a short write, room at once", []step{write(100<<10, w), quiet}},
		{"room only after a short write", []step{pause, write(64<<10, 0), write(64<<10, 0), resume(0)}},
		{"room once after a short write", []step{pause, write(64<<10, 0), write(65<<10, 0), quiet, resume(w), quiet}},
		{"room once after nothing taken", []step{pause, write(64<<10, 0), write(64<<10, 0), write(1, 0), write(1, 0), resume(w), quiet}},
		{"the peer ends", []step{peerShut, quiet}},
		{"bytes and end in one", []step{{"both", func(_ *Kernel, _ int, p *Peer) {
			p.Send([]byte("abcd"))
			p.Close()
		}, r | shut}, readSome(2, 0), quiet}},
		{"a reset", []step{send, reset, quiet}},
		{"both ended, we first", []step{shutdown(0), {"peer shut", func(_ *Kernel, _ int, p *Peer) { p.Shut() }, r | shut | hup}, quiet}},
		{"both ended, the peer first", []step{send, peerShut, shutdown(r | w | shut | hup), quiet}},
	} {
		k := New(1)
		fd, p := accepted(t, k)
		for i, s := range tc.steps {
			s.do(k, fd, p)
			if got := look(t, k); got != s.want {
				t.Errorf("%s, step %d (%s): %q, want %q", tc.name, i, s.what, flagNames(got), flagNames(s.want))
			}
		}
	}
}

// TestFullState: Linux tells all that holds with every event.
func TestFullState(t *testing.T) {
	k := New(1)
	k.Faults.FullState = true
	_, p := accepted(t, k)
	p.Send([]byte("a"))
	if got := look(t, k); got != loop.Readable|loop.Writable {
		t.Errorf("event: %s", flagNames(got))
	}
}

// TestForgottenReadStalls: without a further read nothing happens any more.
func TestForgottenReadStalls(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	p.Send(make([]byte, 100<<10))
	look(t, k)
	read(t, k, fd, 64<<10) // all that was there; what follows is a change
	if got := look(t, k); got != loop.Readable {
		t.Errorf("after the buffer was emptied: %q", flagNames(got))
	}
	read(t, k, fd, 1<<10) // full: not drained
	var events [1]loop.Event
	if n, _ := k.Wait(events[:], -1); n != 0 || !k.Stalled() {
		t.Errorf("%d events, stalled %t; want a stall", n, k.Stalled())
	}
}

// TestCutsAreFollowedByEdges: who waits for an event after a short count, and
// only then, gets everything through.
func TestCutsAreFollowedByEdges(t *testing.T) {
	for _, f := range []Faults{
		{CutReads: 1}, {CutWrites: 1}, {NotReady: 0.9}, {CutReads: 0.5, CutWrites: 0.5, NotReady: 0.5},
		{BufferMin: 1, BufferMax: 1}, {BufferMin: 1, BufferMax: 64, CutReads: 0.5},
		{Delay: time.Second}, {Delay: time.Second, BufferMin: 1, BufferMax: 100, CutWrites: 0.5, NotReady: 0.5},
	} {
		k := New(7)
		k.Faults = f
		listener := k.Listen()
		p := k.Connect(listener, somewhere)
		fd, _, _ := k.Accept(listener)
		k.Watch(fd, 1)
		sent := pattern(3000)
		p.Send(sent)
		p.Shut()
		if got := echo(k, fd); !bytes.Equal(got, sent) || !bytes.Equal(p.Received(), sent) {
			t.Errorf("%+v: read %d and answered %d of %d, stalled %t", f, len(got), len(p.Received()), len(sent), k.Stalled())
		}
	}
}

// echo answers what it reads until the end or a stall; it reads and writes on
// only after full counts and events.
func echo(k *Kernel, fd int) (all []byte) {
	var events [4]loop.Event
	var b [256]byte
	var out []byte
	for {
		n, err := k.Wait(events[:], -1)
		if n == 0 && k.Stalled() || err != nil {
			return all
		}
		for n, err = len(b), nil; n == len(b) && err == nil; {
			n, err = k.Read(fd, b[:])
			all, out = append(all, b[:n]...), append(out, b[:n]...)
		}
		if len(out) > 0 {
			n, _ = k.Write(fd, out)
			out = out[n:]
		}
	}
}

// pattern returns n bytes that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// TestCounts: cut counts are at least 1 and below what could be.
func TestCounts(t *testing.T) {
	k := New(3)
	k.Faults.CutReads, k.Faults.CutWrites = 1, 1
	fd, p := accepted(t, k)
	least := 10
	for range 200 {
		p.Send(make([]byte, 10))
		n, _ := k.Read(fd, make([]byte, 10))
		m, _ := k.Write(fd, make([]byte, 10))
		if n < 1 || n > 9 || m < 1 || m > 9 {
			t.Fatalf("read %d, wrote %d of 10", n, m)
		}
		least = min(least, n, m)
		for n > 0 {
			n, _ = k.Read(fd, make([]byte, 10))
		}
	}
	if least != 1 {
		t.Errorf("the least count was %d, want 1", least)
	}
}

// TestDescriptors: the lowest free number, and the gen of the newest watch.
func TestDescriptors(t *testing.T) {
	k := New(1)
	listener := k.Listen()
	var fds []int
	for range 4 {
		k.Connect(listener, somewhere)
		fds = append(fds, take(t, k, listener))
	}
	if want := []int{4, 5, 6, 7}; listener != 3 || !slices.Equal(fds, want) {
		t.Fatalf("listener %d, accepted %v", listener, fds)
	}
	k.Close(6, false)
	k.Close(5, false)
	if k.OpenFDs() != 2 || len(k.Open()) != 2 {
		t.Errorf("%d open: %q", k.OpenFDs(), k.Open())
	}
	p := k.Connect(listener, somewhere)
	fd, _, _ := k.Accept(listener)
	if fd != 5 {
		t.Fatalf("after 6 and 5 were closed: %d, want 5", fd)
	}
	k.Watch(fd, 42)
	p.Send([]byte("x"))
	var events [8]loop.Event
	n, _ := k.Wait(events[:], 0)
	want := loop.Event{FD: 5, Gen: 42, Flags: loop.Readable | loop.Writable}
	if n != 1 || events[0] != want {
		t.Errorf("%v, want %v", events[:n], want)
	}
	if fd, _ := k.Dial(&backend); fd != 6 {
		t.Errorf("next: %d, want 6", fd)
	}
}

// TestClosedTellsNothing: a change before the close is not reported after it,
// except as a stale event under Spurious, with the old gen.
func TestClosedTellsNothing(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	p.Send([]byte("x"))
	k.Close(fd, false)
	if got := look(t, k); got != 0 {
		t.Errorf("event after close: %s", flagNames(got))
	}
	fd, _ = dialed(t, k, backend)
	k.Faults.Spurious = 1
	k.Close(fd, false)
	var events [8]loop.Event
	if n, _ := k.Wait(events[:], 0); n != 1 || events[0].FD != int32(fd) || events[0].Gen != 1 {
		t.Errorf("%v, want a stale event for %d", events[:n], fd)
	}
}

// TestListener: level-triggered while watched.
func TestListener(t *testing.T) {
	k := New(1)
	listener := k.Listen()
	k.WatchListener(listener, 9)
	k.Connect(listener, somewhere)
	k.Connect(listener, somewhere)
	var events [8]loop.Event
	for range 3 {
		if n, _ := k.Wait(events[:], 0); n != 1 || events[0] != (loop.Event{FD: 3, Gen: 9, Flags: loop.Readable}) {
			t.Fatalf("%v", events[:n])
		}
	}
	k.Unwatch(listener)
	if n, _ := k.Wait(events[:], -1); n != 0 || !k.Stalled() {
		t.Errorf("not watched: %v", events[:n])
	}
	k.WatchListener(listener, 10)
	k.Accept(listener)
	k.Accept(listener)
	if fd, _, err := k.Accept(listener); fd != -1 || err != nil {
		t.Errorf("none to accept: %d, %v", fd, err)
	}
	if n, _ := k.Wait(events[:], 0); n != 0 {
		t.Errorf("empty: %v", events[:n])
	}
	waiting := k.Connect(listener, somewhere)
	k.Close(listener, false)
	if !waiting.WasReset() {
		t.Error("a client in the queue of a closed listener was not reset")
	}
}

// TestAcceptErrors: EMFILE leaves the client in the queue, ECONNABORTED does not.
func TestAcceptErrors(t *testing.T) {
	k := New(1)
	k.Faults.FDMax = 2
	listener := k.Listen()
	p := k.Connect(listener, somewhere)
	k.Connect(listener, somewhere)
	fd, _, _ := k.Accept(listener)
	if _, _, err := k.Accept(listener); err != unix.EMFILE {
		t.Errorf("above FDMax: %v", err)
	}
	if _, err := k.Dial(&backend); err != unix.EMFILE {
		t.Errorf("dial above FDMax: %v", err)
	}
	k.Close(fd, false)
	if !p.Ended() {
		t.Error("the client has not seen the end")
	}
	if fd, _, err := k.Accept(listener); fd != 4 || err != nil {
		t.Errorf("room again: %d, %v", fd, err)
	}

	k = New(1)
	k.Faults.AcceptErrors = 1
	listener = k.Listen()
	seen := map[error]int{}
	for range 100 {
		p := k.Connect(listener, somewhere)
		for {
			fd, _, err := k.Accept(listener)
			seen[err]++
			if err == nil {
				k.Close(fd, false)
			} else if gone := err == unix.ECONNABORTED; gone != p.WasReset() {
				t.Fatalf("%v, reset %t", err, p.WasReset())
			}
			if err != unix.EMFILE {
				break
			}
		}
	}
	if seen[unix.EMFILE] == 0 || seen[unix.ECONNABORTED] == 0 || k.OpenFDs() != 0 {
		t.Errorf("%v, %d open", seen, k.OpenFDs())
	}
}

// TestBackpressure: a paused peer stops the writes, a loop that does not read
// stops the peer's bytes; neither loses any.
func TestBackpressure(t *testing.T) {
	k := New(1)
	k.Faults.BufferMin, k.Faults.BufferMax = 1000, 1000
	fd, p := accepted(t, k)
	p.Pause()
	sent := pattern(5000)
	if n, _ := k.Write(fd, sent); n != 1000 {
		t.Errorf("first write: %d, want the send buffer", n)
	}
	if n, _ := k.Write(fd, sent[1000:]); n != 1000 {
		t.Errorf("second write: %d, want the receive buffer", n)
	}
	if n, err := k.Write(fd, sent[2000:]); n != 0 || err != nil || len(p.Received()) != 0 {
		t.Errorf("third write: %d, %v, received %d", n, err, len(p.Received()))
	}
	p.Resume()
	for at := 2000; at < len(sent); {
		n, _ := k.Writev(fd, sent[at:at+300], sent[at+300:at+700], sent[at+700:at+1000])
		at += n
	}
	if got := p.Recv(); !bytes.Equal(got, sent) || len(p.Recv()) != 0 || !bytes.Equal(p.Received(), sent) {
		t.Errorf("received %d of %d", len(got), len(sent))
	}

	p.Send(sent)
	if p.Unsent() != 4000 {
		t.Errorf("%d bytes wait, want all but one receive buffer", p.Unsent())
	}
	var got string
	for len(got) < len(sent) {
		got += read(t, k, fd, 700)
	}
	if got != string(sent) {
		t.Error("read other bytes than were sent")
	}
}

// TestEnds: what the loop's side reads and writes after each kind of end.
func TestEnds(t *testing.T) {
	for _, tc := range []struct {
		name        string
		over        loop.Addr // zero: a client
		end         func(p *Peer)
		reads       string // of reads of one buffer each
		firstWrite  error  // before any read
		secondWrite error
	}{
		{"end of one side", loop.Addr{}, func(p *Peer) { p.Shut() }, "ab EOF EOF", nil, nil},
		{"close; bytes to it come back as a reset", loop.Addr{}, func(p *Peer) { p.Close() }, "ab EOF EOF", nil, unix.EPIPE},
		{"reset; what had arrived stays", loop.Addr{}, func(p *Peer) { p.Reset() }, "ab ECONNRESET EOF", unix.ECONNRESET, unix.EPIPE},
		{"reset after an end", loop.Addr{}, func(p *Peer) { p.Shut(); p.Reset() }, "ab EOF EOF", unix.EPIPE, unix.EPIPE},
		{"backend reset", backend, func(p *Peer) { p.Reset() }, "ab ECONNRESET EOF", unix.ECONNRESET, unix.EPIPE},
		{"unix: end of one side", unixPath, func(p *Peer) { p.Shut() }, "ab EOF EOF", nil, nil},
		{"unix: close", unixPath, func(p *Peer) { p.Close() }, "ab EOF EOF", unix.EPIPE, unix.EPIPE},
		{"unix: close after an end", unixPath, func(p *Peer) { p.Shut(); p.Close() }, "ab EOF EOF", unix.EPIPE, unix.EPIPE},
		{"unix: there is no reset", unixPath, func(p *Peer) { p.Reset() }, "ab EOF EOF", unix.EPIPE, unix.EPIPE},
	} {
		open := func() (*Kernel, int) {
			k := New(1)
			fd, p := accepted(t, k)
			if tc.over != (loop.Addr{}) {
				fd, p = dialed(t, k, tc.over)
			}
			p.Send([]byte("ab"))
			tc.end(p)
			return k, fd
		}
		k, fd := open()
		var got []string
		for range 3 {
			got = append(got, outcome(k, fd))
		}
		if s := fmt.Sprintf("%s %s %s", got[0], got[1], got[2]); s != tc.reads {
			t.Errorf("%s: read %s, want %s", tc.name, s, tc.reads)
		}
		k, fd = open()
		if _, err := k.Write(fd, []byte("x")); err != tc.firstWrite {
			t.Errorf("%s: first write: %v, want %v", tc.name, err, tc.firstWrite)
		}
		if _, err := k.Write(fd, []byte("x")); err != tc.secondWrite {
			t.Errorf("%s: second write: %v, want %v", tc.name, err, tc.secondWrite)
		}
	}
}

func outcome(k *Kernel, fd int) string {
	var b [100]byte
	n, err := k.Read(fd, b[:])
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// TestHangupOfUnixSocket: a close alone hangs up, with bytes still to read.
func TestHangupOfUnixSocket(t *testing.T) {
	k := New(1)
	fd, p := dialed(t, k, unixPath)
	p.Send([]byte("reply"))
	p.Close()
	if got := look(t, k); got != everything {
		t.Errorf("event: %s", flagNames(got))
	}
	if got := read(t, k, fd, 100); got != "reply" {
		t.Errorf("read %q after the hang-up", got)
	}
}

// TestOwnEnds: what the peer sees of each way in which the loop's side ends.
func TestOwnEnds(t *testing.T) {
	for _, tc := range []struct {
		name     string
		over     loop.Addr
		do       func(k *Kernel, fd int, p *Peer)
		received string
		ended    bool
		reset    bool
	}{
		{"shutdown", backend, func(k *Kernel, fd int, p *Peer) { k.ShutdownWrite(fd) }, "bye", true, false},
		{"close", backend, func(k *Kernel, fd int, p *Peer) { k.Close(fd, false) }, "bye", true, false},
		{"close, to reset", backend, func(k *Kernel, fd int, p *Peer) { k.Close(fd, true) }, "bye", false, true},
		{"close with unread bytes", backend, func(k *Kernel, fd int, p *Peer) {
			p.Send([]byte("x"))
			k.Close(fd, false)
		}, "bye", false, true},
		{"close, then bytes come", backend, func(k *Kernel, fd int, p *Peer) {
			k.Close(fd, false)
			p.Send([]byte("x"))
		}, "bye", true, true},
		{"shutdown, then bytes come and are read", backend, func(k *Kernel, fd int, p *Peer) {
			k.ShutdownWrite(fd)
			p.Send([]byte("x"))
			k.Read(fd, make([]byte, 10))
			k.Close(fd, false)
		}, "bye", true, false},
		{"unread by the peer when a reset comes", backend, func(k *Kernel, fd int, p *Peer) {
			p.Pause()
			k.Write(fd, []byte(" lost"))
			k.Close(fd, true)
			p.Resume()
		}, "bye", false, true},
		{"unread by the peer when the end comes", backend, func(k *Kernel, fd int, p *Peer) {
			p.Pause()
			k.Write(fd, []byte(" kept"))
			k.Close(fd, false)
			if p.Ended() {
				t.Error("the end was seen before the bytes")
			}
			p.Resume()
		}, "bye kept", true, false},
		{"unix: close to reset is a close", unixPath, func(k *Kernel, fd int, p *Peer) { k.Close(fd, true) }, "bye", true, false},
		{"unix: close with unread bytes", unixPath, func(k *Kernel, fd int, p *Peer) {
			p.Send([]byte("x"))
			k.Close(fd, false)
		}, "bye", false, true},
		{"unix: close, then bytes are sent", unixPath, func(k *Kernel, fd int, p *Peer) {
			k.Close(fd, false)
			p.Send([]byte("x"))
		}, "bye", true, false},
	} {
		k := New(1)
		fd, p := dialed(t, k, tc.over)
		k.Write(fd, []byte("bye"))
		tc.do(k, fd, p)
		if got := string(p.Received()); got != tc.received || p.Ended() != tc.ended || p.WasReset() != tc.reset {
			t.Errorf("%s: received %q, ended %t, reset %t; want %q, %t, %t",
				tc.name, got, p.Ended(), p.WasReset(), tc.received, tc.ended, tc.reset)
		}
	}
}

// TestOwnShutdown: after it the loop's writes fail and its reads go on.
func TestOwnShutdown(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	k.ShutdownWrite(fd)
	if _, err := k.Write(fd, []byte("x")); err != unix.EPIPE {
		t.Errorf("write: %v", err)
	}
	p.Send([]byte("late"))
	if got := read(t, k, fd, 10); got != "late" {
		t.Errorf("read %q", got)
	}
}

// TestReplyLostInReset: a close with an unread body takes away the reply that is
// still on its way, as RFC 9112 section 9.6 warns; a shutdown first does not.
func TestReplyLostInReset(t *testing.T) {
	for _, lingers := range []bool{false, true} {
		k := New(1)
		fd, p := accepted(t, k)
		p.Pause()
		p.Send([]byte("a body nobody wants"))
		k.Write(fd, []byte("HTTP/1.1 413 "))
		if lingers {
			k.ShutdownWrite(fd)
			read(t, k, fd, 100)
		}
		k.Close(fd, false)
		p.Resume()
		if got := len(p.Received()) > 0; got != lingers {
			t.Errorf("lingers %t: received %q", lingers, p.Received())
		}
	}
}

// TestDial: how attempts end, and when.
func TestDial(t *testing.T) {
	for _, tc := range []struct {
		name   string
		to     loop.Addr
		set    func(k *Kernel)
		atOnce error // from Dial
		result error
		after  time.Duration
	}{
		{"up", backend, func(k *Kernel) { k.Serve(backend) }, nil, nil, 0},
		{"nobody there", backend, func(k *Kernel) {}, nil, unix.ECONNREFUSED, 0},
		{"refused", backend, func(k *Kernel) { k.Serve(backend).Refuse = true }, nil, unix.ECONNREFUSED, 0},
		{"gone again", backend, func(k *Kernel) { k.Serve(backend).Close() }, nil, unix.ECONNREFUSED, 0},
		{"silent", backend, func(k *Kernel) { k.Serve(backend).Silent = true }, nil, unix.ETIMEDOUT, connectTimeout},
		{"refused by a fault", backend, func(k *Kernel) { k.Serve(backend); k.Faults.Refuse = 1 }, nil, unix.ECONNREFUSED, 0},
		{"timed out by a fault", backend, func(k *Kernel) { k.Serve(backend); k.Faults.TimeOut = 1 }, nil, unix.ETIMEDOUT, connectTimeout},
		{"unix, up", unixPath, func(k *Kernel) { k.Serve(unixPath) }, nil, nil, 0},
		{"unix, nobody there", unixPath, func(k *Kernel) {}, unix.ECONNREFUSED, nil, 0},
	} {
		k := New(1)
		tc.set(k)
		fd, err := k.Dial(&tc.to)
		if err != tc.atOnce {
			t.Errorf("%s: Dial: %v, want %v", tc.name, err, tc.atOnce)
		}
		if tc.atOnce != nil {
			continue
		}
		k.Watch(fd, 1)
		if err := k.DialResult(fd); tc.to.Path == "" && err != unix.EINPROGRESS {
			t.Errorf("%s: before the event: %v", tc.name, err)
		}
		var events [4]loop.Event
		begun := k.Now()
		if n, _ := k.Wait(events[:], -1); n != 1 || events[0].Flags&loop.Writable == 0 {
			t.Errorf("%s: events %v", tc.name, events[:n])
		}
		if failed := events[0].Flags&loop.Hangup != 0; failed != (tc.result != nil) {
			t.Errorf("%s: event %s", tc.name, flagNames(events[0].Flags))
		}
		if err := k.DialResult(fd); err != tc.result || k.Now().Sub(begun) != tc.after {
			t.Errorf("%s: %v after %v, want %v after %v", tc.name, err, k.Now().Sub(begun), tc.result, tc.after)
		}
	}
}

// TestConnectDelay: a client that sends before its connect is through is not
// heard before that.
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

// TestClosedWhileConnecting: the outcome of an attempt that was given up
// reaches nobody.
func TestClosedWhileConnecting(t *testing.T) {
	k := New(1)
	v := k.Serve(backend)
	fd, _ := k.Dial(&backend)
	k.Watch(fd, 1)
	k.Close(fd, false)
	if got := look(t, k); got != 0 || v.Accept() != nil || k.OpenFDs() != 0 {
		t.Errorf("event %s, %d open", flagNames(got), k.OpenFDs())
	}
}

// TestClock: who moves it, how far, and in what order things happen.
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

// TestCallbacks: they run in Wait, not in the middle of a call of the loop, and
// may answer.
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

// TestDelay: bytes come in order, in time, and the end behind them.
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

// TestFaultsBreakConnections: with Reset both sides see it, with HalfClose the
// end comes after the bytes; the test can tell.
func TestFaultsBreakConnections(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	k.Faults.Reset = 1
	p.Send([]byte("x"))
	if got := look(t, k); got != everything || !p.Struck() || !p.WasReset() || outcome(k, fd) != "ECONNRESET" {
		t.Errorf("reset: event %s, struck %t", flagNames(got), p.Struck())
	}
	k = New(1)
	fd, p = accepted(t, k)
	k.Faults.HalfClose = 1
	if !p.Send([]byte("x")) || !p.IsShut() || p.Send([]byte("y")) {
		t.Errorf("half-close: shut %t", p.IsShut())
	}
	if got := outcome(k, fd) + outcome(k, fd); got != "xEOF" {
		t.Errorf("half-close: read %s", got)
	}
}

// TestSpurious: events without a change come, and early ends of Wait.
func TestSpurious(t *testing.T) {
	k := New(1)
	accepted(t, k)
	k.Faults.Spurious = 0.5
	var events [4]loop.Event
	surprises, early := 0, 0
	for range 100 {
		n, _ := k.Wait(events[:], -1)
		surprises += n
		if n == 0 && !k.Stalled() {
			early++
		}
	}
	if surprises == 0 || early == 0 {
		t.Errorf("%d surprises, %d early", surprises, early)
	}
}

// TestMisuse: wrong use of a descriptor is noted and has no effect.
func TestMisuse(t *testing.T) {
	for name, do := range map[string]func(k *Kernel, fd int){
		"read after close":  func(k *Kernel, fd int) { k.Close(fd, false); k.Read(fd, make([]byte, 1)) },
		"write after close": func(k *Kernel, fd int) { k.Close(fd, false); k.Write(fd, make([]byte, 1)) },
		"double close":      func(k *Kernel, fd int) { k.Close(fd, false); k.Close(fd, false) },
		"unknown":           func(k *Kernel, fd int) { k.ShutdownWrite(99) },
		"negative":          func(k *Kernel, fd int) { k.Close(-1, true) },
		"read of listener":  func(k *Kernel, fd int) { k.Read(3, make([]byte, 1)) },
		"accept of a conn":  func(k *Kernel, fd int) { k.Accept(fd) },
		"second watch":      func(k *Kernel, fd int) { k.Watch(fd, 2) },
		"empty read":        func(k *Kernel, fd int) { k.Read(fd, nil) },
		"empty write":       func(k *Kernel, fd int) { k.Writev(fd, nil, nil, nil) },
	} {
		k := New(1)
		fd, _ := accepted(t, k)
		if len(k.Misuses()) != 0 {
			t.Fatalf("before: %q", k.Misuses())
		}
		if do(k, fd); len(k.Misuses()) != 1 {
			t.Errorf("%s: %q", name, k.Misuses())
		}
	}
}

// TestSameSeedSameRun: the seed alone decides, to the last line of the trace.
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

// TestDraw: every knob is on for some seeds and off for others.
func TestDraw(t *testing.T) {
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
		if n := on[name]; name != "FDMax" && (n < seeds/4 || n > seeds*3/4) {
			t.Errorf("%s is on for %d of %d seeds", name, n, seeds)
		}
	}
}
