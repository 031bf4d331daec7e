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
	return appendLines(dst, lines, connField|hostField)
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
	drop := uint8(connField)
	if code == 101 {
		code = 200
		drop |= acceptField
	}
	return appendLines(hpack.AppendStatus(dst, code), lines, drop)
}

// AppendTrailers appends the block of trailers: lines are field lines, which may be
// followed by the empty line.
func AppendTrailers(dst, lines []byte) []byte { return appendLines(dst, lines, connField) }

var space = []byte(" ")

// cutLine returns the first line of text without CRLF, and what follows it.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexByte(text, '\n')
	if i < 1 {
		return nil, nil
	}
	return text[:i-1], text[i+1:]
}

// cutField returns the name and the value of the first field line, and the length of the line.
// At the empty line and at the end the length is 0.
func cutField(lines []byte) (name, value []byte, n int) {
	end := bytes.IndexByte(lines, '\n')
	if end < 1 {
		return nil, nil, 0
	}
	colon := bytes.IndexByte(lines[:end], ':')
	if colon < 0 {
		return nil, nil, 0
	}
	from, to := colon+1, end-1
	for from < to && isBlank(lines[from]) {
		from++
	}
	for from < to && isBlank(lines[to-1]) {
		to--
	}
	return lines[:colon], lines[from:to], end + 1
}

func findHost(lines []byte) []byte {
	for {
		name, value, n := cutField(lines)
		if n == 0 || hpack.IDOfAny(name) == hpack.Host {
			return value
		}
		lines = lines[n:]
	}
}

// What is left out of blocks, in bits of connFields. A block has no field of an HTTP/1 conn
// (RFC 9113 8.2.2), a request none that :authority stands for, and the answer to an extended
// CONNECT none of the handshake of HTTP/1.1.
const (
	connField = 1 << iota
	hostField
	acceptField
	teField
)

// kinds has these bits of the names that have an ID.
var kinds = [hpack.IDs]uint8{hpack.Connection: connField, hpack.KeepAlive: connField, hpack.ProxyConnection: connField,
	hpack.Upgrade: connField, hpack.TransferEncoding: connField, hpack.Host: hostField, hpack.TE: teField}

// appendLines appends the fields of lines, except those in drop, and te unless it asks
// for trailers.
func appendLines(out, lines []byte, drop uint8) []byte {
	for {
		name, value, n := cutField(lines)
		if n == 0 {
			return out
		}
		lines = lines[n:]
		id := hpack.IDOfAny(name)
		kind := kinds[id]
		if id == hpack.Other {
			kind = kindOf(name)
		}
		switch {
		case kind&drop != 0:
		case kind == teField && !hasTrailers(value):
		case kind == teField:
			out = hpack.AppendKnown(out, hpack.TE, trailersOK)
		case id == hpack.Other:
			out = hpack.AppendOther(out, name, value)
		default:
			out = hpack.AppendKnown(out, id, value)
		}
	}
}

// kindOf returns the bits of a name, in any case, that has no ID.
func kindOf(name []byte) uint8 {
	switch len(name) {
	case len(http2Settings):
		if sameFold(name, http2Settings) {
			return connField
		}
	case len(webSocketAccept):
		if sameFold(name, webSocketAccept) {
			return acceptField
		}
	}
	return 0
}

const (
	http2Settings   = "http2-settings"
	webSocketAccept = "sec-websocket-accept"
)

// sameFold reports whether name, which has no control bytes, is the same as is, which is
// in lower case and as long, in any case.
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
