package tlsconn

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lb/loop"
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

// brokenKernel fails from some write on.
type brokenKernel struct {
	loop.Kernel
	loop.KernelCloser
	writes int // that are still good; negative: all
}

func (k *brokenKernel) Write(fd int, b []byte) (int, error) {
	if k.writes == 0 {
		return 0, unix.EPIPE
	}
	k.writes--
	return k.Kernel.Write(fd, b)
}

// TestBrokenAfterSome: bytes that went out count, although the socket failed after them in
// the same call.
func TestBrokenAfterSome(t *testing.T) {
	r := newRig(t)
	fd, raw := pair(t)
	setSendBuffer(t, fd, 1<<20)
	go func() {
		c := tls.Client(raw, clientConfig())
		c.SetDeadline(time.Now().Add(patience))
		io.Copy(io.Discard, c)
	}()
	s := r.serve(fd, serverConfig(), func(*side) {})
	if err := <-s.shaken; err != nil {
		t.Fatal(err)
	}
	r.do(func() {
		r.k.writes = 1
		defer func() { r.k.writes = -1 }()
		if n, err := s.Write(make([]byte, 40<<10)); n != sendBytes || err != nil {
			t.Errorf("%d bytes, %v; want those that are out", n, err)
		}
		if n, err := s.Write(make([]byte, 24<<10)); n != 0 || err != unix.EPIPE {
			t.Errorf("%d bytes, %v after the error", n, err)
		}
		s.Close(true)
	})
}

// fragments returns records of TLS 1.3 with one byte each of a message whose rest never
// comes, as sent under the secret that a client has logged.
func fragments(t *testing.T, log string, n int) (out []byte) {
	_, rest, _ := strings.Cut(log, "CLIENT_TRAFFIC_SECRET_0 ")
	_, hexed, _ := strings.Cut(rest, " ")
	secret, err := hex.DecodeString(strings.SplitN(hexed, "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	expand := func(label string, length int) []byte {
		info := fmt.Appendf(nil, "\x00%c%ctls13 %s\x00", length, 6+len(label), label)
		b, err := hkdf.Expand(sha256.New, secret, string(info), length)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := aes.NewCipher(expand("key", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, _ := cipher.NewGCM(block)
	iv := expand("iv", 12)
	for seq := range n {
		nonce := bytes.Clone(iv)
		binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(iv[4:])^uint64(seq))
		content := []byte{0, 22} // of a handshake
		if seq == 0 {
			content = []byte{24, 0, 0xff, 0xff, 22} // a key update of 64 KiB
		}
		head := []byte{23, 3, 3, 0, byte(len(content) + 16)}
		out = append(append(out, head...), gcm.Seal(nil, nonce, content, head)...)
	}
	return out
}

// TestCaptive: a peer whose records bring nothing does not hold up the other conns of the
// loop until it has no more.
func TestCaptive(t *testing.T) {
	r := newRig(t)
	fd, raw := pair(t)
	var log strings.Builder
	cfg := clientConfig()
	cfg.KeyLogWriter = &log
	held, reads, ended := make(chan struct{}), 0, make(chan error, 1)
	s := r.serve(fd, serverConfig(), func(s *side) {
		if !s.Readable() {
			return
		}
		<-held // until all of it is there
		reads++
		if n, err := s.Read(make([]byte, 100)); n > 0 || err != nil {
			ended <- err
			s.Close(true)
		}
	})
	c := tls.Client(raw, cfg)
	c.SetDeadline(time.Now().Add(patience))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("another cipher suite")
	}
	if err := <-s.shaken; err != nil {
		t.Fatal(err)
	}
	all := fragments(t, log.String(), 10000)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write(all); err != nil {
		t.Fatal(err)
	}
	raw.CloseWrite()
	close(held)
	if err := <-ended; err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if most := len(all) / (fillsMax * recordMax); reads < most {
		t.Errorf("%d bytes in %d reads", len(all), reads)
	}
}
