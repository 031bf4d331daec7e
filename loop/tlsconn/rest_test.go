package tlsconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"
)

// TestTicketAndData: bytes that come right after a session ticket, in one read of the socket,
// are all there, however few are asked for.
func TestTicketAndData(t *testing.T) {
	want := make([]byte, 40<<10)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	for _, size := range []int{1, 200, 5000, 20 << 10} {
		r := newRig(t)
		fd, raw := pair(t)
		got := make(chan []byte, 1)
		s := &side{r: r, shaken: make(chan error, 1)}
		var held []byte
		s.ready = func(s *side) {
			for s.IsOpen() && s.Readable() {
				b := make([]byte, size)
				n, err := s.Read(b)
				held = append(held, b[:n]...)
				if err != nil {
					if err != io.EOF {
						t.Errorf("%d bytes a read: %v after %d bytes", size, err, len(held))
					}
					s.Close(false)
					got <- held
				}
			}
		}
		go func() {
			wire := &heldWire{TCPConn: raw}
			cfg := serverConfig()
			cfg.ClientAuth = tls.RequestClientCert // the ticket follows the client's Finished then
			cfg.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) {
				wire.hold = true
				return []byte("ticket"), nil
			}
			c := tls.Server(wire, cfg)
			c.SetDeadline(time.Now().Add(patience))
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
			c.Write(want)
			c.CloseWrite()
			raw.SetWriteDeadline(time.Time{}) // CloseWrite has set one
			wire.hold = false
			wire.Write(nil)
		}()
		cfg := clientConfig()
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		r.do(func() {
			if err := r.l.Adopt(&s.Conn, s, fd); err != nil {
				t.Error(err)
				return
			}
			var err error
			if s.tls, err = r.s.Client(&s.Conn, s, cfg); err != nil {
				t.Error(err)
			}
		})
		if err := <-s.shaken; err != nil {
			t.Fatal(err)
		}
		select {
		case b := <-got:
			if !bytes.Equal(b, want) {
				t.Errorf("%d bytes a read: %d bytes came, want %d", size, len(b), len(want))
			}
		case <-time.After(patience):
			t.Errorf("%d bytes a read: they do not all come", size)
		}
	}
}

// TestClosedInStep: a handshake whose conn is closed while the thread is in it is let go of
// then, and does not wait for records that will not come.
func TestClosedInStep(t *testing.T) {
	r := newRig(t)
	first := hello(t)
	held, entered := make(chan struct{}), make(chan context.Context)
	cfg := serverConfig()
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		entered <- h.Context()
		<-held
		return nil, nil
	}
	fd, _ := pair(t)
	s := &side{r: r, shaken: make(chan error, 1)}
	r.do(func() {
		err := r.l.Adopt(&s.Conn, s, fd)
		if err == nil {
			s.tls, err = r.s.Server(&s.Conn, s, cfg, first)
		}
		if err != nil {
			t.Error(err)
		}
	})
	ctx := <-entered
	r.do(func() { s.Close(true) })
	close(held)
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Error("the handshake still waits for records")
	}
}
