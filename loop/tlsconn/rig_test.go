package tlsconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/loop"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// pki makes a certificate once.
var pki = sync.OnceValue(func() (c tls.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"lb.test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pki()}, DynamicRecordSizingDisabled: true}
}

func clientConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(pki().Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "lb.test", DynamicRecordSizingDisabled: true}
}

// rig is a loop in a goroutine of its own, with a Shaker.
type rig struct {
	t testing.TB
	k *brokenKernel
	l *loop.Loop
	a *arena.Arena
	s *Shaker
}

func newRig(t testing.TB) *rig {
	k, err := loop.NewKernel()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, k: &brokenKernel{k, k.(loop.KernelCloser), -1}, a: arena.New(20<<10, 81<<10)}
	r.l = loop.New(r.k, loop.Options{OnPanic: func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }})
	r.s = NewShaker(r.l, r.a)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.l.Run()
	}()
	t.Cleanup(func() {
		r.do(r.s.Close)
		r.l.Stop()
		<-ended
		if out := r.a.Out(); out != 0 {
			t.Errorf("%d slabs are not put back", out)
		}
	})
	return r
}

// do runs f on the loop.
func (r *rig) do(f func()) {
	done := make(chan struct{})
	if !r.l.Post(func() { defer close(done); f() }) {
		r.t.Error("the loop has ended")
		return
	}
	<-done
}

// side is a conn of the loop with TLS. What it does is set by its functions.
type side struct {
	loop.Conn
	r      *rig
	tls    *Conn
	shaken chan error
	ready  func(s *side) // after the handshake
}

func (s *side) Ready() {
	if s.tls.hand != nil {
		s.tls.Advance()
		return
	}
	s.ready(s)
}

func (s *side) Panicked(v any, stack []byte) {
	s.r.t.Errorf("panic: %v\n%s", v, stack)
	s.Close(true)
}

func (s *side) Shaken(err error) {
	s.shaken <- err
	if err != nil {
		s.Close(false)
		return
	}
	s.ready(s)
}

// pair returns both ends of a TCP connection; the first is a descriptor.
func pair(t testing.TB) (fd int, client *net.TCPConn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fd = dup(t, s.(*net.TCPConn))
	t.Cleanup(func() { c.Close() })
	return fd, c.(*net.TCPConn)
}

// dup returns another descriptor of c's connection.
func dup(t testing.TB, c *net.TCPConn) int {
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// serve makes a server of fd.
func (r *rig) serve(fd int, cfg *tls.Config, ready func(*side)) *side {
	s := &side{r: r, shaken: make(chan error, 1), ready: ready}
	r.do(func() {
		if err := r.l.Adopt(&s.Conn, s, fd); err != nil {
			r.t.Error(err)
			return
		}
		var err error
		if s.tls, err = r.s.Server(&s.Conn, s, cfg, nil); err != nil {
			r.t.Error(err)
		}
	})
	return s
}

// echo returns bytes until the end.
func echo() func(*side) {
	var held []byte
	ended := false
	buf := make([]byte, 30<<10)
	return func(s *side) {
		for s.IsOpen() {
			if len(held) > 0 {
				if !s.Writable() {
					return
				}
				n, err := s.Write(held)
				if err != nil {
					s.Close(true)
					return
				}
				held = held[n:]
				continue
			}
			if ended {
				if s.Owes() {
					return
				}
				s.Close(false)
				return
			}
			if !s.Readable() {
				return
			}
			n, err := s.Read(buf)
			held = append(held, buf[:n]...)
			if err == io.EOF {
				ended = true
				s.ShutdownWrite()
			} else if err != nil {
				s.Close(true)
			}
		}
	}
}

func setSendBuffer(t testing.TB, fd, n int) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
		t.Fatal(err)
	}
}
