package httpparse

// An answer comes from the operator's own backend, and lb writes its head and its framing
// again. So an answer may have what RFC 9112 gives one meaning and real servers send: lines
// that end with LF alone (2.2), folded values (5.2), white space before a colon (5.1),
// control bytes in values (RFC 9110 5.5), which become spaces. Nothing here is reached by a
// well-formed answer, and a request is refused for all of it.

// blankLine returns how to go on with a field line whose first byte, at i, is a control
// byte or a space: the state, the offset and the number of whole fields. inName leads to
// the refusal.
func (p *lineParser) blankLine(c byte, i int, fields []Field, n int) (state, int, int) {
	switch {
	case c == '\r':
		return afterHead, i + 1, n
	case !p.answer:
	case c == '\n':
		return afterHead, i, n
	case c == ' ' || c == '\t':
		// A fold counts as a field line, as joining costs time. No recipient should have to
		// unfold a field to know where the message ends.
		if p.folds++; n > 0 && n+int(p.folds) <= len(fields) && !p.watched.Has(fields[n-1].ID) {
			return inFold, i, n - 1
		}
	}
	return inName, i, n
}

// oddName returns how to go on with the byte c at i, which ends the name of f and is no
// colon, or comes in place of a name.
func (p *lineParser) oddName(c byte, i int, f *Field) state {
	if p.answer && f.Name.Len > 0 {
		switch c {
		case ' ', '\t':
			return beforeColon
		case '\n':
			c = '\r' // the end of the line, as well
		}
	}
	p.refuse(nameFault(c, f.Name.Len == 0), i)
	return refused
}

// oddValue returns how to go on with the control byte at i in the value of f, and the
// number of whole fields.
func (p *lineParser) oddValue(m *Message, b []byte, f *Field, i, n int) (state, int) {
	c := b[i]
	switch {
	case !p.answer || c == 0:
		p.refuse(controlFault(c, BadValue), i)
		return refused, n
	case c != '\n':
		b[i] = ' ' // net/http, for one, takes no control bytes
		if i == int(f.Value.Off) {
			return beforeValue, n
		}
		return inValue, n
	}
	if r := p.field(m, b, f, i); r != NoReason {
		p.refuse(r, i)
		return refused, n
	}
	f.plain = false
	return atLine, n + 1
}

// afterBlanks returns how to go on, and where, with the byte at i after white space: the
// colon of f in state beforeColon, or more of its value in state inFold.
func (p *lineParser) afterBlanks(s state, b []byte, i int, f *Field) (state, int) {
	switch {
	case s == inFold:
		f.join(b, i)
		return inValue, i
	case b[i] != ':':
		p.refuse(SpaceColon, i)
		return refused, i
	}
	return beforeValue, i + 1
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
	if !p.chunked && p.coding == NoReason && sameFold(v, "chunked") {
		p.chunked = true
		return
	}
	p.closing = true
	for more := true; more && p.coding == NoReason; {
		var e []byte
		e, v, more = cutElement(v)
		switch {
		case len(e) == 0:
		case sameFold(e, "chunked"):
			p.chunked = true
		case p.chunked || scanToken(e, 0) != len(e):
			p.coding = BadCoding
		case !sameFold(e, "identity"):
			p.coding = OtherCoding
		}
	}
}
