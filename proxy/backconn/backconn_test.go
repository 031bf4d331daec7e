package backconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/looptest"
	"lb/proxyproto"
)

// layer is a transport on which a read returns what a test says.
type layer struct {
	c       *loop.Conn
	n       int
	err     error
	asked   int
	pending bool
}

func (l *layer) Read(b []byte) (int, error) {
	l.asked++
	l.c.ReadRaw(make([]byte, 64))
	if l.pending = false; l.n > 0 {
		b[0] = 'x'
	}
	return l.n, l.err
}
func (l *layer) Writev(x, y, z []byte) (int, error) { return 0, nil }
func (l *layer) Pending() bool                      { return l.pending }
func (l *layer) Partial() bool                      { return false }
func (l *layer) Owes() bool                         { return false }
func (l *layer) Flush() (bool, error)               { return true, nil }
func (l *layer) CloseWrite() error                  { return nil }
func (l *layer) Moved(*loop.Conn)                   {}
func (l *layer) Closed()                            {}

// idle is a conn as its owner has it.
type idle struct {
	Conn
	t testing.TB
}

func (i *idle) Ready()               {}
func (i *idle) Panicked(any, []byte) { i.t.Error("panic") }

// connect returns a conn to a backend, and its far end.
func connect(t *testing.T) (*idle, *looptest.Peer, *loop.Loop) {
	k := looptest.New(1)
	l := loop.New(k, loop.Options{})
	to := loop.Addr{IP: netip.MustParseAddrPort("10.0.0.1:443")}
	far := k.Serve(to)
	c := &idle{t: t}
	c.Begin(proxyproto.Off, nil)
	if err := l.Dial(&c.Conn.Conn, c, &to); err != nil {
		t.Fatal(err)
	}
	l.Turn(false)
	return c, far.Accept(), l
}

// TestFresh: on an idle conn with TLS a ticket is nothing that speaks against it; bytes, an
// end and an error do. Without TLS there is no look, and any event does.
func TestFresh(t *testing.T) {
	for _, tc := range []struct {
		what  string
		tls   bool
		n     int
		err   error
		fresh bool
	}{
		{"a ticket", true, 0, nil, true},
		{"a byte", true, 1, nil, false},
		{"close_notify", true, 0, io.EOF, false},
		{"an alert", true, 0, errors.New("an alert"), false},
		{"plain bytes", false, 0, nil, false},
	} {
		c, far, l := connect(t)
		on := &layer{c: &c.Conn.Conn, n: tc.n, err: tc.err}
		if tc.tls {
			c.tls = new(tls.Config)
			c.SetTransport(on)
		}
		s := board.New(1, 1).State(0)
		if !c.Fresh(s, l.Now()) || on.asked != 0 {
			t.Errorf("%s: not fresh before it", tc.what)
		}
		c.Since = l.Now()
		later := l.Now().Add(time.Minute)
		far.Send([]byte("something"))
		l.Turn(false)
		l.Turn(false)
		if got := c.Fresh(s, later); got != tc.fresh || tc.tls != (on.asked > 0) {
			t.Errorf("%s: fresh %v, asked %d times", tc.what, got, on.asked)
		}
		if closed := s.IdleSeen.Load() != 0; closed != (tc.err != nil) {
			t.Errorf("%s: noted as an end: %v", tc.what, closed)
		}
		if tc.fresh && !c.Fresh(s, later) {
			t.Errorf("%s: not fresh afterwards", tc.what)
		}
		c.Close(false)
	}
}

// TestManner: conns fit as long as the pool's configuration stays. A backend with TLS gets no
// conn without.
func TestManner(t *testing.T) {
	set, err := tlsconf.ForProbes(&config.Config{Pools: []config.Pool{{Name: "a", TLS: config.BackendTLS{Insecure: true},
		Backends: []config.Backend{{Host: "a", Port: 443, TLS: true}}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	secure, plain := config.Backend{Host: "a", Port: 443, TLS: true}, config.Backend{Host: "a", Port: 443}
	var m Manner
	var old, c Conn
	if m.TLS() || !old.Fits(&m) {
		t.Error("the zero manner is not plain")
	}
	m.Set(set.Pools[0], secure)
	if !m.TLS() || old.Fits(&m) {
		t.Error("a plain conn fits a backend with TLS")
	}
	if c.tls = m.tls; !c.Fits(&m) || !c.Secure() {
		t.Error("a conn does not fit the manner it was made in")
	}
	if m.Set(set.Pools[0], secure); !c.Fits(&m) {
		t.Error("a conn does not fit after a reload that changed nothing")
	}
	if m.Set(set.Pools[0], plain); m.TLS() || c.Fits(&m) {
		t.Error("a conn with TLS fits a plain backend")
	}
	if m.Set(nil, secure); !m.TLS() || old.Fits(&m) || old.Handshake(nil, m.Any()) == nil {
		t.Error("without a configuration a backend with TLS is one without")
	}
}
