package tlsconn

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// Where a tls.Conn keeps its buffers for input: raw records, and parts of handshake
// messages. A tls.Conn never gives them back; they would make most of what an idle conn
// costs. Each offset is 0 if this version of Go has no such buffer: then records are
// copied in, and an idle conn costs more.
var rawInputAt, handAt = offsetOf("rawInput"), offsetOf("hand")

// offsetOf returns the offset of a bytes.Buffer in tls.Conn, or 0.
func offsetOf(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return 0
	}
	return f.Offset
}

// buffer returns the buffer of c at an offset that is not 0.
func buffer(c *tls.Conn, at uintptr) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), at))
}

// lend makes record what c reads next. It reports whether it could.
func lend(c *tls.Conn, record []byte) bool {
	if rawInputAt == 0 {
		return false
	}
	*buffer(c, rawInputAt) = *bytes.NewBuffer(record[:len(record):len(record)])
	return true
}

// strip takes the buffers of c that hold nothing, and those that were lent.
func strip(c *tls.Conn) {
	if rawInputAt != 0 {
		*buffer(c, rawInputAt) = bytes.Buffer{}
	}
	if handAt == 0 {
		return
	}
	if b := buffer(c, handAt); b.Len() == 0 && b.Cap() > 0 {
		*b = bytes.Buffer{}
	}
}
