package looptest

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"lb/loop"
)

// TestEnds: what the loop's side reads and writes after each kind of end.
func TestEnds(t *testing.T) {
	for _, tc := range []struct {
		name        string
		over        loop.Addr // zero value: a client
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

// TestCloseOfUnixSocket: both sides end at once while bytes are unread, and an
// orderly end is no hang-up.
func TestCloseOfUnixSocket(t *testing.T) {
	k := New(1)
	fd, p := dialed(t, k, unixPath)
	p.Send([]byte("reply"))
	p.Close()
	if got := look(t, k); got != loop.Readable|loop.Writable|loop.PeerShut {
		t.Errorf("event: %s", flagNames(got))
	}
	if got := read(t, k, fd, 100); got != "reply" {
		t.Errorf("read %q after the close", got)
	}
}

// TestOwnEnds: what the peer sees of each way that the loop's side can end.
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

// TestOwnShutdown: after it the loop's writes fail and its reads continue.
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

// TestReplyLostInReset: closing with an unread body destroys the reply that is
// still on its way, as RFC 9112 section 9.6 warns. A shutdown first prevents it.
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

// TestFaultsBreakConnections: with Reset both sides see a reset, with HalfClose the
// end comes after the bytes; the test can tell which.
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
