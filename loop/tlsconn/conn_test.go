package tlsconn

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// TestEcho: bytes of all sizes come back, and the end as well, in each version.
func TestEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := newRig(t)
		fd, raw := pair(t)
		s := r.serve(fd, serverConfig(), echo())
		cfg := clientConfig()
		cfg.MaxVersion = version
		c := tls.Client(raw, cfg)
		c.SetDeadline(time.Now().Add(patience))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-s.shaken; err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 2, 100, 4 << 10, 20 << 10, 1 << 20, 8 << 20} {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			go c.Write(b)
			got := make([]byte, size)
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%x, %d bytes: %v", version, size, err)
			}
		}
		c.CloseWrite()
		if n, err := c.Read(make([]byte, 10)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}
