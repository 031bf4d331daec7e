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
	dst = hpack.AppendKnown(dst, hpack.Method, m)
	dst = hpack.AppendIndexed(dst, hpack.Scheme+hpack.ID(len(scheme)-len("http")))
	if target, _, plain := bytes.Cut(rest, space); plain {
		dst = hpack.AppendKnown(dst, hpack.Path, target)
	} else {
		target, _, _ = bytes.Cut(rest, mark)
		dst = hpack.AppendNever(dst, pathName, target)
	}
	host, never, lines := findHost(lines)
	switch {
	case never:
		dst = hpack.AppendNever(dst, authorityName, host)
	case len(host) > 0:
		dst = hpack.AppendKnown(dst, hpack.Authority, host)
	}
	return appendLines(dst, lines, notInRequest)
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
	but := &connFields
	if code == 101 {
		code, but = 200, notInTunnel
	}
	return appendLines(hpack.AppendStatus(dst, code), lines, but)
}

// AppendTrailers appends the block of trailers: lines are field lines, which may be
// followed by the empty line.
func AppendTrailers(dst, lines []byte) []byte { return appendLines(dst, lines, &connFields) }

var (
	space         = []byte(" ")
	mark          = []byte("\t")
	pathName      = []byte(":path")
	authorityName = []byte(":authority")
)

// cutLine returns the first line of text without CRLF, and what follows it.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexByte(text, '\n')
	if i < 1 {
		return nil, nil
	}
	return text[:i-1], text[i+1:]
}

// findHost returns the value of Host, which in a head of lb's own is the first field, and
// the lines without that, if so. never reports whether it is marked.
func findHost(lines []byte) (host []byte, never bool, rest []byte) {
	for rest = lines; ; {
		name, value, n := hpack.CutLine(rest)
		switch {
		case n == 0:
			return nil, false, lines
		case hpack.IDOfAny(name) == hpack.Host:
			never = hpack.IsMarked(rest, name)
			if len(rest) == len(lines) {
				lines = rest[n:]
			}
			return value, never, lines
		}
		rest = rest[n:]
	}
}

// What is left out of blocks, and te, of which nothing but "trailers" is not. A block has no
// field of an HTTP/1 conn (RFC 9113 8.2.2), a request none that :authority stands for, and the
// answer to an extended CONNECT none of the handshake of HTTP/1.1.
var (
	connFields = [hpack.IDs]bool{hpack.Connection: true, hpack.KeepAlive: true, hpack.ProxyConnection: true,
		hpack.Upgrade: true, hpack.TransferEncoding: true, hpack.HTTP2Settings: true, hpack.TE: true}
	notInRequest = with(connFields, hpack.Host)
	notInTunnel  = with(connFields, hpack.WebSocketAccept)
)

func with(set [hpack.IDs]bool, id hpack.ID) *[hpack.IDs]bool {
	set[id] = true
	return &set
}

// appendLines appends the fields of lines, except those in but, and te if it asks for
// trailers.
func appendLines(out, lines []byte, but *[hpack.IDs]bool) []byte {
	for {
		if out, lines = hpack.AppendLines(out, lines, but); len(lines) == 0 {
			return out
		}
		name, value, n := hpack.CutLine(lines)
		if hpack.IDOfAny(name) == hpack.TE && hasTrailers(value) {
			out = hpack.AppendKnown(out, hpack.TE, trailersOK)
		}
		lines = lines[n:]
	}
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
