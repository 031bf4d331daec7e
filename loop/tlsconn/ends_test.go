package tlsconn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// slowWire sends each byte by itself.
type slowWire struct{ *net.TCPConn }

func (c slowWire) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.TCPConn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestByteByByte: a client that sends each byte by itself is served.
func TestByteByByte(t *testing.T) {
	r := newRig(t)
	fd, raw := pair(t)
	r.serve(fd, serverConfig(), echo())
	c := tls.Client(slowWire{raw}, clientConfig())
	c.SetDeadline(time.Now().Add(patience))
	sent := bytes.Repeat([]byte("0123456789"), 300)
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatal(err)
	}
}

// heldWire sends what is written only when the test asks for it.
type heldWire struct {
	*net.TCPConn
	hold bool
	held []byte
}

func (c *heldWire) Write(b []byte) (int, error) {
	c.held = append(c.held, b...)
	if !c.hold {
		_, err := c.TCPConn.Write(c.held)
		c.held = nil
		return len(b), err
	}
	return len(b), nil
}

// TestWithFinished: a request that comes together with the client's Finished is there when
// the handshake has ended, although no event follows; so is an end after it.
func TestWithFinished(t *testing.T) {
	for _, end := range []bool{false, true} {
		r := newRig(t)
		fd, raw := pair(t)
		s := r.serve(fd, serverConfig(), echo())
		wire := &heldWire{TCPConn: raw}
		cfg := clientConfig()
		cfg.VerifyConnection = func(tls.ConnectionState) error { wire.hold = true; return nil }
		c := tls.Client(wire, cfg)
		c.SetDeadline(time.Now().Add(patience))
		if err := c.Handshake(); err != nil || len(wire.held) == 0 {
			t.Fatal(err, len(wire.held))
		}
		request := bytes.Repeat([]byte("x"), 40<<10)
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if end {
			c.CloseWrite()
		}
		raw.SetWriteDeadline(time.Time{}) // CloseWrite has set one
		wire.hold = false
		wire.Write(nil)
		if end {
			raw.CloseWrite()
		}
		if err := <-s.shaken; err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(request))
		if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, request) {
			t.Fatal(end, n, err)
		}
		if end {
			if _, err := c.Read(got); err != io.EOF {
				t.Error(err)
			}
		}
	}
}

// ends collects what a side reads, and how it ended.
type ends struct {
	got  []byte
	over chan error
}

func (e *ends) ready(s *side) {
	b := make([]byte, 1000)
	for s.IsOpen() && s.Readable() {
		n, err := s.Read(b)
		e.got = append(e.got, b[:n]...)
		if err != nil {
			if !s.PeerShut() {
				e.over <- errors.New("the end is not a PeerShut")
			}
			e.over <- err
			s.Close(false)
		}
	}
}

// TestTruncation: an end with close_notify is io.EOF, with or without a FIN; an end without
// it is io.ErrUnexpectedEOF, also within a record.
func TestTruncation(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(c *tls.Conn, raw *net.TCPConn)
		want error
	}{
		{"close_notify", func(c *tls.Conn, raw *net.TCPConn) { c.CloseWrite() }, io.EOF},
		{"close_notify and FIN", func(c *tls.Conn, raw *net.TCPConn) { c.CloseWrite(); raw.CloseWrite() }, io.EOF},
		{"FIN", func(c *tls.Conn, raw *net.TCPConn) { raw.CloseWrite() }, io.ErrUnexpectedEOF},
		{"FIN in a record", func(c *tls.Conn, raw *net.TCPConn) {
			raw.Write([]byte{23, 3, 3, 1, 0, 'x'})
			raw.CloseWrite()
		}, io.ErrUnexpectedEOF},
	} {
		r := newRig(t)
		fd, raw := pair(t)
		e := &ends{over: make(chan error, 2)}
		r.serve(fd, serverConfig(), e.ready)
		c := tls.Client(raw, clientConfig())
		c.SetDeadline(time.Now().Add(patience))
		c.Write([]byte("some bytes"))
		tc.end(c, raw)
		if err := <-e.over; err != tc.want || string(e.got) != "some bytes" {
			t.Errorf("%s: %q, %v", tc.name, e.got, err)
		}
		if _, err := c.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("%s: the client reads %v and not close_notify", tc.name, err)
		}
	}
}

