package tlsconn

import (
	"bytes"
	"testing"
)

// FuzzRecords: whatever is changed in a record, or comes in its place, no byte of it is
// read, the conn ends unless more could make a record of it, and little waits meanwhile.
func FuzzRecords(f *testing.F) {
	f.Add(uint16(0), byte(0), []byte{})
	f.Add(uint16(7), byte(1), []byte{})
	f.Add(uint16(3), byte(0x40), []byte("\x17\x03\x03"))
	f.Add(uint16(0), byte(0x17^0x15), []byte("\x15\x03\x03\x00\x02\x01\x00"))
	f.Add(uint16(0), byte(0x17^0x16), bytes.Repeat([]byte{0x14, 3, 3, 0, 1, 1}, 40))
	f.Fuzz(func(t *testing.T, at uint16, change byte, more []byte) {
		d := newDuo(t, true)
		s, c := d.ends[0], d.ends[1]
		record := append(bytes.Clone(sealed(t, c.tls, []byte("some text"))), more...)
		record[int(at)%len(record)] ^= change
		intact := change == 0 && len(more) == 0
		for cut := min(len(record), 11); len(record) > 0; cut = min(len(record), 50<<10) {
			n, err := c.WriteRaw(record[:cut])
			if record = record[n:]; err != nil || n == 0 {
				return // the server has reset it
			}
			d.l.Turn(false)
			var buf [100]byte
			n, err = s.Read(buf[:])
			if intact && len(record) == 0 { // the socket may bring it a moment later
				d.until(t, func() bool {
					if n == 0 && err == nil {
						n, err = s.Read(buf[:])
					}
					return n > 0 || err != nil
				})
			}
			if n > 0 && string(buf[:n]) != "some text" {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			if s.tls.in != nil && s.tls.in.Len() > recordMax+512 {
				t.Fatalf("%d bytes wait", s.tls.in.Len())
			}
			if err != nil {
				return
			}
		}
	})
}

// sealed returns the record in which t would send b.
func sealed(tb testing.TB, t *Conn, b []byte) []byte {
	t.batching, t.s.batch = true, nil
	defer func() { t.batching = false }()
	if _, err := t.tls.Write(b); err != nil {
		tb.Fatal(err)
	}
	return t.s.batch
}

// FuzzHello: whatever a client sends before its end, the handshake ends with an error.
func FuzzHello(f *testing.F) {
	first := hello(f)
	f.Add(first, uint16(100))
	f.Add(first[:200], uint16(3))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), uint16(6))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(1))
	f.Add(bytes.Repeat([]byte("\x15\x03\x01\x00\x02\x01\x5a"), 30), uint16(10))
	cfg := serverConfig()
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		d := newDuo(t, false)
		s, c := d.ends[0], d.ends[1]
		before := b[:min(len(b), int(cut))]
		var err error
		if s.tls, err = d.s.Server(&s.Conn, s, cfg, before); err != nil {
			t.Fatal(err)
		}
		for b = b[len(before):]; len(b) > 0; {
			n, err := c.Write(b)
			if b = b[n:]; err != nil {
				break
			}
			if n == 0 {
				d.l.Turn(false)
			}
		}
		c.ShutdownWrite()
		d.until(t, func() bool { return s.over })
		if s.err == nil {
			t.Error(s.err)
		}
	})
}
