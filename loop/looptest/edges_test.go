package looptest

import (
	"bytes"
	"testing"
	"time"

	"lb/loop"
)

// TestEdges: one event for each change, saying what changed, and no other events.
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
		{"both ended, we first", []step{shutdown(0), peerShut, quiet}},
		{"both ended, the peer first", []step{send, peerShut, shutdown(r | w | shut), quiet}},
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

// TestFullState: as on Linux, every event reports all that holds.
func TestFullState(t *testing.T) {
	k := New(1)
	k.Faults.FullState = true
	_, p := accepted(t, k)
	p.Send([]byte("a"))
	if got := look(t, k); got != loop.Readable|loop.Writable {
		t.Errorf("event: %s", flagNames(got))
	}
}

// TestForgottenReadStalls: without another read, no event comes any longer.
func TestForgottenReadStalls(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	p.Send(make([]byte, 100<<10))
	look(t, k)
	read(t, k, fd, 64<<10) // everything there was: what follows is a change
	if got := look(t, k); got != loop.Readable {
		t.Errorf("after the buffer was emptied: %q", flagNames(got))
	}
	read(t, k, fd, 1<<10) // a full buffer: not drained
	var events [1]loop.Event
	if n, _ := k.Wait(events[:], -1); n != 0 || !k.Stalled() {
		t.Errorf("%d events, stalled %t; want a stall", n, k.Stalled())
	}
}

// TestCutsAreFollowedByEdges: code that waits for an event after a short count, and
// only then, moves all bytes.
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

// echo answers what it reads until the end or a stall. It reads and writes on only
// after full counts and events.
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

// TestCounts: cut counts are at least 1 and less than possible.
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

// TestBackpressure: a paused peer stops the loop's writes, and a loop that does not
// read stops the peer's bytes. Neither loses any.
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

// TestSlowBackpressure: even if bytes take time, no more than the two buffers hold
// is on the way, and room is reported once for each short write.
func TestSlowBackpressure(t *testing.T) {
	k := New(1)
	fd, p := accepted(t, k)
	k.Faults.Delay = time.Second
	p.Pause()
	p.arrivedMax, p.sock.queueMax = 100, 1000
	all, total := make([]byte, 5000), 0
	for i := range 20 {
		n, _ := k.Write(fd, all)
		total += n
		k.Advance(time.Duration(i%2) * time.Second)
	}
	if look(t, k); total != 1100 {
		t.Errorf("%d bytes taken, want both buffers full", total)
	}
	p.Resume()
	rooms := 0
	for range 100 {
		if look(t, k)&loop.Writable != 0 {
			rooms++
		}
		k.Advance(time.Second / 10)
	}
	if rooms != 1 || len(p.Received()) != total {
		t.Errorf("%d edges for one short write, %d bytes came of %d", rooms, len(p.Received()), total)
	}
}

// TestSpurious: some events have no change, and some Waits end early.
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

// TestClosedTellsNothing: a change before the close is not reported after it,
// except with Spurious as a stale event with the old gen.
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
	k.Advance(laterMax)
	if n, _ := k.Wait(events[:], 0); n != 1 || events[0].FD != int32(fd) || events[0].Gen != 1 {
		t.Errorf("%v, want a stale event for %d", events[:n], fd)
	}
}
