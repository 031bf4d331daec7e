package tlsconn

import (
	"crypto/tls"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// idleBytesMax is the most that an idle conn may hold in the heap, in bytes. The sockets of
// the kernel are not in it.
const idleBytesMax = 5 << 10

// TestIdleMemory: what an idle server conn holds.
func TestIdleMemory(t *testing.T) {
	const conns = 200
	r := newRig(t)
	cfg := serverConfig()
	var clients []*tls.Conn
	one := func() {
		fd, raw := pair(t)
		s := r.serve(fd, cfg, echo2)
		c := tls.Client(raw, clientConfig())
		c.SetDeadline(time.Now().Add(patience))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-s.shaken; err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("hello"))
		if n, err := c.Read(make([]byte, 10)); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		clients = append(clients, c)
	}
	one()
	before := heap()
	for range conns {
		one()
	}
	clients = nil // their memory is the test's
	per := int(heap()-before) / conns
	t.Logf("%d bytes for each", per)
	if out := os.Getenv("TLSCONN_HEAP"); out != "" {
		f, _ := os.Create(out)
		pprof.WriteHeapProfile(f)
		f.Close()
	}
	if per > idleBytesMax {
		t.Errorf("an idle conn holds %d bytes of heap, at most %d are expected", per, idleBytesMax)
	}
}

// echo2 returns what it reads.
func echo2(s *side) {
	var b [100]byte
	for s.Readable() {
		n, err := s.Read(b[:])
		if err != nil {
			s.Close(false)
			return
		}
		if n > 0 {
			s.Write(b[:n])
		}
	}
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
