package tlsconn

import "time"

// Sizes of records that are written, in bytes of their content. A small one fits in few
// packets; after growAfter bytes the peer has the windows for full ones.
const (
	smallRecord = 4 << 10
	growAfter   = 32 << 10
	idleAfter   = time.Second
	owedMax     = 64 << 10 // for records that the peer asked for
	sendBytes   = plainMax // of records that are sent together; it is what may be owed, too
)

// Writev implements loop.Transport. See the package on what n means. With an error n is 0,
// as over a plain conn: whether a request may be sent again depends on that.
func (t *Conn) Writev(x, y, z []byte) (n int, err error) {
	if all, err := t.Flush(); !all || err != nil {
		return 0, err
	}
	now := t.s.loop.Now()
	if now.Sub(t.wrote) > idleAfter {
		t.grown = 0
	}
	t.wrote = now
	parts := [3][]byte{x, y, z}
	n = skip(&parts, t.ahead) // they are out
	t.ahead = 0
	for t.out == nil {
		k, err := t.encrypt(&parts)
		switch {
		case err != nil && n > 0:
			return n, nil // these are out: the next write fails
		case err != nil || k == 0:
			return n, err
		}
		n += k
	}
	t.ahead = 1
	return n - 1, nil
}

// encrypt sends some of parts: a full record, or several small ones together. It returns
// how many bytes that were.
func (t *Conn) encrypt(parts *[3][]byte) (n int, err error) {
	s := t.s
	s.batch = s.batch[:0]
	for n < sendBytes {
		size := smallRecord
		if t.grown >= growAfter {
			size = plainMax
		}
		record := s.gather(parts, min(size, sendBytes-n))
		if len(record) == 0 {
			break
		}
		n += len(record)
		t.grown = min(t.grown+len(record), growAfter)
		t.batching = len(s.batch) > 0 || n < sendBytes && len(parts[0])+len(parts[1])+len(parts[2]) > 0
		_, err = t.tls.Write(record)
		t.batching = false
		if err != nil {
			return n, err
		}
	}
	if len(s.batch) > 0 {
		t.send(s.batch)
	}
	return n, t.broken
}

// skip takes the first n bytes from parts, and returns n.
func skip(parts *[3][]byte, n int) int {
	for i, left := 0, n; left > 0 && i < len(parts); i++ {
		k := min(left, len(parts[i]))
		parts[i] = parts[i][k:]
		left -= k
	}
	return n
}

// gather takes up to size bytes from parts. They are copied only if they come from
// several.
func (s *Shaker) gather(parts *[3][]byte, size int) []byte {
	n := 0
	for i, p := range parts {
		if n == 0 && len(p) >= size || n == 0 && i == len(parts)-1 {
			parts[i] = p[min(size, len(p)):]
			return p[:min(size, len(p))]
		}
		k := copy(s.spare[n:size], p)
		parts[i] = p[k:]
		n += k
	}
	return s.spare[:n]
}

// send writes a record, or has it wait.
func (t *Conn) send(b []byte) {
	if t.broken != nil {
		return
	}
	n := 0
	if t.out == nil {
		if n, t.broken = t.c.WriteRaw(b); n == len(b) || t.broken != nil {
			return
		}
		t.out = t.s.arena.Keep(b[n:])
		return
	}
	if t.out.Len()+len(b) > owedMax {
		t.ended = errFlood
		return
	}
	held := append(append(make([]byte, 0, t.out.Len()+len(b)), t.out.Bytes()...), b...)
	t.put(&t.out)
	t.out = t.s.arena.Keep(held)
}

// Owes implements loop.Transport.
func (t *Conn) Owes() bool { return t.out != nil }

// Flush implements loop.Transport.
func (t *Conn) Flush() (all bool, err error) {
	if t.out == nil {
		return t.broken == nil, t.broken
	}
	n, err := t.c.WriteRaw(t.out.Bytes())
	t.out.Take(n)
	if err != nil || t.out.Len() == 0 {
		t.broken = err
		t.put(&t.out)
	}
	return t.out == nil && err == nil, err
}

// CloseWrite implements loop.Transport: it sends close_notify.
func (t *Conn) CloseWrite() error {
	if t.hand != nil {
		return nil
	}
	if err := t.tls.CloseWrite(); err != nil {
		return err
	}
	return t.broken
}
