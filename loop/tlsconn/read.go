package tlsconn

import (
	"io"

	"lb/arena"
)

// sharedBytes is the size of the buffer in which the conns of a loop read, in bytes.
const sharedBytes = 72 << 10

// recordsMax is how many records a Read opens once it has something to return: a KeyUpdate
// costs some 25 µs, and may come with each byte.
const recordsMax = 64

// fillsMax is how often one Read asks the socket. A peer can send records by the thousand
// that bring nothing, such as a byte each of one long message: other conns come in between.
const fillsMax = 4

// Read implements loop.Transport. It asks the socket only if no record is there, and not
// again once it has something to return.
func (t *Conn) Read(b []byte) (n int, err error) {
	if t.plain != nil {
		if n = t.readPlain(b); n == len(b) {
			return n, nil
		}
	}
	raw, fills := t.waiting(), 0
	for opened := 0; n < len(b) && t.ended == nil; opened++ {
		if n > 0 && opened >= recordsMax {
			break
		}
		if k := recordIn(raw); k > 0 {
			var m int
			m, raw = t.open(raw, k, b[n:])
			n += m
			continue
		}
		if t.cut != nil {
			t.ended = t.cut
			break
		}
		if n > 0 || fills > 0 && !t.c.RawReadable() {
			break
		}
		if fills == fillsMax {
			t.c.Again()
			break
		}
		raw = t.fill(raw, len(b))
		fills++
	}
	if t.ended != nil {
		raw = nil
	}
	t.keep(raw)
	if n == 0 {
		err = t.ended
	}
	return n, err
}

// Pending implements loop.Transport.
func (t *Conn) Pending() bool { return t.plain != nil || t.whole || t.cut != nil || t.ended != nil }

// Partial implements loop.Transport.
func (t *Conn) Partial() bool { return t.in != nil && !t.whole }

// readPlain reads what was decrypted before.
func (t *Conn) readPlain(b []byte) int {
	n := copy(b, t.plain.Bytes())
	if t.plain.Take(n); t.plain.Len() == 0 {
		t.s.arena.Put(t.plain)
		t.plain = nil
	}
	return n
}

// waiting returns the bytes of the socket that wait.
func (t *Conn) waiting() []byte {
	if t.in == nil {
		return nil
	}
	return t.in.Bytes()
}

// fill reads from the socket, after raw, into the shared buffer: a record at least, and
// about as much as room.
func (t *Conn) fill(raw []byte, room int) []byte {
	s := t.s
	had := copy(s.shared, raw)
	n, err := t.c.ReadRaw(s.shared[had:min(max(recordMax, room)+512, len(s.shared))])
	if err != nil {
		t.cut = err
		if err == io.EOF {
			t.cut = io.ErrUnexpectedEOF // there was no close_notify
		}
	}
	return s.shared[:had+n]
}

// keep has raw, which are the last of the bytes read, wait in memory that fits them.
func (t *Conn) keep(raw []byte) {
	t.whole = recordIn(raw) > 0
	had := t.in
	if had != nil && len(raw) == had.Len() && len(raw) > 0 && &raw[0] == &had.B[had.R] {
		return
	}
	t.in = nil
	if len(raw) > 0 {
		t.in = t.s.arena.Keep(raw)
	}
	t.s.arena.Put(had)
}

// open decrypts the first record of raw, of k bytes, into b, and returns the rest of raw.
// What b has no room for waits. crypto/tls gets no other record in the call: after one
// without content, such as a ticket, it would go on to the next, which b may not hold.
func (t *Conn) open(raw []byte, k int, b []byte) (n int, rest []byte) {
	s := t.s
	dst := b
	if len(b) < k-headerBytes {
		dst = s.spare[:]
	}
	if lend(t.tls, raw[:k]) {
		t.raw = nil
	} else {
		t.raw = raw[:k]
	}
	n, err := t.tls.Read(dst)
	t.raw = nil
	strip(t.tls)
	switch {
	case err != nil && err != errLater:
		t.ended = err // io.EOF is a close_notify
	case err != nil && !isRecord(raw):
		t.ended = errGarbage
	}
	if len(b) < k-headerBytes {
		all := dst[:n]
		if n = copy(b, all); n < len(all) {
			t.plain = s.arena.Keep(all[n:])
		}
	}
	return n, raw[k:]
}

// put gives *s back.
func (t *Conn) put(s **arena.Slab) {
	t.s.arena.Put(*s)
	*s = nil
}
