package httpparse

import "encoding/binary"

const (
	emptyLinesMax = 4
	methodMax     = 64 // bytes

	// As little-endian words.
	http10 = 0x302e312f50545448
	http11 = 0x312e312f50545448
	getSP  = 0x20544547
)

// RequestParser parses a request head, piece by piece, into the Request in it.
type RequestParser struct {
	Request
	lineParser
}

var requestFields = SetOf(Connection, ContentLength, TransferEncoding, Host)

// Reset makes r ready for a new head. It keeps the memory of Fields, which
// grows to l.Fields the first time.
func (r *RequestParser) Reset(l *Limits) {
	r.lineParser.reset(&r.Message, l, beforeLine, requestFields, false)
	r.Method, r.MethodName, r.Target, r.Path, r.Authority = OtherMethod, Span{}, Span{}, Span{}, Span{}
	r.ExpectContinue = false
}

// Feed goes on from where it stopped; b starts at the head's first byte and holds all
// bytes so far. Up to 4 empty lines (CRLF) before the head are skipped and count in
// HeadLen. More means no fault yet, Done sets HeadLen, Bad sets Reason and ReasonOff.
// It makes no difference how the head is cut.
func (r *RequestParser) Feed(b []byte) Status {
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
	return r.finish(v)
}

// line reads the request line (RFC 9112 3). On Done the fields begin at pos.
func (r *RequestParser) line(b []byte) Status {
	i := int(r.pos)
	switch r.state {
	case beforeLine:
		for i < len(b) && b[i] == '\r' && i < 2*emptyLinesMax {
			if i+1 == len(b) {
				return r.wait(beforeLine, i, b)
			}
			if b[i+1] != '\n' {
				return r.refuse(BareCR, i+1)
			}
			i += 2
		}
		if i >= len(b) {
			return r.wait(beforeLine, i, b)
		}
		if !isToken[b[i]] {
			return r.refuse(firstFault(b[i]), i)
		}
		r.mark = uint32(i)
		fallthrough
	case inMethod:
		i = r.method(b, i)
		if i >= len(b) && i <= int(r.mark)+methodMax {
			return r.wait(inMethod, i, b)
		}
		if i > int(r.mark)+methodMax {
			return r.refuse(LongMethod, i)
		}
		if b[i] != ' ' {
			return r.refuse(controlFault(b[i], BadMethod), i)
		}
		r.MethodName = Span{r.mark, uint32(i) - r.mark}
		i++
		r.mark = uint32(i)
		fallthrough
	case inTarget:
		window := b[:min(len(b), int(r.mark+r.targetMax)+1)]
		i = scanTarget(window, i)
		if i >= len(window) {
			if len(window) > int(r.mark+r.targetMax) {
				return r.refuse(LongTarget, i)
			}
			return r.wait(inTarget, i, b)
		}
		if b[i] != ' ' || i == int(r.mark) {
			return r.refuse(targetFault(b[i]), i)
		}
		r.Target = Span{r.mark, uint32(i) - r.mark}
		i++
	}
	return r.version(b, i)
}

// firstFault returns the reason to refuse c where a method should begin.
func firstFault(c byte) Reason {
	switch c {
	case '\r':
		return EmptyLines
	case '\n':
		return BareLF
	}
	return BadMethod
}

// targetFault returns the reason to refuse c after a target, or first in one.
func targetFault(c byte) Reason {
	switch c {
	case '\r':
		return BadVersion // no version
	case '\n':
		return BareLF
	}
	return BadTarget
}

// method sets Method and returns the index of the byte after it. The index of a method
// that is too long is more than methodMax beyond the mark.
func (r *RequestParser) method(b []byte, i int) int {
	if i == int(r.mark) && len(b)-i >= 4 && binary.LittleEndian.Uint32(b[i:]) == getSP {
		r.Method = GET
		return i + 3
	}
	i = scanToken(b[:min(len(b), int(r.mark)+methodMax+1)], i)
	r.Method = method(b[r.mark:i])
	return i
}

// version reads "HTTP/1.x" and CRLF at i.
func (r *RequestParser) version(b []byte, i int) Status {
	if len(b)-i >= 10 && b[i+8] == '\r' && b[i+9] == '\n' {
		switch binary.LittleEndian.Uint64(b[i:]) {
		case http11:
			r.Minor = 1
			return r.lineDone(b, i+10)
		case http10:
			return r.lineDone(b, i+10)
		}
	}
	k, fault := match(b[i:], "HTTP/d.d\r\n", false)
	switch {
	case k >= 9 && b[i+5] != '1': // checked first, because it is known before the later bytes
		return r.refuse(OtherVersion, i+5)
	case fault != NoReason:
		return r.refuse(fault, i+k)
	case k < 10:
		return r.wait(inVersion, i, b)
	}
	r.Minor = min(b[i+7]-'0', 1)
	return r.lineDone(b, i+10)
}

// match compares b with a pattern in which 'd' stands for any digit, and a capital, with
// fold, for the small letter, too. It returns how many bytes match, and the reason to refuse
// the next one, or NoReason.
func match(b []byte, pattern string, fold bool) (int, Reason) {
	for k := range min(len(b), len(pattern)) {
		c, want := b[k], pattern[k]
		switch {
		case want != 'd' && c == want, want == 'd' && '0' <= c && c <= '9':
		case fold && 'A' <= want && want <= 'Z' && c == want|0x20:
		case want == '\n':
			return k, BareCR
		case c == '\n':
			return k, BareLF
		default:
			return k, BadVersion
		}
	}
	return min(len(b), len(pattern)), NoReason
}

// lineDone checks the target; the fields begin at i.
func (r *RequestParser) lineDone(b []byte, i int) Status {
	if fault := r.target(b); fault != NoReason {
		return r.refuse(fault, int(r.Target.Off))
	}
	r.state, r.pos = atLine, uint32(i)
	return Done
}

// finish checks the head as a whole and sets the fields that depend on all of it.
func (r *RequestParser) finish(b []byte) Status {
	if fault := r.frame(); fault != NoReason {
		return r.refuse(fault, int(r.pos))
	}
	if r.Minor > 0 && !r.Seen.Has(Host) {
		return r.refuse(NoHost, int(r.pos)) // RFC 9112 3.2
	}
	if r.Authority.Len == 0 {
		r.Authority = r.host
	}
	r.persistence(&r.Message)
	r.ExpectContinue = r.Minor > 0 && r.HasToken(b, Expect, "100-continue")
	return Done
}

// frame decides how the body ends (RFC 9112 6.3).
func (r *RequestParser) frame() Reason {
	if fault := r.codingFault(&r.Message); fault != NoReason {
		return fault
	}
	switch {
	case r.Seen.Has(TransferEncoding):
		r.Framing = Chunked
	case r.Seen.Has(ContentLength):
		r.Framing = Length
	default:
		r.Framing, r.Length = None, 0
	}
	return NoReason
}

// InStream notes, once the head is whole, that a body may follow it in a stream of HTTP/2.
func (r *Request) InStream() {
	if r.Framing = Stream; !r.Seen.Has(ContentLength) {
		r.Length = -1
	}
}

// Idempotent reports whether the method is idempotent (RFC 9110 9.2.2).
func (r *Request) Idempotent() bool {
	switch r.Method {
	case GET, HEAD, PUT, DELETE, OPTIONS, TRACE:
		return true
	}
	return false
}