// TestWrongRecords: they end the conn with an alert, and nothing else.
func TestWrongRecords(t *testing.T) {
	for _, tc := range []struct{ name, bytes, want string }{
		{"not encrypted", "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "bad record MAC"},
		{"too long", "\x17\x03\x03\x50\x00", "record overflow"},
		{"another version", "\x17\x02\x03\x00\x01x", "version not supported"},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", "version not supported"},
		{"empty", "\x17\x03\x03\x00\x00", "bad record MAC"},
	} {
		r := newRig(t)
		fd, raw := pair(t)
		over := make(chan error, 1)
		r.serve(fd, serverConfig(), func(s *side) {
			if s.Readable() {
				if _, err := s.Read(make([]byte, 100)); err != nil {
					over <- err
					s.Close(false)
				}
			}
		})
		c := tls.Client(raw, clientConfig())
		c.SetDeadline(time.Now().Add(patience))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		raw.Write([]byte(tc.bytes))
		if err := <-over; err == io.EOF || err == nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if _, err := c.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the client reads %v, want an alert with %q", tc.name, err, tc.want)
		}
	}
}

// TestEverythingIsOut: once Writev has taken all, all is out: a close at once loses
// nothing, although the client reads slowly and the buffers are small.
func TestEverythingIsOut(t *testing.T) {
	for _, size := range []int{1, 100, 16 << 10, 64 << 10, 3<<20 + 1} {
		r := newRig(t)
		fd, raw := pair(t)
		if size < 100<<10 { // more would take long
			raw.SetReadBuffer(4 << 10)
		}
		setSendBuffer(t, fd, 4<<10)
		all := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		left, least := all, 0
		r.serve(fd, serverConfig(), func(s *side) {
			for s.IsOpen() && s.Writable() {
				a, b := min(len(left), 100), min(len(left), 5000)
				n, err := s.Writev(left[:a], left[a:b], left[b:])
				if err != nil {
					t.Error(err)
				}
				if n < len(left) && (s.Writable() || !s.Owes()) {
					t.Error("a short write leaves the conn writable, or owes nothing")
				}
				if s.tls.out != nil {
					least = max(least, len(s.tls.out.B))
				}
				if left = left[n:]; len(left) == 0 {
					if s.Owes() {
						t.Error("all is taken and something is owed")
					}
					s.Close(false)
				}
			}
		})
		c := tls.Client(raw, clientConfig())
		c.SetDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, all) {
			t.Errorf("%d bytes: %d came, %v", size, len(got), err)
		}
		r.do(func() {
			if least > 24<<10 || least == 0 && size > 100<<10 {
				t.Errorf("%d bytes: a slab of %d was owed", size, least)
			}
		})
	}
}

// TestShutdownWrite: the end is declared at once or after what is owed, and bytes are
// still read then.
func TestShutdownWrite(t *testing.T) {
	r := newRig(t)
	fd, raw := pair(t)
	raw.SetReadBuffer(4 << 10)
	setSendBuffer(t, fd, 4<<10)
	e := &ends{over: make(chan error, 2)}
	begun := false
	owed := make(chan bool, 1)
	r.serve(fd, serverConfig(), func(s *side) {
		if !begun {
			begun = true
			n, _ := s.Write(make([]byte, 200<<10))
			if err := s.ShutdownWrite(); err != nil || n == 0 {
				t.Error(n, err)
			}
			owed <- s.Owes()
		}
		e.ready(s)
	})
	c := tls.Client(raw, clientConfig())
	c.SetDeadline(time.Now().Add(patience))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if !<-owed {
		t.Error("nothing is owed")
	}
	if got, err := io.ReadAll(c); err != nil || len(got) == 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := raw.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("no FIN: %v", err)
	}
	c.Write([]byte("still here"))
	c.CloseWrite()
	if err := <-e.over; err != io.EOF || string(e.got) != "still here" {
		t.Errorf("%q, %v", e.got, err)
	}
}

// TestRecordsOfOneRead: a Read opens a bounded number of records, so that a client cannot
// hold the loop with small ones; the rest is pending.
func TestRecordsOfOneRead(t *testing.T) {
	const sent = 5 * recordsMax
	r := newRig(t)
	fd, raw := pair(t)
	buf, most, all, done := make([]byte, 30<<10), 0, 0, make(chan struct{})
	r.serve(fd, serverConfig(), func(s *side) {
		for all < sent && s.Readable() {
			n, _ := s.Read(buf)
			if most, all = max(most, n), all+n; all == sent {
				close(done)
			}
		}
	})
	wire := &heldWire{TCPConn: raw}
	c := tls.Client(wire, clientConfig())
	c.SetDeadline(time.Now().Add(patience))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	wire.hold = true
	for range sent {
		c.Write([]byte("x"))
	}
	wire.hold = false
	wire.Write(nil)
	<-done
	if most != recordsMax || all != sent {
		t.Errorf("%d bytes of %d records of one byte, %d in one Read", all, sent, most)
	}
}
