package proxy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// simPeer is the far end of a conn that carries HTTP/1: a looptest.Peer, or an h2Line.
type simPeer interface {
	Send(b []byte) bool
	Shut()
	Close()
	Reset()
	Pause()
	Resume()
	IsShut() bool
	WasReset() bool
	Truncated() bool
	Unsent() int
}

// h2Line is a conn of HTTP/1 as far as a simulated client or backend can see. In truth each
// of its requests is a stream of an h2End that it shares with others.
type h2Line struct {
	e      *h2End
	s      *h2Stream // of the newest request, or nil
	onText func(b []byte)
	onEnd  func()
	sends  simReader // takes apart what is sent

	method string
	tunnel bool // asked for
	raw    bool // a tunnel
	coded  bool // what comes has chunks
	began  bool // the final head has come

	fields []hpack.HeaderField // of the newest request, to send it again
	noBody bool
	body   []byte
	whole  bool

	shut, closed, wasReset, ended bool
}

// newH2Line returns a line of a client on e.
func newH2Line(e *h2End, onText func(b []byte), onEnd func()) *h2Line {
	l := &h2Line{e: e, onText: onText, onEnd: onEnd}
	e.lines = append(e.lines, l)
	l.sends = simReader{request: true, onHead: l.sendRequest, onBody: l.sendBody, onWhole: func(*simMessage) { l.sendEnd() }}
	return l
}

// newH2Served returns the line of the stream s of a backend.
func newH2Served(s *h2Stream) *h2Line {
	l := &h2Line{e: s.e, s: s}
	s.user = l
	l.sends = simReader{onHead: l.sendResponse, onBody: l.sendBody, onWhole: func(m *simMessage) {
		if m.code() >= 200 {
			l.sendTrailers(m)
			l.sendEnd()
			l.ended = true
		}
	}}
	l.sends.bodyless = func(m *simMessage) bool {
		return m.code()/100 == 1 || m.code() == 204 || m.code() == 304 || l.method == "HEAD"
	}
	return l
}

// Send takes the next bytes of messages.
func (l *h2Line) Send(b []byte) bool {
	switch {
	case l.shut || l.closed || l.wasReset:
		return false
	case l.tunnel && !l.e.server || l.raw:
		l.sendBody(b)
	case l.e.server && l.ended: // more than the answer
	default:
		l.sends.buf = append(l.sends.buf, b...)
		if l.sends.m == nil && bytes.HasPrefix(l.sends.buf, []byte("HTTP/1.0")) {
			l.sends.buf[len("HTTP/1.")] = '1'
		}
		if l.sends.feed(nil); l.sends.wrong != nil {
			l.s.head([]hpack.HeaderField{{Name: "no", Value: "status"}}, false)
		}
	}
	return true
}

// hopByHop are the fields that a stream does not have.
func hopByHop(name string) bool {
	switch name {
	case "connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection", "x-hop", "host":
		return true
	}
	return false
}

func appendFields(to []hpack.HeaderField, fields map[string][]string) []hpack.HeaderField {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, v := range fields[name] {
			if !hopByHop(name) {
				to = append(to, hpack.HeaderField{Name: name, Value: v})
			}
		}
	}
	return to
}

// sendRequest begins a stream.
func (l *h2Line) sendRequest(m *simMessage) {
	parts := strings.Split(m.start, " ")
	l.method, l.tunnel = parts[0], m.field("upgrade") != ""
	l.raw, l.began, l.body, l.whole = false, false, nil, false
	method := l.method
	if l.tunnel {
		method = "CONNECT"
	}
	l.fields = []hpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: l.scheme()},
		{Name: ":path", Value: parts[1]}, {Name: ":authority", Value: m.field("host")}}
	if l.tunnel {
		l.fields = append(l.fields, hpack.HeaderField{Name: ":protocol", Value: m.field("upgrade")},
			hpack.HeaderField{Name: "sec-websocket-version", Value: "13"})
	}
	l.fields = appendFields(l.fields, m.fields)
	l.noBody = !l.tunnel && l.sends.part == simLength && l.sends.left == 0
	l.open()
}

func (l *h2Line) scheme() string {
	if l.e.peer.Layered {
		return "https"
	}
	return "http"
}

// open begins a stream for the newest request, as soon as lb allows one.
func (l *h2Line) open() {
	s := &h2Stream{e: l.e, user: l}
	l.s = s
	if l.e.over || l.e.leaving {
		l.lose()
		return
	}
	begin := func() {
		if !s.reset {
			l.e.begin(s, l.fields, l.noBody)
		}
	}
	if l.e.active() < l.e.most && len(l.e.waiting) == 0 {
		begin()
	} else {
		l.e.waiting = append(l.e.waiting, begin)
	}
}

func (l *h2Line) sendBody(b []byte) {
	l.body = append(l.body, b...)
	l.s.write(b, false)
}

func (l *h2Line) sendTrailers(m *simMessage) {
	if len(m.trailers) > 0 {
		l.s.trailers = appendFields(nil, m.trailers)
	}
}

func (l *h2Line) sendEnd() {
	if l.whole = true; !l.noBody && !l.tunnel {
		l.s.write(nil, true)
	}
}

