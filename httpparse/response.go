package httpparse

import "encoding/binary"

// ResponseParser parses a response head, piece by piece, into the Response in it.
type ResponseParser struct {
	Response
	lineParser
	method Method // of the request that it answers
	stream bool   // it came in a stream of HTTP/2
}

var responseFields = SetOf(Connection, ContentLength, TransferEncoding)

// Reset makes r ready for a new head; m is the method of the request that it answers.
// m must not be CONNECT: the bytes after its answer are no body.
func (r *ResponseParser) Reset(l *Limits, m Method) {
	r.lineParser.reset(&r.Message, l, beforeLine, responseFields, true)
	r.Code, r.Phrase, r.method, r.stream, r.Marks = 0, Span{}, m, false, false
}

// InStream makes r read the head of a response in a stream of HTTP/2, after Reset: its
// framing is Stream where there may be a body.
func (r *ResponseParser) InStream() { r.stream = true }

// Feed is as RequestParser.Feed, and writes to b: it joins folded lines, and makes control
// bytes spaces. Each call must be given the bytes that the last one left.
func (r *ResponseParser) Feed(b []byte) Status {
	if r.state >= over {
		return r.verdict()
	}
	v := r.view(b)
	if r.state < atLine {
		if st := r.line(v); st != Done {
			return st
		}
	}
	st := r.plainLines(&r.Message, v)
	if st == odd {
		st = r.oddLines(&r.Message, v)
	}
	if st != Done {
		return st
	}
	return r.finish()
}

// line reads the status line (RFC 9112 4). On Done the fields begin at pos.
func (r *ResponseParser) line(b []byte) Status {
	i := int(r.pos)
	if r.state < afterCode {
		if st := r.status(b); st != Done {
			return st
		}
		i = int(r.pos)
	}
	switch r.state {
	case afterCode:
		if i >= len(b) {
			return r.wait(afterCode, i, b)
		}
		if c := b[i]; c == ' ' || c == '\t' {
			i++
		} else if c != '\r' && c != '\n' {
			return r.refuse(BadStatusLine, i)
		}
		r.Phrase.Off = uint32(i)
		fallthrough
	case inPhrase:
		for i = scanValue(b, i); i < len(b) && b[i] != 0 && b[i] != '\r' && b[i] != '\n'; {
			b[i] = ' ' // a control byte, as in a value
			i = scanValue(b, i+1)
		}
		if i >= len(b) {
			return r.wait(inPhrase, i, b)
		}
		if b[i] == 0 {
			return r.refuse(BadPhrase, i)
		}
		r.Phrase.Len = uint32(i) - r.Phrase.Off
		if b[i] == '\n' {
			break
		}
		i++
		fallthrough
	case afterPhrase:
		if i >= len(b) {
			return r.wait(afterPhrase, i, b)
		}
		if b[i] != '\n' {
			return r.refuse(BareCR, i)
		}
	}
	r.state, r.pos = atLine, uint32(i)+1
	return Done
}

// status reads the line up to the code. On Done the state is afterCode.
func (r *ResponseParser) status(b []byte) Status {
	if i := int(r.pos); r.state == beforeLine && len(b)-i >= len("HTTP/1.1 200") &&
		binary.LittleEndian.Uint64(b[i:]) == http11 && b[i+8] == ' ' && b[i+9] > ' ' { // the usual form
		r.Minor, r.state, r.mark = 1, inCode, uint32(i+9)
	} else if st := r.oddStatus(b); st != Done {
		return st
	}
	code := 0
	for i := int(r.mark); i < int(r.mark)+3; i++ {
		switch {
		case i >= len(b):
			return r.wait(inCode, i, b)
		case b[i] < '0' || b[i] > '9' || b[i] == '0' && code == 0:
			return r.refuse(BadStatusLine, i)
		}
		code = code*10 + int(b[i]-'0')
	}
	r.Code, r.state, r.pos = code, afterCode, r.mark+3
	return Done
}

// oddStatus reads empty lines before the status line, the version in any case, and white
// space after it, of which there may be more than one space (RFC 9112 2.2, 4). On Done the
// state is inCode.
func (r *ResponseParser) oddStatus(b []byte) Status {
	i := int(r.pos)
	switch r.state {
	case beforeLine:
		for i < len(b) && i < 2*emptyLinesMax && (b[i] == '\r' || b[i] == '\n') {
			if b[i] == '\r' {
				if i+1 == len(b) {
					return r.wait(beforeLine, i, b)
				}
				if b[i+1] != '\n' {
					return r.refuse(BareCR, i+1)
				}
				i++
			}
			i++
		}
		if i >= len(b) {
			return r.wait(beforeLine, i, b)
		}
		fallthrough
	case inStatus:
		k, fault := match(b[i:], "HTTP/d.d", true)
		end := i + len("HTTP/1.1")
		switch {
		case fault != NoReason:
			return r.refuse(fault, i+k)
		case end >= len(b):
			return r.wait(inStatus, i, b)
		case b[end] != ' ' && b[end] != '\t':
			return r.refuse(BadVersion, end)
		case b[i+5] != '1':
			return r.refuse(OtherVersion, i+5)
		}
		r.Minor = min(b[i+7]-'0', 1)
		i = end
		fallthrough
	case beforeCode:
		if i = skipBlanks(b, i); i >= len(b) {
			return r.wait(beforeCode, i, b)
		}
		r.state, r.mark = inCode, uint32(i)
	}
	return Done
}

// finish checks the head as a whole and sets the fields that depend on all of it.
func (r *ResponseParser) finish() Status {
	if fault := r.frame(); fault != NoReason {
		return r.refuse(fault, int(r.pos))
	}
	r.persistence(&r.Message)
	r.Close = r.Close || r.Framing == Close
	return Done
}

// frame decides how the body ends (RFC 9112 6.3). Chunked wins over a Content-Length, and
// may come in HTTP/1.0; then the conn ends with the answer (RFC 9112 6.1).
func (r *ResponseParser) frame() Reason {
	switch {
	case r.Code < 200 || r.Code == 204:
		r.Framing, r.Length = None, -1
	case r.method == HEAD || r.Code == 304:
		r.Framing = None
		if r.chunked || r.coding != NoReason {
			r.Length = -1
		}
	case r.coding != NoReason:
		return r.coding
	case r.chunked:
		r.closing = r.closing || r.Minor == 0 || r.Length >= 0
		r.Framing, r.Length = Chunked, -1
	case r.stream:
		r.Framing = Stream
	case r.Seen.Has(ContentLength):
		r.Framing = Length
	default:
		r.Framing = Close
	}
	return NoReason
}
