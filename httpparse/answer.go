package httpparse

import "lb/httpparse/list"

// An answer comes from the operator's own backend, and lb writes its head and its framing
// again. So an answer may have what RFC 9112 gives one meaning and real servers send: lines
// that end with LF alone (2.2), folded values (5.2), white space before a colon (5.1),
// control bytes in values (RFC 9110 5.5), which become spaces. Nothing here is reached by a
// well-formed answer, and a request is refused for all of it.

// odd is a verdict of plainLines: oddByte reads the next byte; of oddByte: plainLines goes on.
const odd Status = Bad + 1

// oddLines goes on where plainLines stopped.
func (p *lineParser) oddLines(m *Message, b []byte) Status {
	st := odd
	for st == odd {
		if st = p.oddByte(m, b); st == odd {
			st = p.plainLines(m, b)
		}
	}
	return st
}

// oddByte reads the byte at which plainLines stopped, or refuses it.
func (p *lineParser) oddByte(m *Message, b []byte) Status {
	i, n := int(p.pos), len(m.Fields)
	fields := m.Fields[:p.fieldMax]
	f := &fields[min(n, len(fields)-1)]
	switch p.state {
	case atLine:
		return p.oddLine(m, b, i, n)
	case inName:
		return p.oddName(m, b, f, i, n)
	case inValue:
		return p.oddValue(m, b, f, i, n)
	}
	if i = skipBlanks(b, i); i >= len(b) {
		return p.pause(m, p.state, i, n, b)
	}
	switch {
	case p.state == inFold:
		f.join(b, i)
		return p.stop(m, inValue, i, n)
	case b[i] != ':':
		return p.refuse(SpaceColon, i)
	}
	return p.stop(m, beforeValue, i+1, n)
}

// oddLine reads the first byte of a line: an LF, which ends the head, or white space, which
// continues field n-1.
func (p *lineParser) oddLine(m *Message, b []byte, i, n int) Status {
	blank := b[i] == ' ' || b[i] == '\t'
	switch {
	case p.answer && b[i] == '\n':
		return p.end(m, i, n, b)
	case n == int(p.fieldMax) && !blank:
		return p.refuse(ManyFields, i)
	case !p.answer || !blank || n == 0:
		return p.refuse(nameFault(b[i], true), i)
	}
	// A fold counts as a field line, as joining costs time. And no recipient should have to
	// unfold a field to know where the message ends.
	if p.folds++; n+int(p.folds) > int(p.fieldMax) || p.watched.Has(m.Fields[n-1].ID) {
		return p.refuse(ObsFold, i)
	}
	return p.stop(m, inFold, i, n-1)
}

// oddName reads the byte at i that ends the name of f and is no colon.
func (p *lineParser) oddName(m *Message, b []byte, f *Field, i, n int) Status {
	first := i == int(f.Name.Off)
	switch c := b[i]; {
	case !p.answer || first:
	case c == ' ' || c == '\t':
		f.Name.Len = uint32(i) - f.Name.Off
		return p.stop(m, beforeColon, i, n)
	case c == '\n': // the end of the line, as well
		return p.refuse(NoColon, i)
	}
	return p.refuse(nameFault(b[i], first), i)
}

// oddValue reads the control byte at i in the value of f. An LF ends the line.
func (p *lineParser) oddValue(m *Message, b []byte, f *Field, i, n int) Status {
	c := b[i]
	switch {
	case !p.answer || c == 0:
		return p.refuse(controlFault(c, BadValue), i)
	case c != '\n' && (p.watched & SetOf(ContentLength, TransferEncoding)).Has(fieldID(b, int(f.Name.Off), int(f.Name.Len))):
		return p.refuse(BadValue, i) // parsers disagree about such a length or coding
	case c != '\n':
		b[i] = ' ' // net/http, for one, takes no control bytes
		if i == int(f.Value.Off) {
			return p.stop(m, beforeValue, i+1, n)
		}
		return p.stop(m, inValue, i+1, n)
	}
	if r := p.field(m, b, f, i); r != NoReason {
		return p.refuse(r, i)
	}
	f.plain = false
	return p.stop(m, atLine, i+1, n+1)
}

// join moves the value of f up to the byte at i, which continues it, with one space
// between them (RFC 9112 5.2). So the value is one range of b, without the line ends.
func (f *Field) join(b []byte, i int) {
	off := i - 1 - int(f.Value.Len)
	if f.Value.Len == 0 {
		off = i
	}
	copy(b[off:], f.Value.Of(b))
	b[i-1] = ' '
	f.Value.Off = uint32(off)
}

// codings reads one Transfer-Encoding field (RFC 9112 6.1). An empty one, and identity,
// which RFC 2616 had, say nothing. Chunked may be repeated, as by servers that copy the
// fields of another answer: no server applies it twice. For all of these, the conn ends
// with the answer.
func (p *lineParser) codings(v []byte) {
	if !p.chunked && p.coding == NoReason && list.SameFold(v, "chunked") {
		p.chunked = true
		return
	}
	p.closing = true
	for more := true; more && p.coding == NoReason; {
		var e []byte
		e, v, more = list.Cut(v)
		switch {
		case len(e) == 0:
		case list.SameFold(e, "chunked"):
			p.chunked = true
		case p.chunked || scanToken(e, 0) != len(e):
			p.coding = BadCoding
		case !list.SameFold(e, "identity"):
			p.coding = OtherCoding
		}
	}
}
