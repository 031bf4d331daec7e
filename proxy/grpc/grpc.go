// Package grpc is what lb has to know of gRPC: which requests are its calls, how long the
// client waits for one, and how a reply of lb's own looks to such a client. It knows neither
// HTTP/2, nor the messages in a body.
//
// The rules are those of PROTOCOL-HTTP2.md, and the codes those of
// http-grpc-status-mapping.md and statuscodes.md, all in the documents of gRPC.
package grpc

import (
	"bytes"
	"math"
	"strconv"
	"time"
)

// contentType begins the media type of every call. What follows is the coding of its
// messages: "+proto", "+json" or any other. grpc-web is a protocol of its own, in whose
// body the status stands.
const contentType = "application/grpc"

// TimeoutField is the name of the field in which a client says how long it waits.
const TimeoutField = "grpc-timeout"

// Is reports whether a Content-Type of that value is that of a call. Case does not matter
// (RFC 9110 8.3.1).
func Is(value []byte) bool {
	n := len(contentType)
	if len(value) < n || value[n-1]|0x20 != 'c' || !bytes.EqualFold(value[:n], []byte(contentType)) {
		return false
	}
	if len(value) == n {
		return true
	}
	switch value[n] {
	case '+', ';', ' ', '\t':
		return true
	}
	return false
}

// InHead reports whether head, which a parser has refused so that there are no fields, is
// that of a call as far as its lines show. It looks no further than an empty line.
func InHead(head []byte) bool {
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			return false
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		if bytes.EqualFold(name, []byte("content-type")) {
			return Is(bytes.TrimLeft(value, " \t"))
		}
	}
	return false
}

// Timeout returns how long the client waits, by the value of its TimeoutField: up to 8
// digits and a unit. What is longer than a time.Duration is the longest one. ok is false if
// the value is none, which the backend may refuse.
func Timeout(value []byte) (d time.Duration, ok bool) {
	last := len(value) - 1
	if last < 1 || last > 8 {
		return 0, false
	}
	var n int64
	for _, c := range value[:last] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	u := unit(value[last])
	if u > 0 && n > math.MaxInt64/int64(u) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * u, u > 0
}

// unit returns what c stands for in a TimeoutField, or 0 for nothing.
func unit(c byte) time.Duration {
	switch c {
	case 'H':
		return time.Hour
	case 'M':
		return time.Minute
	case 'S':
		return time.Second
	case 'm':
		return time.Millisecond
	case 'u':
		return time.Microsecond
	case 'n':
		return time.Nanosecond
	}
	return 0
}

// Status is how a call has ended, in its grpc-status.
type Status uint8

// The statuses that lb itself gives, and OK, which it never does.
const (
	OK                Status = 0
	Unknown           Status = 2
	DeadlineExceeded  Status = 4
	PermissionDenied  Status = 7
	ResourceExhausted Status = 8
	Unimplemented     Status = 12
	Internal          Status = 13
	Unavailable       Status = 14
	Unauthenticated   Status = 16
)

// StatusOf returns the status that a client learns instead of the code of a reply of lb's
// own. For the codes that gRPC maps it is the one that the client would make of the code
// itself; lb knows more of the others: a limit, or a wait for the client, is not Unknown.
func StatusOf(code int) Status {
	switch code {
	case 400, 500:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404, 501:
		return Unimplemented
	case 413, 414, 431:
		return ResourceExhausted
	case 408, 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// AppendStatus appends the field lines that say s, and text, without the end of its line, as
// the message, which is percent-encoded UTF-8.
func AppendStatus(d []byte, s Status, text []byte) []byte {
	d = append(d, "grpc-status: "...)
	d = strconv.AppendUint(d, uint64(s), 10)
	d = append(d, "\r\ngrpc-message: "...)
	return append(appendEncoded(d, bytes.TrimSuffix(text, []byte{'\n'})), '\r', '\n')
}

// appendEncoded appends text with a percent and two digits in the place of every byte but
// spaces and the visible ones of ASCII, and of each percent.
func appendEncoded(d, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range text {
		if c < ' ' || c > '~' || c == '%' {
			d = append(d, '%', digits[c>>4], digits[c&15])
		} else {
			d = append(d, c)
		}
	}
	return d
}
