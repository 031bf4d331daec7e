package backends

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"lb/httpparse"
)

// patternPeriod is a prime, so that a lost or doubled block shows.
const patternPeriod = 251

var pattern = func() []byte {
	b := make([]byte, patternPeriod*512+patternPeriod)
	for i := range b {
		b[i] = byte(i % patternPeriod)
	}
	return b
}()

// patternFrom returns bytes of the endless pattern from offset pos on, runBytesMax at
// most.
func patternFrom(pos int64) []byte {
	b := pattern[pos%patternPeriod:]
	return b[:min(len(b), runBytesMax)]
}

// Pattern fills dst with the body of /bytes and /chunked from offset off (bytes)
// on. The byte at offset i is i modulo 251.
func Pattern(dst []byte, off int64) {
	for len(dst) > 0 {
		n := copy(dst, patternFrom(off))
		dst, off = dst[n:], off+int64(n)
	}
}

const (
	delayMax     = time.Hour
	smallBodyMax = 4 << 10 // bytes of /bytes that are copied after the head, so that one write suffices
)

const (
	plainText = "Content-Type: text/plain; charset=utf-8\r\n"
	octets    = "Content-Type: application/octet-stream\r\n"
)

// serve writes the answer, or its beginning, to the request whose head is at the
// start of b. out must have room for the head and replyRoom more.
func (c *conn) serve(b []byte) {
	if c.req.Method == httpparse.CONNECT {
		c.close = true
		c.sayStatus(http.StatusNotImplemented, "")
		return
	}
	path, arg := split(c.req.Path.Of(b))
	switch string(path) {
	case "/", "", "*": // absolute-form without a path, OPTIONS *
		c.hello(b)
	case "/healthz":
		c.say(http.StatusOK, append(c.server.text[:0], "ok\n"...))
	case "/headers":
		c.say(http.StatusOK, b[:c.req.HeadLen])
	case "/echo":
		c.serveEcho()
	case "/ws":
		c.serveWebSocket(b)
	case "/bytes/":
		c.servePattern(arg, httpparse.Length)
	case "/chunked/":
		c.servePattern(arg, httpparse.Chunked)
	case "/delay/":
		c.serveDelay(arg)
	case "/status/":
		c.serveStatus(arg)
	default:
		c.sayStatus(http.StatusNotFound, "")
	}
}

// split divides a path into its beginning, which ends with a slash, and the rest. Without a
// second slash there is no rest. A query is left out.
func split(target []byte) (path, arg []byte) {
	path, _, _ = bytes.Cut(target, []byte("?"))
	if i := bytes.LastIndexByte(path, '/'); i > 0 {
		path, arg = path[:i+1], path[i+1:]
	}
	return path, arg
}

// hello answers with the name of the backend and the request line.
func (c *conn) hello(b []byte) {
	t := append(c.server.text[:0], "Hello from backend "...)
	t = append(append(t, c.server.name...), '\n')
	t = append(append(t, c.req.MethodName.Of(b)...), ' ')
	t = append(append(t, c.req.Target.Of(b)...), '\n')
	c.server.text = t
	c.say(http.StatusOK, t)
}

// servePattern answers with arg bytes of the pattern.
func (c *conn) servePattern(arg []byte, framing httpparse.Framing) {
	n, err := strconv.ParseUint(string(arg), 10, 63)
	if err != nil {
		c.sayStatus(http.StatusBadRequest, "want a number of bytes")
		return
	}
	size := int64(n)
	if framing == httpparse.Chunked && c.req.Minor == 0 {
		framing, c.close = httpparse.Close, true
	}
	c.putHead(http.StatusOK, octets, framing, size)
	switch {
	case c.req.Method == httpparse.HEAD:
	case framing == httpparse.Length && size <= int64(min(smallBodyMax, len(c.out.Room()))):
		b := c.text()
		Pattern(b[len(b):len(b)+int(size)], 0)
		c.put(b[:len(b)+int(size)])
	case framing == httpparse.Chunked:
		c.chunked, c.left = true, size
	default:
		c.run = size
	}
}

// serveDelay answers after a delay of arg, which begins at the end of the request.
func (c *conn) serveDelay(arg []byte) {
	d, err := time.ParseDuration(string(arg))
	if err != nil || d < 0 || d > delayMax {
		c.sayStatus(http.StatusBadRequest, "want a duration, such as 250ms, of at most "+delayMax.String())
		return
	}
	c.delay = d
	c.sayStatus(http.StatusOK, "waited "+d.String())
}

