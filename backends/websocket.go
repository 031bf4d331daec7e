package backends

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"
)

// WebSocket operation codes (RFC 6455 5.2).
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xA
)

// WebSocket close codes (RFC 6455 7.4.1).
const (
	closeProtocol = 1002
	closeNotUTF8  = 1007
	closeTooBig   = 1009
)

const (
	controlBytesMax = 125      // payload of a control frame (RFC 6455 5.5)
	messageBytesMax = 64 << 20 // payload of a message, over all its frames
	frameRoom       = 10 + 2   // bytes of the longest head we write, or of a close frame with a code
	finBit, maskBit = 0x80, 0x80
	wsGUID          = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// appendAccept appends the Sec-WebSocket-Accept value for key (RFC 6455 4.2.2).
func appendAccept(dst, key []byte) []byte {
	var text [24 + len(wsGUID)]byte
	n := copy(text[:], key)
	n += copy(text[n:], wsGUID)
	sum := sha1.Sum(text[:n])
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// validKey reports whether key is the base64 form of 16 bytes (RFC 6455 4.1).
func validKey(key []byte) bool {
	var nonce [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(nonce[:], key)
	return err == nil && n == 16
}

// wsEcho turns the frames of a client into those of the answer: the same messages in
// the same frames, unmasked; a pong for a ping; a close for a close. It passes
// payload on as it arrives and holds no message. The zero value is ready.
type wsEcho struct {
	frame   wsFrame // the current frame
	left    int64   // bytes of its payload still to come
	message int64   // bytes of the message so far, with the current frame
	open    bool    // a message has begun and its last frame has not arrived
	done    bool    // a close frame was written; nothing follows in either direction
}

// wsFrame is the head of a frame from a client.
type wsFrame struct {
	first     byte // FIN, RSV and operation code as received
	headBytes int
	length    int64 // bytes of payload
	mask      [4]byte
}

func (f *wsFrame) op() byte      { return f.first & 0x0F }
func (f *wsFrame) fin() bool     { return f.first&finBit != 0 }
func (f *wsFrame) control() bool { return f.op() >= opClose }

// feed appends the answer to b to dst, within its capacity, and returns the number n
// of bytes of b that it has consumed. It stops when it is done, or needs more of b
// or more room. It makes progress if b holds a head (with the payload, for a close
// frame) and dst has frameRoom plus controlBytesMax bytes of room.
func (e *wsEcho) feed(dst, b []byte) (out []byte, n int) {
	for !e.done {
		if e.left > 0 {
			var used int
			dst, used = e.payload(dst, b[n:])
			n += used
			if e.left > 0 {
				return dst, n
			}
			continue
		}
		if cap(dst)-len(dst) < frameRoom+controlBytesMax {
			return dst, n
		}
		f, ok := parseFrame(b[n:])
		if !ok {
			return dst, n
		}
		if code := e.fault(&f); code != 0 {
			return e.fail(dst, code), n
		}
		if f.op() == opClose {
			if int64(len(b)-n-f.headBytes) < f.length {
				return dst, n
			}
			n += f.headBytes
			return e.shut(dst, b[n:n+int(f.length)], f.mask), n + int(f.length)
		}
		dst = e.begin(dst, f)
		n += f.headBytes
	}
	return dst, n
}

// parseFrame parses the head of a frame (RFC 6455 5.2) at the start of b. ok is false
// if b is too short. The head may still have a fault.
func parseFrame(b []byte) (f wsFrame, ok bool) {
	if len(b) < 2 {
		return f, false
	}
	f.first, f.length, f.headBytes = b[0], int64(b[1]&^maskBit), 2
	switch f.length {
	case 126:
		f.headBytes = 4
	case 127:
		f.headBytes = 10
	}
	masked := b[1]&maskBit != 0
	at := f.headBytes
	if masked {
		f.headBytes += 4
	}
	if len(b) < f.headBytes {
		return f, false
	}
	switch at {
	case 4:
		f.length = lengthOf(int64(binary.BigEndian.Uint16(b[2:])), 126)
	case 10:
		f.length = lengthOf(int64(binary.BigEndian.Uint64(b[2:])), 1<<16)
	}
	if !masked {
		f.length = -1
		return f, true
	}
	copy(f.mask[:], b[at:])
	return f, true
}

// lengthOf returns n, or -1 if n is negative or fits in a shorter form: "the minimal
// number of bytes MUST be used" (RFC 6455 5.2).
func lengthOf(n, least int64) int64 {
	if n < least {
		return -1
	}
	return n
}

// fault returns the close code for the fault of f at this place, or 0 if it has none.
func (e *wsEcho) fault(f *wsFrame) int {
	switch {
	case f.length < 0, // unmasked or not minimal (RFC 6455 5.1, 5.2)
		f.first&0x70 != 0, // a reserved bit, and no extension was agreed on
		f.op() > opBinary && f.op() < opClose, f.op() > opPong,
		f.control() && (!f.fin() || f.length > controlBytesMax),
		f.op() == opContinue && !e.open,
		(f.op() == opText || f.op() == opBinary) && e.open:
		return closeProtocol
	case !f.control() && f.length > messageBytesMax-e.message:
		return closeTooBig
	}
	return 0
}

// begin starts the frame f, which has no fault, and appends the head of the frame
// that answers it, if there is one.
func (e *wsEcho) begin(dst []byte, f wsFrame) []byte {
	e.frame, e.left = f, f.length
	switch f.op() {
	case opPong:
		return dst
	case opPing:
		return appendFrameHead(dst, finBit|opPong, f.length)
	}
	e.open = !f.fin()
	e.message += f.length
	if f.fin() {
		e.message = 0
	}
	return appendFrameHead(dst, f.first, f.length)
}

// payload copies payload of the current frame from b to dst, as far as dst has room.
func (e *wsEcho) payload(dst, b []byte) (out []byte, used int) {
	if int64(len(b)) > e.left {
		b = b[:e.left]
	}
	if e.frame.op() != opPong {
		b = b[:min(len(b), cap(dst)-len(dst))]
		dst = appendUnmasked(dst, b, e.frame.mask)
	}
	e.left -= int64(len(b))
	turnMask(&e.frame.mask, len(b))
	return dst, len(b)
}

// shut answers a close frame, with the same code if that may be sent back (RFC 6455
// 5.5.1, 7.4).
func (e *wsEcho) shut(dst, masked []byte, mask [4]byte) []byte {
	var space [controlBytesMax + 1]byte
	p := appendUnmasked(space[:0], masked, mask)
	switch {
	case len(p) == 0:
		e.done = true
		return append(dst, finBit|opClose, 0)
	case len(p) == 1 || !validCloseCode(binary.BigEndian.Uint16(p)):
		return e.fail(dst, closeProtocol)
	case !utf8.Valid(p[2:]):
		return e.fail(dst, closeNotUTF8)
	}
	return e.fail(dst, int(binary.BigEndian.Uint16(p)))
}

// fail ends the answer with a close frame that carries code.
func (e *wsEcho) fail(dst []byte, code int) []byte {
	e.done = true
	return append(dst, finBit|opClose, 2, byte(code>>8), byte(code))
}

// validCloseCode reports whether a peer may send code (RFC 6455 7.4; 1012 to 1014
// are from the registry).
func validCloseCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// appendFrameHead appends an unmasked head with the first byte and the length.
func appendFrameHead(dst []byte, first byte, length int64) []byte {
	switch {
	case length < 126:
		return append(dst, first, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
}

// appendUnmasked appends b, unmasked by mask (RFC 6455 5.3), eight bytes at a time.
func appendUnmasked(dst, b []byte, mask [4]byte) []byte {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	for ; len(b) >= 8; b = b[8:] {
		dst = binary.LittleEndian.AppendUint64(dst, binary.LittleEndian.Uint64(b)^word)
	}
	for i, c := range b {
		dst = append(dst, c^mask[i&3])
	}
	return dst
}

// turnMask turns mask so that it fits the payload n bytes later.
func turnMask(mask *[4]byte, n int) {
	m := *mask
	for i := range mask {
		mask[i] = m[(i+n)&3]
	}
}