// sendResponse sends the head of a response.
func (l *h2Line) sendResponse(m *simMessage) {
	code := m.code()
	l.raw = code == 101
	if l.raw {
		code = 200
	}
	fields := appendFields([]hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(code)}}, m.fields)
	l.noBody = code >= 200 && !l.raw && (l.sends.bodyless(m) || m.field("content-length") == "0")
	l.s.head(fields, l.noBody)
}

// head implements h2User: it writes a head down as HTTP/1 has it.
func (l *h2Line) head(fields []hpack.HeaderField, end bool) {
	if l.began { // trailers
		l.trailers(fields)
		return
	}
	var first, path, host string
	var rest []byte
	length, interim := false, false
	for _, f := range fields {
		switch f.Name {
		case ":method":
			l.method, l.tunnel = f.Value, false
		case ":path":
			path = f.Value
		case ":authority":
			host = "host: " + f.Value + crlf
		case ":protocol":
			l.tunnel = true
		case ":scheme":
		case ":status":
			first, interim = f.Value, f.Value < "200"
		default:
			length = length || f.Name == "content-length"
			rest = fmt.Appendf(rest, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	l.began, l.coded = !interim, false
	bodyless := interim || first == "204" || first == "304" || l.method == "HEAD" || l.e.server && end
	switch {
	case l.tunnel && (l.e.server || first == "200"):
		l.raw = true
		rest = append(rest, "Connection: upgrade\r\nUpgrade: websocket\r\n"...)
		first = "101"
	case !length && !bodyless:
		l.coded = true
		rest = append(rest, "Transfer-Encoding: chunked\r\n"...)
	}
	if first = "HTTP/1.1 " + first + " Phrase"; l.e.server {
		if first = l.method + " " + path + " HTTP/1.1"; l.tunnel {
			first = "GET " + path + " HTTP/1.1"
		}
	}
	l.onText(fmt.Appendf(nil, "%s\r\n%s%s\r\n", first, host, rest))
	if end && !interim {
		l.came()
	}
}

func (l *h2Line) trailers(fields []hpack.HeaderField) {
	if !l.coded {
		l.came()
		return
	}
	b := []byte("0\r\n")
	for _, f := range fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	l.coded = false
	l.onText(append(b, "\r\n"...))
	l.came()
}

// data implements h2User.
func (l *h2Line) data(b []byte, end bool) {
	switch {
	case len(b) == 0:
	case l.coded:
		l.onText(fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b))
	default:
		l.onText(b)
	}
	if end {
		l.came()
	}
}

// came notes the end of what came in the stream.
func (l *h2Line) came() {
	switch {
	case l.coded:
		l.onText([]byte("0\r\n\r\n"))
	case l.raw:
		l.end()
	}
	l.coded = false
}

// gone implements h2User.
func (l *h2Line) gone(code http2.ErrCode) {
	if code == http2.ErrCodeRefusedStream && !l.e.server && !l.e.leaving && !l.e.over && !l.closed {
		l.open()
		l.s.write(l.body, l.whole && !l.noBody && !l.tunnel)
		return
	}
	l.lose()
}

// lose ends the line, whose stream or conn has gone.
func (l *h2Line) lose() {
	l.wasReset = true
	l.end()
}

// end tells the end of the line, once.
func (l *h2Line) end() {
	if !l.closed && l.onEnd != nil {
		f := l.onEnd
		l.onEnd = nil
		f()
	}
}

// Shut ends the bytes of the line. In a message that has no other end it is the end.
func (l *h2Line) Shut() {
	if l.shut {
		return
	}
	if l.shut = true; l.s != nil && (l.tunnel || l.raw || l.sends.part == simUntilEnd) {
		l.s.write(nil, true)
	}
}

// Close ends the line, and the stream unless it has ended.
func (l *h2Line) Close() { l.leave(http2.ErrCodeCancel) }

// Reset is Close in a hurry.
func (l *h2Line) Reset() { l.leave(http2.ErrCodeInternal) }

func (l *h2Line) leave(code http2.ErrCode) {
	if l.closed {
		return
	}
	if l.closed, l.shut = true, true; l.s != nil {
		if l.e.server && (l.ended || l.s.ends) { // what is queued is still sent
			return
		}
		l.s.cancel(code)
	}
}

// Pause has the window of the stream shut.
func (l *h2Line) Pause() { l.pause(true) }

// Resume has it opened again.
func (l *h2Line) Resume() { l.pause(false) }

func (l *h2Line) pause(is bool) {
	if l.s != nil {
		l.s.pause(is)
	}
}

// IsShut reports whether it is Shut or closed.
func (l *h2Line) IsShut() bool { return l.shut }

// WasReset reports whether lb has reset the stream, or the conn has gone.
func (l *h2Line) WasReset() bool { return l.wasReset }

// Truncated reports whether lb has ended the conn without saying so.
func (l *h2Line) Truncated() bool { return false }

// Unsent returns how many bytes wait for windows.
func (l *h2Line) Unsent() int {
	if l.s == nil {
		return 0
	}
	return len(l.s.queue)
}