// serveStatus answers with status code arg. A 1xx is sent before a 200.
func (c *conn) serveStatus(arg []byte) {
	n, err := strconv.ParseUint(string(arg), 10, 16)
	code := int(n)
	if err != nil || code < 100 || code > 599 || code == http.StatusSwitchingProtocols {
		c.sayStatus(http.StatusBadRequest, "want a status code, 100 to 599 without 101")
		return
	}
	if code < 200 {
		if c.req.Minor > 0 { // HTTP/1.0 knows no interim response (RFC 9110 15.2)
			c.put(append(appendStatusLine(c.text(), code), "\r\n"...))
		}
		code = http.StatusOK
	}
	c.sayStatus(code, "")
}

// serveEcho answers with the request body, in its own framing.
func (c *conn) serveEcho() {
	framing := c.req.Framing
	if framing == httpparse.None {
		framing = httpparse.Length
	}
	c.putHead(http.StatusOK, octets, framing, c.req.Length)
	c.echo = c.req.Method != httpparse.HEAD
}

// serveWebSocket answers the handshake (RFC 6455 4.2.2), or says what is missing.
func (c *conn) serveWebSocket(b []byte) {
	key, version := fieldOf(&c.req, b, "Sec-WebSocket-Key"), fieldOf(&c.req, b, "Sec-WebSocket-Version")
	r := &c.req
	if r.Method != httpparse.GET || r.Minor == 0 || !r.UpgradeOption || r.Framing != httpparse.None ||
		!r.HasToken(b, httpparse.Upgrade, "websocket") || string(version) != "13" {
		c.sayMore(http.StatusUpgradeRequired,
			plainText+"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "want a WebSocket")
		return
	}
	if !validKey(key) {
		c.sayStatus(http.StatusBadRequest, "bad Sec-WebSocket-Key")
		return
	}
	dst := append(appendStatusLine(c.text(), http.StatusSwitchingProtocols), c.server.common()...)
	dst = append(dst, "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "...)
	c.put(append(appendAccept(dst, key), "\r\n\r\n"...))
	c.ws, c.phase = wsEcho{}, phaseFrames
}

// fieldOf returns the value of the first field of that name, or nil if there is none.
func fieldOf(r *httpparse.RequestParser, b []byte, name string) []byte {
	for _, f := range r.Fields {
		if bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			return f.Value.Of(b)
		}
	}
	return nil
}

// refuse answers a request that the parser refused, in place of an answer that was
// held. It ends the conn, because the start of the next request is unknown.
func (c *conn) refuse(why httpparse.Reason) {
	c.out.W -= c.held
	c.exchange = exchange{close: true, refused: true, phase: phaseLast}
	c.sayStatus(why.Status(), why.String())
}

// spoil ends an exchange whose request body was refused. An echo has already begun;
// it ends early, so that the client notices.
func (c *conn) spoil(why httpparse.Reason) {
	if c.echo {
		c.exchange = exchange{close: true, refused: true, phase: phaseLast}
		return
	}
	c.refuse(why)
}

// sayStatus answers with a line of text that repeats the code.
func (c *conn) sayStatus(code int, detail string) { c.sayMore(code, plainText, detail) }

// sayMore is sayStatus with other fields, which are whole lines.
func (c *conn) sayMore(code int, fields, detail string) {
	t := strconv.AppendInt(c.server.text[:0], int64(code), 10)
	t = append(append(t, ' '), http.StatusText(code)...)
	if detail != "" {
		t = append(append(t, ": "...), detail...)
	}
	t = append(t, '\n')
	c.server.text = t
	c.sayWith(code, fields, t)
}

// say answers with text.
func (c *conn) say(code int, text []byte) { c.sayWith(code, plainText, text) }

func (c *conn) sayWith(code int, fields string, text []byte) {
	switch code {
	case http.StatusNoContent, http.StatusNotModified:
		c.putHead(code, "", httpparse.None, 0)
		return
	case http.StatusResetContent: // has no content, and has to say so (RFC 9110 15.3.6)
		text = nil
	}
	c.putHead(code, fields, httpparse.Length, int64(len(text)))
	if c.req.Method != httpparse.HEAD {
		c.put(append(c.text(), text...))
	}
}

// putHead writes a response head. fields are whole lines. length (bytes) is used
// only if framing is Length.
func (c *conn) putHead(code int, fields string, framing httpparse.Framing, length int64) {
	dst := append(appendStatusLine(c.text(), code), c.server.common()...)
	dst = append(dst, fields...)
	switch framing {
	case httpparse.Length:
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), length, 10)
		dst = append(dst, "\r\n"...)
	case httpparse.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case c.close:
		dst = append(dst, "Connection: close\r\n"...)
	case c.req.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	c.put(append(dst, "\r\n"...))
}

func appendStatusLine(dst []byte, code int) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(code), 10)
	return append(append(append(dst, ' '), http.StatusText(code)...), "\r\n"...)
}
