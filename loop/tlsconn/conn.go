package tlsconn

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"lb/arena"
	"lb/loop"
	"lb/loop/tick"
)

// Conn is TLS on one conn: its transport.
type Conn struct {
	c    *loop.Conn
	s    *Shaker
	tls  *tls.Conn
	hand *handshake // nil when it is over

	in    *arena.Slab // bytes of the socket that wait, or nil
	whole bool        // in begins with a whole record
	plain *arena.Slab // bytes of a record for which there was no room, or nil
	raw   []byte      // within a call of tls: what it may read, of one record
	cut   error       // how the bytes of the socket have ended, or nil
	ended error       // how the bytes for the owner have ended, or nil

	out    *arena.Slab  // records that the socket has not taken, or nil
	ahead  int          // bytes encrypted that Writev has not reported
	broken error        // of the socket, in a write
	grown  int          // bytes written since the conn was idle, up to growAfter
	wrote  tick.Instant // when bytes were last written

	batching bool // records are collected in the Shaker's batch
}

var _ loop.Transport = (*Conn)(nil)

// State returns what was agreed on in the handshake.
func (t *Conn) State() tls.ConnectionState { return t.tls.ConnectionState() }

// Moved implements loop.Transport.
func (t *Conn) Moved(to *loop.Conn) { t.c = to }

// Closed implements loop.Transport.
func (t *Conn) Closed() {
	if t.hand != nil {
		t.drop()
	}
	a := t.s.arena
	for _, s := range []**arena.Slab{&t.in, &t.plain, &t.out} {
		a.Put(*s)
		*s = nil
	}
}

// wire is a Conn as a tls.Conn sees it: the net.Conn below. It never waits.
type wire Conn

// errLater is the error of a read when no more bytes are there. It is temporary, so that a
// tls.Conn can be asked again.
var errLater net.Error = later{}

type later struct{}

func (later) Error() string   { return "tlsconn: no more bytes yet" }
func (later) Timeout() bool   { return true }
func (later) Temporary() bool { return true }

// Read returns bytes of one record, and none of the next.
func (w *wire) Read(b []byte) (int, error) {
	if w.hand != nil {
		return w.hand.read(b)
	}
	if len(w.raw) == 0 {
		return 0, errLater
	}
	n := copy(b, w.raw)
	w.raw = w.raw[n:]
	return n, nil
}

// Write takes all of b.
func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.hand != nil:
		w.hand.out = append(w.hand.out, b...)
	case w.batching:
		w.s.batch = append(w.s.batch, b...)
	default:
		(*Conn)(w).send(b)
	}
	return len(b), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return noAddr }
func (w *wire) RemoteAddr() net.Addr             { return noAddr }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// noAddr is the address of either end: crypto/tls only wants one that is not nil.
var noAddr net.Addr = &net.TCPAddr{}

// Sizes of records (RFC 8446 5.1), in bytes.
const (
	headerBytes = 5
	plainMax    = 16 << 10
	recordMax   = headerBytes + plainMax + 2048 // TLS 1.2; less since
)

// recordIn returns the length of the record that raw begins with, or 0 if more of it is to
// come. What is no record is not waited for: crypto/tls says what is wrong.
func recordIn(raw []byte) int {
	switch {
	case len(raw) < headerBytes:
		return 0
	case !isRecord(raw):
		return len(raw)
	case len(raw) < lengthIn(raw):
		return 0
	}
	return lengthIn(raw)
}

// lengthIn returns the length of a record, by its header.
func lengthIn(raw []byte) int { return headerBytes + int(raw[3])<<8 + int(raw[4]) }

// isRecord reports whether raw begins with a header that a record may have.
func isRecord(raw []byte) bool {
	return raw[0] >= 20 && raw[0] <= 23 && raw[1] == 3 && lengthIn(raw) <= recordMax
}

// errGarbage ends a conn on which something else than records comes.
var errGarbage = errors.New("tlsconn: no record")

// errFlood ends a conn whose peer asks for answers that it does not read.
var errFlood = errors.New("tlsconn: the peer asks for more than it reads")
