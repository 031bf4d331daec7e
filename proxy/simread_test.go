package proxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// simMessage is a message as the far ends of the simulation read it.
type simMessage struct {
	start    string              // the first line
	fields   map[string][]string // by name in lower case
	body     []byte
	trailers map[string][]string
}

// field returns the value of a field that is there at most once.
func (m *simMessage) field(name string) string { return strings.Join(m.fields[name], " AND ") }

// code returns the status code of a response.
func (m *simMessage) code() int {
	parts := strings.SplitN(m.start, " ", 3)
	if len(parts) < 2 || parts[0] != "HTTP/1.1" {
		return 0
	}
	n, _ := strconv.Atoi(parts[1])
	return n
}

// simReader reads messages as strictly as lb has to write them. It is not lb's own parser,
// whose mistakes would not show if they were the same both ways.
type simReader struct {
	// bodyless reports whether the message has no body whatever its fields say.
	bodyless func(m *simMessage) bool
	onHead   func(m *simMessage)
	onBody   func(b []byte) // may be nil
	onWhole  func(m *simMessage)
	request  bool

	buf   []byte
	m     *simMessage // or nil between two messages
	part  simPart
	left  int // of a body with a length, or of a chunk and its line end
	wrong error
}

// simPart is the part of a message that the reader reads.
type simPart int

const (
	simHead simPart = iota
	simLength
	simChunkLine
	simChunk
	simTrailers
	simUntilEnd
	simRaw // after a 101
)

// feed reads b.
func (r *simReader) feed(b []byte) {
	r.buf = append(r.buf, b...)
	for r.wrong == nil && r.step() {
	}
}

// end notes that the bytes have ended in order, which makes a body until the end whole.
// Otherwise inside reports whether a message was cut off.
func (r *simReader) end() {
	if r.part == simUntilEnd && r.wrong == nil {
		r.whole()
	}
}

// inside reports whether a message has begun and is not whole.
func (r *simReader) inside() bool { return r.m != nil || len(r.buf) > 0 }

func (r *simReader) fail(format string, args ...any) bool {
	r.wrong = fmt.Errorf(format, args...)
	return false
}

// take returns the first n bytes of buf.
func (r *simReader) take(n int) []byte {
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

// line takes a line, without its end. ok is false if the line is not whole yet.
func (r *simReader) line() (line string, ok bool) {
	at := bytes.Index(r.buf, []byte("\r\n"))
	if at < 0 {
		return "", false
	}
	return string(r.take(at + 2)[:at]), true
}

// step reads one part and returns false if it needs more bytes.
func (r *simReader) step() bool {
	switch r.part {
	case simHead:
		return r.head()
	case simLength, simChunk:
		n := min(r.left, len(r.buf))
		if r.onBody != nil && r.part == simLength {
			r.onBody(r.buf[:n])
		} else if r.onBody != nil {
			r.onBody(r.buf[:max(0, min(n, r.left-len(crlf)))])
		}
		r.m.body = append(r.m.body, r.take(n)...)
		if r.left -= n; r.left > 0 {
			return false
		}
		if r.part == simLength {
			return r.whole()
		}
		data, ok := bytes.CutSuffix(r.m.body, []byte("\r\n"))
		if r.m.body = data; !ok {
			return r.fail("chunk data without its end")
		}
		r.part = simChunkLine
		return true
	case simChunkLine:
		return r.chunkLine()
	case simTrailers:
		return r.trailer()
	case simUntilEnd, simRaw:
		if r.onBody != nil {
			r.onBody(r.buf)
		}
		r.m.body = append(r.m.body, r.take(len(r.buf))...)
	}
	return false
}

func (r *simReader) chunkLine() bool {
	line, ok := r.line()
	if !ok {
		return false
	}
	if r.onBody != nil { // not lb's
		line, _, _ = strings.Cut(strings.ReplaceAll(line, " ", ""), ";")
	}
	n, err := strconv.ParseUint(line, 16, 31)
	if err != nil {
		return r.fail("chunk line %q", line)
	}
	if r.part, r.left = simChunk, int(n)+2; n == 0 {
		r.part, r.m.trailers = simTrailers, make(map[string][]string)
	}
	return true
}

func (r *simReader) trailer() bool {
	line, ok := r.line()
	switch {
	case !ok:
		return false
	case line == "":
		return r.whole()
	}
	return r.field(r.m.trailers, line)
}

// field adds a field line to fields.
func (r *simReader) field(fields map[string][]string, line string) bool {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || name == "" || strings.ContainsAny(line, "\r\n\x00") {
		return r.fail("field line %q", line)
	}
	name = strings.ToLower(name)
	fields[name] = append(fields[name], value)
	return true
}

func (r *simReader) head() bool {
	at := bytes.Index(r.buf, []byte("\r\n\r\n"))
	if at < 0 {
		if len(r.buf) > 0 && r.m == nil && !r.request && !bytes.HasPrefix([]byte("HTTP/1.1 "), r.buf[:min(9, len(r.buf))]) {
			return r.fail("no status line: %.40q", r.buf)
		}
		return false
	}
	lines := strings.Split(string(r.take(at + 4)[:at]), "\r\n")
	m := &simMessage{start: lines[0], fields: make(map[string][]string)}
	for _, line := range lines[1:] {
		if !r.field(m.fields, line) {
			return false
		}
	}
	r.m = m
	length, coding := m.field("content-length"), m.field("transfer-encoding")
	n, err := strconv.Atoi(length)
	switch {
	case length != "" && (err != nil || coding != ""):
		return r.fail("Content-Length %q, Transfer-Encoding %q", length, coding)
	case coding != "" && coding != "chunked":
		return r.fail("Transfer-Encoding %q", coding)
	case !r.request && m.code() == 101:
		r.part = simRaw
	case !r.request && r.bodyless(m), r.request && length == "" && coding == "":
		r.part, r.left = simLength, 0
	case coding != "":
		r.part = simChunkLine
	case length != "":
		r.part, r.left = simLength, n
	default:
		r.part = simUntilEnd
	}
	r.onHead(m)
	return true
}

func (r *simReader) whole() bool {
	m := r.m
	r.m, r.part = nil, simHead
	r.onWhole(m)
	return true
}
