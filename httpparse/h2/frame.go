package h2

import "encoding/binary"

const (
	// HeaderLen is the length of a frame's header in bytes (RFC 9113 4.1).
	HeaderLen = 9
	// FrameMax is the largest payload of a frame that we take and send, in bytes. It is the
	// least that a peer may allow (RFC 9113 4.2), so the peer's MAX_FRAME_SIZE never limits us.
	FrameMax = 16384
	// Preface is what a client sends first (RFC 9113 3.4).
	Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	windowMax     = 1<<31 - 1
	windowInitial = 65535 // of conns, and of streams until SETTINGS say otherwise (6.9.2)
	idMax         = 1<<31 - 1
)

// Header is the header of a frame (RFC 9113 4.1).
type Header struct {
	Length int // of the payload, in bytes
	Type   Type
	Flags  uint8
	Stream uint32
}

// ParseHeader reads the header that b begins with; b has at least HeaderLen bytes. The
// reserved bit is ignored.
func ParseHeader(b []byte) Header {
	_ = b[HeaderLen-1]
	return Header{
		Length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		Type:   Type(b[3]),
		Flags:  b[4],
		Stream: binary.BigEndian.Uint32(b[5:]) & idMax,
	}
}

// AppendHeader appends h to dst.
func AppendHeader(dst []byte, h Header) []byte {
	dst = append(dst, byte(h.Length>>16), byte(h.Length>>8), byte(h.Length), byte(h.Type), h.Flags)
	return binary.BigEndian.AppendUint32(dst, h.Stream)
}

// AppendReset appends RST_STREAM (RFC 9113 6.4).
func AppendReset(dst []byte, stream uint32, code Code) []byte {
	dst = AppendHeader(dst, Header{4, RSTStream, 0, stream})
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendSetting appends one parameter to the payload of SETTINGS (RFC 9113 6.5.1).
func AppendSetting(dst []byte, id Setting, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(id))
	return binary.BigEndian.AppendUint32(dst, value)
}

// AppendPing appends PING, or its ACK (RFC 9113 6.7).
func AppendPing(dst []byte, ack bool, data [8]byte) []byte {
	flags := uint8(0)
	if ack {
		flags = FlagAck
	}
	return append(AppendHeader(dst, Header{8, Ping, flags, 0}), data[:]...)
}

// AppendGoAway appends GOAWAY without debug data (RFC 9113 6.8).
func AppendGoAway(dst []byte, last uint32, code Code) []byte {
	dst = AppendHeader(dst, Header{8, GoAway, 0, 0})
	dst = binary.BigEndian.AppendUint32(dst, last)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

// AppendWindowUpdate appends WINDOW_UPDATE for a stream, or for the conn, which is 0 (RFC
// 9113 6.9). n is from 1 to 2^31-1.
func AppendWindowUpdate(dst []byte, stream uint32, n int) []byte {
	dst = AppendHeader(dst, Header{4, WindowUpdate, 0, stream})
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}
