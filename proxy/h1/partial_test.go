package h1

import (
	"bytes"
	"testing"
	"time"

	"lb/loop"
)

// lines is a transport whose records are lines.
type lines struct {
	c        *loop.Conn
	raw, out []byte
}

func (t *lines) Read(b []byte) (n int, err error) {
	var some [256]byte
	if n, err = t.c.ReadRaw(some[:]); err != nil {
		return 0, err
	}
	t.raw = append(t.raw, some[:n]...)
	whole := bytes.LastIndexByte(t.raw, '\n') + 1
	t.out, t.raw = append(t.out, t.raw[:whole]...), t.raw[whole:]
	n = copy(b, t.out)
	t.out = t.out[n:]
	return n, nil
}

func (t *lines) Writev(x, y, z []byte) (int, error) { return len(x) + len(y) + len(z), nil }
func (t *lines) Pending() bool                      { return len(t.out) > 0 }
func (t *lines) Partial() bool                      { return len(t.raw) > 0 }
func (t *lines) Owes() bool                         { return false }
func (t *lines) Flush() (bool, error)               { return true, nil }
func (t *lines) CloseWrite() error                  { return nil }
func (t *lines) Moved(to *loop.Conn)                { t.c = to }
func (t *lines) Closed()                            {}

// TestTrickledRecord: a client that sends a record of TLS byte by byte has as long as for a
// head, and no longer.
func TestTrickledRecord(t *testing.T) {
	for _, before := range []string{"", ask} {
		r := newRig(t)
		p := r.connect("")
		c := r.s.open
		c.SetTransport(&lines{c: &c.Conn})
		p.Send([]byte(before))
		r.turn()
		r.pass(50 * time.Second)
		if r.s.Clients != 1 {
			t.Fatalf("%q: an idle client is closed before its time", before)
		}
		lived := 0
		for ; lived < 60 && r.s.Clients > 0; lived++ {
			p.Send([]byte("x"))
			r.turn()
			r.pass(time.Second)
		}
		if lived < 9 || lived > 11 {
			t.Errorf("%q: closed after %d s, want 10", before, lived)
		}
		r.check(t)
	}
}
