package tlsconn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"lb/arena"
	"lb/loop"
	"lb/loop/looptest"
)

// simulated is a client of crypto/tls on the fake kernel: its reads turn the loop.
type simulated struct {
	k *looptest.Kernel
	l *loop.Loop
	p *looptest.Peer

	read int // bytes of p
}

func (c *simulated) Read(b []byte) (int, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
		if n := copy(b, c.p.Received()[c.read:]); n > 0 {
			c.read += n
			return n, nil
		}
		if c.p.Ended() {
			return 0, io.EOF
		}
		c.k.Pass(c.l, time.Millisecond)
	}
	return 0, fmt.Errorf("nothing comes")
}

func (c *simulated) Write(b []byte) (int, error) {
	c.p.Send(b)
	return len(b), nil
}

func (c *simulated) Close() error                     { c.p.Close(); return nil }
func (c *simulated) LocalAddr() net.Addr              { return noAddr }
func (c *simulated) RemoteAddr() net.Addr             { return noAddr }
func (c *simulated) SetDeadline(time.Time) error      { return nil }
func (c *simulated) SetReadDeadline(time.Time) error  { return nil }
func (c *simulated) SetWriteDeadline(time.Time) error { return nil }

// listening accepts one conn for TLS.
type listening struct {
	side
	l   *loop.Loop
	s   *Shaker
	cfg *tls.Config
}

func (a *listening) Accepted(fd int, _ netip.AddrPort) {
	if err := a.l.Adopt(&a.Conn, &a.side, fd); err != nil {
		panic(err)
	}
	var err error
	if a.tls, err = a.s.Server(&a.Conn, &a.side, a.cfg, nil); err != nil {
		panic(err)
	}
}

// TestSimulated: whatever the kernel does to reads, writes and buffers, all bytes come
// back, and so does the end.
func TestSimulated(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	for seed := range uint64(60) {
		k := looptest.New(seed)
		k.Faults = looptest.Draw(seed)
		k.Faults.Refuse, k.Faults.TimeOut, k.Faults.Reset, k.Faults.HalfClose, k.Faults.AcceptErrors = 0, 0, 0, 0, 0
		if k.Faults.BufferMin > 0 {
			k.Faults.BufferMin, k.Faults.BufferMax = max(k.Faults.BufferMin, 256), max(k.Faults.BufferMax, 256)
		}
		k.Faults.Delay = min(k.Faults.Delay, time.Millisecond)
		simulate(t, seed, k, server, client)
	}
}

func simulate(t *testing.T, seed uint64, k *looptest.Kernel, server, client *tls.Config) {
	l := loop.New(k, loop.Options{})
	a := arena.New(20<<10, 81<<10)
	s := NewShaker(l, a)
	defer func() {
		s.Close()
		l.Close()
		if a.Out() != 0 || len(k.Misuses()) > 0 {
			t.Errorf("seed %d: %d slabs out, %q", seed, a.Out(), k.Misuses())
		}
	}()
	r := &rig{t: t, l: l, a: a, s: s}
	fd := k.Listen()
	acceptor := &listening{side: side{r: r, shaken: make(chan error, 1), ready: echo()}, l: l, s: s, cfg: server}
	if err := l.Listen(fd, acceptor); err != nil {
		t.Fatal(err)
	}
	p := k.Connect(fd, netip.MustParseAddrPort("192.0.2.1:1000"))
	c := tls.Client(&simulated{k: k, l: l, p: p}, client)
	if err := c.Handshake(); err != nil {
		t.Errorf("seed %d: %v", seed, err)
		return
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 3 {
		b := make([]byte, 1+rng.IntN(1<<rng.IntN(17)))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		c.Write(b)
		got := make([]byte, len(b))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
			t.Errorf("seed %d, %d bytes: %v", seed, len(b), err)
			return
		}
	}
	c.CloseWrite()
	if n, err := c.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("seed %d: %d bytes, %v at the end", seed, n, err)
	}
}
