package looptest

import (
	"io"

	"lb/loop"
)

// Frames of a layer: a kind, the length of the content in two bytes, the content with
// layerKey over each byte. The kinds are no byte of a text, so that bytes which pass by
// the layer are seen.
const (
	frameData  byte = 0x81 // bytes
	frameNoise byte = 0x82 // nothing for the reader, such as a new key
	frameEnd   byte = 0x83 // no more bytes will come

	frameHead = 3
	frameMax  = 16 << 10
	layerKey  = 0x5A
	heldMax   = 8 // how many of the last bytes Writev may hold back
)

// Layer is a loop.Transport without cryptography, and as awkward as one with it. What is
// written goes out in frames of any size, and of what the socket has not taken the last
// bytes do not count as written. A frame can be read only when all of it has come, and then
// in pieces if Faults.CutReads says so. The other end is a Peer with Layered.
type Layer struct {
	k      *Kernel
	c      *loop.Conn
	raw    []byte // from the socket: at most a frame that is not whole
	plain  []byte // of frames, not read yet
	cut    error  // how the bytes of the socket have ended
	closed bool   // a frameEnd has come
	out    []byte // frames that the socket has not taken
	held   []byte // the last bytes in out, not reported as written
	broken error
	shut   bool
}

var _ loop.Transport = (*Layer)(nil)

// Layer puts a layer between c and its socket.
func (k *Kernel) Layer(c *loop.Conn) *Layer {
	y := &Layer{k: k, c: c}
	c.SetTransport(y)
	return y
}

// Read implements loop.Transport.
func (y *Layer) Read(b []byte) (n int, err error) {
	for asked := false; len(y.plain) == 0 && y.cut == nil && !y.closed && (!asked || y.c.RawReadable()); asked = true {
		y.fill()
	}
	switch n = copy(b, y.plain); {
	case n > 1 && y.k.chance(y.k.Faults.CutReads):
		n = y.k.cut(n)
	case n > 0:
	case y.closed:
		return 0, io.EOF
	case y.cut != nil:
		return 0, y.cut
	}
	y.plain = y.plain[n:]
	return n, nil
}

// fill reads once from the socket, and opens the frames that are whole.
func (y *Layer) fill() {
	b := make([]byte, 4*frameMax)
	if y.k.chance(y.k.Faults.CutReads) {
		b = b[:1+y.k.rng.IntN(2*frameMax)]
	}
	n, err := y.c.ReadRaw(b)
	if y.cut = err; err == io.EOF {
		y.cut = io.ErrUnexpectedEOF // unless a frameEnd came before
	}
	y.raw = append(y.raw, b[:n]...)
	y.plain, y.raw, y.closed = open(y.plain, y.raw, y.k)
}

// open appends the contents of the whole frames at the start of raw to plain. ended
// reports whether the last of them was a frameEnd.
func open(plain, raw []byte, k *Kernel) (more, rest []byte, ended bool) {
	for len(raw) >= frameHead && !ended {
		n := frameHead + int(raw[1])<<8 + int(raw[2])
		if n > len(raw) {
			break
		}
		switch raw[0] {
		case frameData:
			for _, c := range raw[frameHead:n] {
				plain = append(plain, c^layerKey)
			}
		case frameEnd:
			ended = true
		case frameNoise:
		default:
			k.misuse("bytes beside the layer: %q", raw)
			return plain, nil, true
		}
		raw = raw[n:]
	}
	return plain, raw, ended
}

// seal appends frames with b to raw, of sizes drawn from the seed.
func seal(raw, b []byte, k *Kernel) []byte {
	for len(b) > 0 {
		n := min(len(b), frameMax)
		if n > 1 && k.chance(0.5) {
			n = k.cut(n)
		}
		raw = append(raw, frameData, byte(n>>8), byte(n))
		for _, c := range b[:n] {
			raw = append(raw, c^layerKey)
		}
		b = b[n:]
	}
	return raw
}

// Pending implements loop.Transport.
func (y *Layer) Pending() bool { return len(y.plain) > 0 || y.closed || y.cut != nil }

// Partial implements loop.Transport.
func (y *Layer) Partial() bool { return len(y.raw) > 0 }

// Writev implements loop.Transport.
func (y *Layer) Writev(x, z, w []byte) (n int, err error) {
	if all, err := y.Flush(); !all || err != nil {
		return 0, err
	}
	b := append(append(append([]byte(nil), x...), z...), w...)
	if len(b) < len(y.held) || string(b[:len(y.held)]) != string(y.held) {
		y.k.misuse("write of %q after %q was taken", b[:min(len(b), heldMax)], y.held)
	}
	n = len(y.held)
	y.held = nil
	for n < len(b) && len(y.out) == 0 {
		part := b[n:min(len(b), n+4*frameMax)]
		if y.k.chance(y.k.Faults.CutWrites) {
			part = part[:1+y.k.rng.IntN(len(part))]
		}
		y.out = seal(y.out, part, y.k)
		n += len(part)
		if all, err := y.Flush(); err != nil {
			return n, err
		} else if !all {
			n -= y.hold(part)
		}
	}
	return n, nil
}

// hold keeps the last bytes of part for the next Writev, and returns how many.
func (y *Layer) hold(part []byte) int {
	n := 1 + y.k.rng.IntN(min(len(part), heldMax))
	y.held = append([]byte(nil), part[len(part)-n:]...)
	return n
}

// Owes implements loop.Transport.
func (y *Layer) Owes() bool { return len(y.out) > 0 }

// Flush implements loop.Transport.
func (y *Layer) Flush() (all bool, err error) {
	if y.broken != nil {
		return false, y.broken
	}
	for len(y.out) > 0 {
		n, err := y.c.WriteRaw(y.out)
		if err != nil {
			y.out, y.broken = nil, err
			return false, err
		}
		if y.out = y.out[n:]; n == 0 {
			return false, nil
		}
	}
	return true, nil
}

// CloseWrite implements loop.Transport.
func (y *Layer) CloseWrite() error {
	if !y.shut {
		y.shut = true
		y.out = append(y.out, frameEnd, 0, 0)
	}
	return y.broken
}

// Moved implements loop.Transport.
func (y *Layer) Moved(to *loop.Conn) { y.c = to }

// Closed implements loop.Transport.
func (y *Layer) Closed() { y.out, y.plain, y.raw = nil, nil, nil }
