package heads

import (
	"bytes"

	"lb/httpparse/h2/hpack"
)

// AppendRequest appends the block of a request, whose whole head is HTTP/1.1 text with a
// target that begins with a slash or is "*". Host becomes :authority; fields that belong
// to an HTTP/1 conn are left out; names become lower case. The scheme is "http" or "https".
func AppendRequest(dst, text []byte, scheme string) []byte {
	line, lines := cutLine(text)
	m, rest, _ := bytes.Cut(line, space)
	target, _, _ := bytes.Cut(rest, space)
	dst = hpack.AppendKnown(dst, hpack.Method, m)
	dst = hpack.AppendIndexed(dst, hpack.Scheme+hpack.ID(len(scheme)-len("http")))
	dst = hpack.AppendKnown(dst, hpack.Path, target)
	if host := findHost(lines); len(host) > 0 {
		dst = hpack.AppendKnown(dst, hpack.Authority, host)
	}
	return appendLines(dst, lines, 1<<connField|1<<hostField)
}

// AppendResponse appends the block of an answer or an interim answer, whose whole head is
// HTTP/1.1 text. Fields that belong to an HTTP/1 conn are left out. A 101 becomes the 200
// that answers an extended CONNECT (RFC 8441 5).
func AppendResponse(dst, text []byte) []byte {
	line, lines := cutLine(text)
	code := 0
	for _, c := range line[len("HTTP/1.1 "):len("HTTP/1.1 200")] {
		code = code*10 + int(c-'0')
	}
	drop := uint8(1 << connField)
	if code == 101 {
		code = 200
		drop |= 1 << acceptField
	}
	return appendLines(hpack.AppendStatus(dst, code), lines, drop)
}

// AppendTrailers appends the block of trailers: lines are field lines, which may be
// followed by the empty line.
func AppendTrailers(dst, lines []byte) []byte { return appendLines(dst, lines, 1<<connField) }

var space = []byte(" ")

// cutLine returns the first line of text without CRLF, and what follows it.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexByte(text, '\n')
	if i < 1 {
		return nil, nil
	}
	return text[:i-1], text[i+1:]
}

// cutField returns the name and the value of the first field line, and what follows it.
// At the empty line and at the end the name is empty.
func cutField(lines []byte) (name, value, rest []byte) {
	for i, c := range lines {
		if c == '\r' {
			break
		}
		if c == ':' {
			name = lines[:i]
			value, rest = cutLine(lines[i+1:])
			break
		}
	}
	for len(value) > 0 && isBlank(value[0]) {
		value = value[1:]
	}
	for len(value) > 0 && isBlank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return name, value, rest
}

func findHost(lines []byte) []byte {
	for {
		name, value, rest := cutField(lines)
		if len(name) == 0 || fieldOf(name) == hostField {
			return value
		}
		lines = rest
	}
}

// appendLines appends the fields of lines, except those in drop, and te unless it asks
// for trailers (RFC 9113 8.2.2).
func appendLines(out, lines []byte, drop uint8) []byte {
	for {
		name, value, rest := cutField(lines)
		if len(name) == 0 {
			return out
		}
		lines = rest
		f := fieldOf(name)
		switch {
		case f != plainField && drop&(1<<f) != 0:
		case f == teField && !hasTrailers(value):
		case f == teField:
			out = hpack.AppendKnown(out, hpack.TE, trailersOK)
		default:
			out = hpack.AppendField(out, name, value)
		}
	}
}

// The fields that do not pass as they are.
const (
	plainField = iota
	connField
	hostField
	teField
	acceptField
)

// fieldOf returns which of these fields the name, in any case, is.
func fieldOf(name []byte) int {
	is, f := "", connField
	switch len(name) {
	case len("te"):
		is, f = "te", teField
	case len("host"):
		is, f = "host", hostField
	case len("upgrade"):
		is = "upgrade"
	case len("connection"):
		if is = "connection"; name[0]|0x20 == 'k' {
			is = "keep-alive"
		}
	case len("http2-settings"):
		is = "http2-settings"
	case len("proxy-connection"):
		is = "proxy-connection"
	case len("transfer-encoding"):
		is = "transfer-encoding"
	case len("sec-websocket-accept"):
		is, f = "sec-websocket-accept", acceptField
	}
	if is == "" || !sameFold(name, is) {
		return plainField
	}
	return f
}

// sameFold reports whether name, which has no control bytes, is the same as is, which is
// in lower case, in any case.
func sameFold(name []byte, is string) bool {
	for i, c := range name {
		if c|0x20 != is[i] {
			return false
		}
	}
	return true
}

// hasTrailers reports whether a value of TE has the element "trailers".
func hasTrailers(v []byte) bool {
	for e := range bytes.SplitSeq(v, comma) {
		if bytes.EqualFold(bytes.TrimSpace(e), trailersOK) {
			return true
		}
	}
	return false
}

var comma = []byte(",")
