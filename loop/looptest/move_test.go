package looptest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"lb/loop"
)

// mover is a layered conn that becomes another one after each of its events.
type mover struct {
	layered
	moves *int
	last  **mover
}

func (s *mover) Ready() {
	next := &mover{layered: layered{t: s.t, k: s.k, l: s.l, held: s.held, err: s.err}, moves: s.moves, last: s.last}
	again := s.k.rng.IntN(2) == 0
	if again {
		s.Again() // the call comes to next
	}
	s.l.Move(&s.Conn, &next.Conn, next)
	*s.moves++
	if *s.last = next; s.IsOpen() || !next.IsOpen() {
		s.t.Error("both are open, or neither")
	}
	if !again {
		next.layered.Ready()
	}
}

func (s *mover) Accepted(fd int, _ netip.AddrPort) {
	if err := s.l.Adopt(&s.Conn, s, fd); err != nil {
		s.t.Fatal(err)
	}
	s.k.Layer(&s.Conn)
}

// TestMove: a conn that becomes another one at each event loses none, and nothing that its
// transport holds.
func TestMove(t *testing.T) {
	for seed := range uint64(100) {
		k := New(seed)
		k.Faults = Draw(seed)
		k.Faults.Refuse, k.Faults.TimeOut, k.Faults.Reset, k.Faults.HalfClose, k.Faults.AcceptErrors = 0, 0, 0, 0, 0
		l := loop.New(k, loop.Options{})
		moves := 0
		var last *mover
		s := &mover{layered: layered{t: t, k: k, l: l}, moves: &moves, last: &last}
		fd := k.Listen()
		if err := l.Listen(fd, s); err != nil {
			t.Fatal(err)
		}
		p := k.Connect(fd, netip.MustParseAddrPort("192.0.2.1:1000"))
		p.Layered = true
		rng := rand.New(rand.NewPCG(seed, 1))
		var sent []byte
		for range 3 {
			b := bytes.Repeat([]byte{byte(rng.Uint32())}, 1+rng.IntN(3000))
			sent = append(sent, b...)
			p.Send(b)
			k.Pass(l, time.Millisecond)
		}
		p.Shut()
		k.Run(l, func() bool { return p.Ended() && l.Conns() == 0 || p.WasReset() }, 1_000_000)
		if last.err != io.EOF || !bytes.Equal(p.Received(), sent) || !p.Ended() || moves < 2 || l.Conns() != 0 {
			t.Errorf("seed %d: %d of %d bytes, %v, %d moves, %d conns", seed, len(p.Received()), len(sent), last.err, moves, l.Conns())
		}
	}
}

// TestMovePlain: flags and the place in the batch go with a conn without a transport, and
// what is known of the old struct is gone.
func TestMovePlain(t *testing.T) {
	k := New(1)
	l := loop.New(k, loop.Options{ConnsMax: 1})
	s := &plainMover{l: l, next: &plainMover{l: l}}
	fd := k.Listen()
	if err := l.Listen(fd, s); err != nil {
		t.Fatal(err)
	}
	p := k.Connect(fd, netip.MustParseAddrPort("192.0.2.1:1000"))
	p.Send([]byte("text"))
	k.Run(l, func() bool { return s.next.calls > 0 }, 100)
	if s.calls != 1 || s.IsOpen() || !s.next.Readable() || !s.next.Writable() || s.next.Owes() || l.Conns() != 1 {
		t.Errorf("%d calls, readable %t, writable %t, %d conns", s.calls, s.next.Readable(), s.next.Writable(), l.Conns())
	}
	s.next.Close(false)
	q := k.Connect(fd, netip.MustParseAddrPort("192.0.2.1:1001"))
	k.Pass(l, time.Millisecond)
	k.Pass(l, time.Millisecond)
	if !q.Accepted() {
		t.Error("the conn still counts as a client")
	}
}

// plainMover moves to next at its first event.
type plainMover struct {
	loop.Conn
	l     *loop.Loop
	next  *plainMover
	calls int
}

func (s *plainMover) Accepted(fd int, _ netip.AddrPort) {
	if !s.IsOpen() {
		s.l.Adopt(&s.Conn, s, fd)
	}
}

func (s *plainMover) Ready() {
	if s.calls++; s.next != nil && !s.next.IsOpen() {
		s.Again()
		s.l.Move(&s.Conn, &s.next.Conn, s.next)
	}
}

func (s *plainMover) Panicked(v any, _ []byte) { panic(v) }
