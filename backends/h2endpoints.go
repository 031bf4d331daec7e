package backends

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"lb/httpparse"
)

// grpcType is how the content-type of a gRPC call begins.
const grpcType = "application/grpc"

// serve prepares the answer to the request whose head is text. A gRPC call gets its messages
// back, whatever its method is.
func (st *stream) serve(text []byte) {
	s := st.c.server
	p := s.newParser()
	defer func() { s.parsers = append(s.parsers, p) }()
	if p.req.Feed(text) != httpparse.Done {
		st.sayStatus(p.req.Reason.Status(), p.req.Reason.String())
		return
	}
	st.bodiless = p.req.Method == httpparse.HEAD
	if bytes.HasPrefix(fieldOf(&p.req, text, "Content-Type"), []byte(grpcType)) {
		st.echo = true
		st.trailers = append(st.trailers, "grpc-status: 0\r\n"...)
		st.say(http.StatusOK, "Content-Type: application/grpc\r\n", -1)
		return
	}
	path, arg := split(p.req.Path.Of(text))
	switch string(path) {
	case "/", "", "*":
		st.text = append(append(append(st.text, "Hello from backend "...), s.name...), '\n')
		st.text = append(append(st.text, p.req.MethodName.Of(text)...), ' ')
		st.text = append(append(st.text, p.req.Target.Of(text)...), '\n')
	case "/healthz":
		st.text = append(st.text, "ok\n"...)
	case "/headers":
		st.text = append(st.text, text...)
		httpparse.Unmark(st.text)
	case "/echo":
		st.echo = !st.bodiless
		length := p.req.Length
		if p.req.Framing == httpparse.None && !st.RemoteEnded() {
			length = -1
		}
		st.say(http.StatusOK, octets, length)
		return
	case "/bytes/", "/chunked/":
		st.servePattern(arg, string(path) == "/bytes/")
		return
	case "/delay/":
		st.serveDelay(arg)
		return
	case "/status/":
		st.serveStatus(arg)
		return
	default:
		st.sayStatus(http.StatusNotFound, "")
		return
	}
	st.say(http.StatusOK, plainText, int64(len(st.text)))
}

// servePattern answers with arg bytes of the pattern, of a known length or not.
func (st *stream) servePattern(arg []byte, known bool) {
	n, err := strconv.ParseUint(string(arg), 10, 63)
	if err != nil {
		st.sayStatus(http.StatusBadRequest, "want a number of bytes")
		return
	}
	st.left = int64(n)
	length := st.left
	if !known {
		length = -1
	}
	st.say(http.StatusOK, octets, length)
}

// serveDelay answers after a delay of arg, which begins at the end of the request.
func (st *stream) serveDelay(arg []byte) {
	d, err := time.ParseDuration(string(arg))
	if err != nil || d < 0 || d > delayMax {
		st.sayStatus(http.StatusBadRequest, "want a duration, such as 250ms, of at most "+delayMax.String())
		return
	}
	st.delay = d
	st.sayStatus(http.StatusOK, "waited "+d.String())
}

// serveStatus answers with status code arg. A 1xx is sent before a 200.
func (st *stream) serveStatus(arg []byte) {
	n, err := strconv.ParseUint(string(arg), 10, 16)
	code := int(n)
	if err != nil || code < 100 || code > 599 || code == http.StatusSwitchingProtocols {
		st.sayStatus(http.StatusBadRequest, "want a status code, 100 to 599 without 101")
		return
	}
	if c := st.c; code < 200 {
		head := append(appendStatusLine(nil, code), "\r\n"...)
		c.put(c.AppendResponse(c.text(), &st.Stream, head, false))
		code = http.StatusOK
	}
	st.sayStatus(code, "")
}

// sayStatus answers with a line of text that repeats the code.
func (st *stream) sayStatus(code int, detail string) {
	st.text = strconv.AppendInt(st.text[:0], int64(code), 10)
	st.text = append(append(st.text, ' '), http.StatusText(code)...)
	if detail != "" {
		st.text = append(append(st.text, ": "...), detail...)
	}
	st.text = append(st.text, '\n')
	switch code {
	case http.StatusNoContent, http.StatusNotModified:
		st.bodiless = true
		st.say(code, "", -1)
		return
	case http.StatusResetContent:
		st.text = st.text[:0]
	}
	st.say(code, plainText, int64(len(st.text)))
}

// say writes the head of the answer, as HTTP/1.1 text. fields are whole lines. length
// (bytes) is -1 if it is not said.
func (st *stream) say(code int, fields string, length int64) {
	dst := append(appendStatusLine(st.answer[:0], code), st.c.server.common()...)
	dst = append(dst, fields...)
	if length >= 0 {
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), length, 10)
		dst = append(dst, "\r\n"...)
	}
	st.answer = append(dst, "\r\n"...)
}
