package h2

import (
	"bytes"

	"lb/httpparse/h2/hpack"
)

// HeadRoom returns how many bytes AppendRequest, AppendResponse and AppendTrailers append
// at most for n bytes of text.
func HeadRoom(n int) int { return n + n/64 + HeaderLen*(2+n/FrameMax) + 64 }

// AppendRequest appends HEADERS, and CONTINUATION where needed, for st, which Open has
// returned: text is a request's whole head as HTTP/1.1 text, whose target begins with a
// slash or is "*". Host becomes :authority; fields that belong to an HTTP/1 conn are left
// out; names become lower case. The scheme is "http" or "https". end says that there is no
// body.
func (s *Session) AppendRequest(out []byte, st *Stream, text []byte, scheme string, end bool) []byte {
	st.ID, s.newest = s.nextID, s.nextID
	s.nextID += 2
	s.unsent--
	st.send = s.peerWindow
	s.insert(st)
	line, lines := cutLine(text)
	m, rest, _ := bytes.Cut(line, space)
	target, _, _ := bytes.Cut(rest, space)
	st.bodiless = string(m) == "HEAD"

	at := len(out)
	out = s.beginBlock(out)
	switch {
	case string(m) == "GET":
		out = hpack.AppendIndexed(out, hpack.Method)
	case string(m) == "POST":
		out = hpack.AppendIndexed(out, hpack.Method+1)
	default:
		out = hpack.AppendKnown(out, hpack.Method, m)
	}
	out = hpack.AppendIndexed(out, hpack.Scheme+hpack.ID(len(scheme)-len("http")))
	if string(target) == "/" {
		out = hpack.AppendIndexed(out, hpack.Path)
	} else {
		out = hpack.AppendKnown(out, hpack.Path, target)
	}
	if host := findHost(lines); len(host) > 0 {
		out = hpack.AppendKnown(out, hpack.Authority, host)
	}
	out = appendLines(out, lines, connFields|1<<hostField)
	return s.endBlock(out, at, st, end)
}

// AppendResponse appends HEADERS, and CONTINUATION where needed, for an answer's or an
// interim answer's whole head as HTTP/1.1 text. Fields that belong to an HTTP/1 conn are
// left out. A 101 becomes the 200 that answers an extended CONNECT.
func (s *Session) AppendResponse(out []byte, st *Stream, text []byte, end bool) []byte {
	line, lines := cutLine(text)
	code := 0
	for _, c := range line[len("HTTP/1.1 "):len("HTTP/1.1 200")] {
		code = code*10 + int(c-'0')
	}
	drop := uint16(connFields)
	if code == 101 {
		code = 200
		drop |= 1 << acceptField
	}
	at := len(out)
	out = hpack.AppendStatus(s.beginBlock(out), code)
	out = appendLines(out, lines, drop)
	return s.endBlock(out, at, st, end)
}

// AppendTrailers appends HEADERS with END_STREAM for trailers: lines are field lines,
// which may be followed by the empty line.
func (s *Session) AppendTrailers(out []byte, st *Stream, lines []byte) []byte {
	at := len(out)
	out = appendLines(s.beginBlock(out), lines, connFields)
	return s.endBlock(out, at, st, true)
}

// beginBlock appends room for the header of HEADERS, and what the first block of a conn
// begins with: that our encoder uses no table, so the peer needs none.
func (s *Session) beginBlock(out []byte) []byte {
	out = append(out, make([]byte, HeaderLen)...)
	if !s.sized {
		s.sized = true
		out = hpack.AppendSizeUpdate(out, 0)
	}
	return out
}

// endBlock writes the header of the HEADERS frame that begins at out[at:], and moves what
// is too long for it into CONTINUATION frames (RFC 9113 4.3).
func (s *Session) endBlock(out []byte, at int, st *Stream, end bool) []byte {
	size := len(out) - at - HeaderLen
	more := 0
	if size > FrameMax {
		more = (size - 1) / FrameMax
		out = append(out, make([]byte, more*HeaderLen)...)
	}
	for k := more; k > 0; k-- { // the last one first: each makes room for those before it
		from := at + HeaderLen + k*FrameMax
		n := min(size-k*FrameMax, FrameMax)
		to := from + k*HeaderLen
		copy(out[to:to+n], out[from:from+n])
		h := Header{n, Continuation, 0, st.ID}
		if k == more {
			h.Flags = FlagEndHeaders
		}
		AppendHeader(out[:to-HeaderLen], h)
	}
	h := Header{min(size, FrameMax), Headers, 0, st.ID}
	if more == 0 {
		h.Flags |= FlagEndHeaders
	}
	if end {
		h.Flags |= FlagEndStream
	}
	AppendHeader(out[:at], h)
	s.budgets.earn(FloodPings, 1, s.o.Role)
	if end {
		s.endLocal(st)
	}
	return out
}

var space = []byte(" ")

// cutLine returns the first line of text without CRLF, and what follows it.
func cutLine(text []byte) (line, rest []byte) {
	i := bytes.IndexByte(text, '\n')
	if i < 0 {
		return nil, nil
	}
	return text[:max(i-1, 0)], text[i+1:]
}

// cutField returns the name and the value of the first field line, and what follows it.
// At the empty line and at the end the name is empty.
func cutField(lines []byte) (name, value, rest []byte) {
	line, rest := cutLine(lines)
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, nil, nil
	}
	for name, value = line[:i], line[i+1:]; len(value) > 0 && isBlank(value[0]); {
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
func appendLines(out, lines []byte, drop uint16) []byte {
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

	connFields = 1 << connField
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
