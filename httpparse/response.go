package httpparse

// ResponseParser parses a response head, piece by piece, into the Response in it.
type ResponseParser struct {
	Response
	lineParser
	method Method // of the request that it answers
}

var responseFields = SetOf(Connection, ContentLength, TransferEncoding)

// Reset makes r ready for a new head; m is the method of the request that it answers.
// m must not be CONNECT: the bytes after its answer are no body.
func (r *ResponseParser) Reset(l *Limits, m Method) {
	r.lineParser.reset(&r.Message, l, inStatus, responseFields)
	r.Code, r.Phrase, r.method = 0, Span{}, m
}

// Feed is as RequestParser.Feed, without empty lines before the head.
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
	if st := r.lines(&r.Message, v); st != Done {
		return st
	}
	return r.finish()
}

const statusPattern = "HTTP/d.d ddd"

// line reads the status line (RFC 9112 4). On Done the fields begin at pos.
func (r *ResponseParser) line(b []byte) Status {
	i := int(r.pos)
	switch r.state {
	case inStatus:
		if st := r.status(b); st != Done {
			return st
		}
		i = len(statusPattern)
		fallthrough
	case afterCode:
		if i >= len(b) {
			return r.wait(afterCode, i, b)
		}
		if b[i] != ' ' && b[i] != '\r' {
			return r.refuse(controlFault(b[i], BadStatusLine), i)
		}
		if b[i] == ' ' {
			i++
		}
		r.Phrase.Off = uint32(i)
		fallthrough
	case inPhrase:
		i = scanValue(b, i)
		if i >= len(b) {
			return r.wait(inPhrase, i, b)
		}
		if b[i] != '\r' {
			return r.refuse(controlFault(b[i], BadPhrase), i)
		}
		r.Phrase.Len = uint32(i) - r.Phrase.Off
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

// status reads the version and the code.
func (r *ResponseParser) status(b []byte) Status {
	k, fault := match(b, statusPattern)
	switch {
	case k >= 9 && b[5] != '1': // checked first, because it is known before the later bytes
		return r.refuse(OtherVersion, 5)
	case k >= 10 && b[9] == '0':
		return r.refuse(BadStatusLine, 9)
	case fault == BadVersion && k >= 9:
		return r.refuse(BadStatusLine, k)
	case fault != NoReason:
		return r.refuse(fault, k)
	case k < len(statusPattern):
		return r.wait(inStatus, 0, b)
	}
	r.Minor = min(b[7]-'0', 1)
	r.Code = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	return Done
}

// finish checks the head as a whole and sets the fields that depend on all of it.
func (r *ResponseParser) finish() Status {
	if fault := r.codingFault(&r.Message); fault != NoReason {
		return r.refuse(fault, int(r.pos))
	}
	r.frame()
	r.persistence(&r.Message)
	r.Close = r.Close || r.Framing == Close
	return Done
}

// frame decides how the body ends (RFC 9112 6.3).
func (r *ResponseParser) frame() {
	switch {
	case r.Code < 200 || r.Code == 204:
		r.Framing, r.Length = None, -1
	case r.method == HEAD || r.Code == 304:
		r.Framing = None
	case r.Seen.Has(TransferEncoding):
		r.Framing = Chunked
	case r.Seen.Has(ContentLength):
		r.Framing = Length
	default:
		r.Framing = Close
	}
}
