package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/testkit"
)

// start starts a relay and checks at the end of the test that nothing is left.
func start(t *testing.T, backends ...string) *Relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Start(Options{Listener: ln, Backends: backends})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		if n := len(r.pairs); n != 0 {
			t.Errorf("%d pairs left", n)
		}
		if n := r.slabs.Out(); n != 0 {
			t.Errorf("%d slabs left", n)
		}
		if n := r.loop.Conns(); n != 0 {
			t.Errorf("%d conns left", n)
		}
	})
	return r
}

// backend listens on network and calls serve for each conn.
func backend(t *testing.T, network, addr string, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(testkit.Patience))
				serve(c)
			})
		}
	})
	if network == "unix" {
		return "unix:" + addr
	}
	return ln.Addr().String()
}

func dial(t *testing.T, r *Relay) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testkit.Patience))
	return c.(*net.TCPConn)
}

// noise returns n bytes without a pattern.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestBytesGoBothWaysAndEndsAreEnds(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "b.sock")
		}
		asked, answer := noise(300<<10), noise(1<<20+7)
		r := start(t, backend(t, network, addr, func(c net.Conn) {
			got, err := io.ReadAll(c) // returns only after the client's end was passed on
			if err != nil || !bytes.Equal(got, asked) {
				t.Errorf("%s: the backend read %d bytes, %v; want the %d sent", network, len(got), err, len(asked))
			}
			c.Write(answer)
		}))
		c := dial(t, r)
		if _, err := c.Write(asked); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, answer) {
			t.Errorf("%s: the client read %d bytes, %v; want the %d sent", network, len(got), err, len(answer))
		}
	}
}

func TestBackendsAreTakenInTurn(t *testing.T) {
	say := func(name string) func(net.Conn) {
		return func(c net.Conn) { io.WriteString(c, name) }
	}
	r := start(t, backend(t, "tcp", "127.0.0.1:0", say("a")), backend(t, "tcp", "127.0.0.1:0", say("b")))
	var got []byte
	for range 4 {
		b, err := io.ReadAll(dial(t, r))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if string(got) != "abab" {
		t.Errorf("%s answered, want abab", got)
	}
}

func TestClientThatDoesNotReadStopsTheBackend(t *testing.T) {
	const total = 64 << 20
	var sent int
	stalled := make(chan int)
	r := start(t, backend(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		b := noise(64 << 10)
		for sent < total {
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := c.Write(b)
			sent += n
			if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
				break
			}
		}
		stalled <- sent
	}))
	c := dial(t, r)
	n := <-stalled
	if n >= total {
		t.Fatalf("the backend could send all of %d bytes to a client that reads nothing", total)
	}
	got, err := io.Copy(io.Discard, c)
	if err != nil || got != int64(n) {
		t.Errorf("then the client read %d bytes, %v; want %d", got, err, n)
	}
}

func TestResetAndRefusalEndThePair(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan error, 1)
	r := start(t, backend(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 1))
		close(arrived)
		_, err := c.Read(make([]byte, 1))
		gone <- err
	}))
	c := dial(t, r)
	c.Write([]byte("x"))
	<-arrived // before that there may be no pair
	c.SetLinger(0)
	c.Close()
	if err := <-gone; !errors.Is(err, unix.ECONNRESET) && err != io.EOF {
		t.Errorf("the backend of a client that was reset read: %v", err)
	}

	client, err := net.Dial("tcp", start(t, testkit.RefusingAddr(t)).Addr())
	if err == nil { // the conn may be reset before Dial returns
		defer client.Close()
		client.SetDeadline(time.Now().Add(testkit.Patience))
		_, err = client.Read(make([]byte, 1))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client whose backend refuses read: %v, want an end", err)
	}
}

func TestCloseEndsOpenPairs(t *testing.T) {
	arrived, read := make(chan struct{}), make(chan struct{})
	before := testkit.OpenFDs()
	r := start(t, backend(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 1))
		close(arrived)
		io.Copy(io.Discard, c)
		close(read)
	}))
	c := dial(t, r)
	c.Write([]byte("x"))
	<-arrived // before that there may be no pair
	r.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the client's conn is open after Close")
	}
	<-read
	c.Close()
	testkit.Until(t, "no descriptor more than before, but the backend's listener", func() bool { // it closes its conn a moment later
		return testkit.OpenFDs() <= before+1
	})
}

func TestStartRefuses(t *testing.T) {
	for _, backends := range [][]string{nil, {"localhost"}, {"127.0.0.1:http"}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Start(Options{Listener: ln, Backends: backends}); err == nil {
			r.Close()
			t.Errorf("backends %q are accepted", backends)
		}
		if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			t.Errorf("the listener is open after backends %q", backends)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	b.ReportAllocs()
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	back, _ := net.Listen("tcp", "127.0.0.1:0")
	defer back.Close()
	go func() {
		c, err := back.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, c)
	}()
	r, err := Start(Options{Listener: ln, Backends: []string{back.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 128)
	for b.Loop() {
		c.Write(buf)
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
