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

// layered echoes over a Layer, and ends when the peer has.
type layered struct {
	loop.Conn
	t    *testing.T
	k    *Kernel
	l    *loop.Loop
	held []byte
	err  error // of the last read
}

func (s *layered) Accepted(fd int, _ netip.AddrPort) {
	if err := s.l.Adopt(&s.Conn, s, fd); err != nil {
		s.t.Fatal(err)
	}
	s.k.Layer(&s.Conn)
}

func (s *layered) Ready() {
	b := make([]byte, 3000)
	for range 50 {
		switch {
		case len(s.held) > 0 && !s.Writable():
			return
		case len(s.held) > 0:
			third := len(s.held) / 3
			n, err := s.Writev(s.held[:third], nil, s.held[third:])
			if err != nil {
				s.Close(true)
				return
			}
			s.held = s.held[n:]
		case s.err != nil && s.Owes():
			return
		case s.err != nil:
			s.Close(false)
			return
		case !s.Readable():
			return
		default:
			var n int
			n, s.err = s.Read(b)
			if s.held = append(s.held, b[:n]...); s.err == io.EOF {
				if err := s.ShutdownWrite(); err != nil {
					s.Close(true)
					return
				}
			}
		}
	}
	s.Again()
}

func (s *layered) Panicked(v any, stack []byte) { s.t.Fatalf("%v\n%s", v, stack) }

// TestLayer: whatever the sizes and the faults, all bytes come back in order, the end is
// declared both ways, and an end that is not declared is seen.
func TestLayer(t *testing.T) {
	truncated := 0
	for seed := range uint64(300) {
		k := New(seed)
		k.Faults = Draw(seed)
		k.Faults.Refuse, k.Faults.TimeOut, k.Faults.Reset, k.Faults.HalfClose, k.Faults.AcceptErrors = 0, 0, 0, 0, 0
		k.Faults.Noise, k.Faults.Truncate = 0.3, 0.3
		l := loop.New(k, loop.Options{})
		s := &layered{t: t, k: k, l: l}
		fd := k.Listen()
		if err := l.Listen(fd, s); err != nil {
			t.Fatal(err)
		}
		p := k.Connect(fd, netip.MustParseAddrPort("192.0.2.1:1000"))
		p.Layered = true
		rng := rand.New(rand.NewPCG(seed, 1))
		var sent []byte
		for range 1 + rng.IntN(5) {
			b := make([]byte, 1+rng.IntN(1<<rng.IntN(13)))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			sent = append(sent, b...)
			p.Send(b)
			k.Pass(l, time.Duration(rng.IntN(30))*time.Millisecond)
		}
		p.Shut()
		k.Run(l, func() bool { return p.Ended() || p.WasReset() }, 1_000_000)
		switch {
		case s.err == io.ErrUnexpectedEOF:
			truncated++
		case s.err != io.EOF || !bytes.Equal(p.Received(), sent) || p.Truncated() || !p.Ended():
			t.Errorf("seed %d: %d of %d bytes, %v, truncated %t, ended %t", seed, len(p.Received()), len(sent), s.err, p.Truncated(), p.Ended())
		}
	}
	if truncated < 30 || truncated > 200 {
		t.Errorf("%d truncated: the test shows little", truncated)
	}
}
