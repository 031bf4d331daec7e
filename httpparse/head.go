package httpparse

import (
	"lb/httpparse/claim"
	"lb/httpparse/list"
	"lb/internal/invariant"
)

// state is the place of the next byte in a head.
type state uint8

const (
	beforeLine  state = iota // empty lines before a request line or a status line
	inMethod                 // request line
	inTarget                 //
	inVersion                //
	inStatus                 // status line, up to the space after the version
	beforeCode               // white space before the code
	inCode                   //
	afterCode                //
	inPhrase                 //
	afterPhrase              // after its CR
	atLine                   // first byte of a field line
	inFold                   // white space that continues the field before, in an answer
	inName                   //
	beforeColon              // white space before the colon, in an answer
	beforeValue              // white space after the colon
	inValue                  //
	afterValue               // after its CR
	afterHead                // after the CR of the empty line
	over                     //
	refused                  //
)

const nominatedMax = 64

// lineParser is the part of a parser that requests and responses share: its place in the
// buffer and the state that it needs until the head is whole. Each call is given the
// message to fill.
type lineParser struct {
	Reason    Reason // set by Bad
	ReasonOff uint32 // offset in the buffer of the byte that was refused

	state     state
	pos       uint32 // how far the buffer has been read
	mark      uint32 // where the method or the target began
	headMax   uint32
	targetMax uint32
	fieldMax  uint32
	folds     uint32   // lines that continued a field
	watched   FieldSet // fields that note reads
	host      Span     // value of Host
	answer    bool     // the message is an answer's, and is read more tolerantly
	chunked   bool     // Transfer-Encoding says chunked; answers only
	coding    Reason   // verdict on Transfer-Encoding; NoReason for chunked, or for none
	keepAlive bool     // Connection has the option keep-alive
	closing   bool     // Connection has the option close
	nominated uint8    // how many names Connection has
}

// reset prepares p and m for a new head that begins in state s. The watched fields decide
// how the message is read; answer says that it is an answer's. The memory of m.Fields is
// kept.
func (p *lineParser) reset(m *Message, l *Limits, s state, watched FieldSet, answer bool) {
	if cap(m.Fields) < l.Fields {
		m.Fields = make([]Field, 0, l.Fields)
	}
	// One by one: assigning a whole Message would write its pointer again.
	m.Fields = m.Fields[:0]
	m.HeadLen, m.Minor, m.Framing, m.Length = 0, 0, None, -1
	m.Seen, m.nameBits, m.odd = 0, 0, false
	m.Close, m.Nominated, m.UpgradeOption = false, false, false
	*p = lineParser{}
	p.state, p.watched, p.answer = s, watched, answer
	p.headMax, p.targetMax, p.fieldMax = uint32(l.HeadBytes), uint32(l.TargetBytes), uint32(l.Fields)
}

// view returns the part of b within HeadBytes. Bytes after it do not count, so that the
// verdict does not depend on how much came at once.
func (p *lineParser) view(b []byte) []byte { return b[:min(len(b), int(p.headMax))] }

// refuse makes Bad the final verdict on this head, for r at offset i.
func (p *lineParser) refuse(r Reason, i int) Status {
	p.state, p.Reason, p.ReasonOff = refused, r, uint32(i)
	return Bad
}

// wait notes that the head goes on in state s at offset i, whose byte has not come yet.
// It refuses a head that has reached its limit.
func (p *lineParser) wait(s state, i int, b []byte) Status {
	p.state, p.pos = s, uint32(i)
	if len(b) < int(p.headMax) {
		return More
	}
	if s == inTarget {
		return p.refuse(LongTarget, i)
	}
	return p.refuse(LongHead, i)
}

// verdict repeats the verdict on a head that has one.
func (p *lineParser) verdict() Status {
	if p.state == refused {
		return Bad
	}
	return Done
}

// plainLines reads field lines and the empty line after them (RFC 9112 5). b is the result
// of view. The verdict is odd at a byte that a request may not have: see oddLines.
func (p *lineParser) plainLines(m *Message, b []byte) Status {
	i, n := int(p.pos), len(m.Fields)
	fields := m.Fields[:p.fieldMax]
	f := &fields[min(n, len(fields)-1)] // the field that is being read
	for s := p.state; ; s = atLine {
		switch s {
		case atLine:
			if i >= len(b) {
				return p.pause(m, atLine, i, n, b)
			}
			if b[i] <= ' ' || n == len(fields) {
				if b[i] == '\r' {
					return p.end(m, i+1, n, b)
				}
				return p.stop(m, atLine, i, n)
			}
			f = &fields[n]
			f.Name.Off = uint32(i)
			fallthrough
		case inName:
			off := f.Name.Off
			if i = scanName(b, i); i >= len(b) || b[i] != ':' || i == int(off) {
				m.odd = m.odd || i < len(b)
				if i = scanToken(b, i); i >= len(b) {
					return p.pause(m, inName, i, n, b)
				}
			}
			if b[i] != ':' || i == int(off) {
				return p.stop(m, inName, i, n)
			}
			f.Name.Len = uint32(i) - off
			i++
			fallthrough
		case beforeValue:
			for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
				i++
			}
			if i >= len(b) {
				return p.pause(m, beforeValue, i, n, b)
			}
			f.Value.Off = uint32(i)
			fallthrough
		case inValue:
			i = scanValue(b, i)
			if i >= len(b) {
				return p.pause(m, inValue, i, n, b)
			}
			if b[i] != '\r' {
				return p.stop(m, inValue, i, n)
			}
			i++
			fallthrough
		case afterValue:
			if i >= len(b) {
				return p.pause(m, afterValue, i, n, b)
			}
			if b[i] != '\n' {
				return p.refuse(BareCR, i)
			}
			if r := p.field(m, b, f, i-1); r != NoReason {
				return p.refuse(r, i)
			}
			i, n = i+1, n+1
		case afterHead:
			return p.end(m, i, n, b)
		default: // inFold, beforeColon
			return odd
		}
	}
}

// stop notes that a byte at i in state s, after n whole fields, is one for oddByte.
func (p *lineParser) stop(m *Message, s state, i, n int) Status {
	m.Fields = m.Fields[:n]
	p.state, p.pos = s, uint32(i)
	return odd
}

// skipBlanks returns the index of the first byte from i on that is no space or tab, or
// len(b).
func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// pause is wait after n whole fields.
func (p *lineParser) pause(m *Message, s state, i, n int, b []byte) Status {
	m.Fields = m.Fields[:n]
	return p.wait(s, i, b)
}

// end reads the LF of the empty line.
func (p *lineParser) end(m *Message, i, n int, b []byte) Status {
	if i >= len(b) {
		return p.pause(m, afterHead, i, n, b)
	}
	if b[i] != '\n' {
		return p.refuse(BareCR, i)
	}
	m.Fields = m.Fields[:n]
	p.state, p.pos, m.HeadLen = over, uint32(i), uint32(i)+1
	return Done
}

// nameFault returns the reason to refuse the byte c after a name, or first in one.
func nameFault(c byte, first bool) Reason {
	switch {
	case c == '\n':
		return BareLF
	case c == ' ' || c == '\t':
		if first {
			return ObsFold
		}
		return SpaceColon
	case c == '\r':
		return NoColon
	}
	return BadName
}

// controlFault returns the reason to refuse the control byte c: BareLF for LF, otherwise r.
func controlFault(c byte, r Reason) Reason {
	if c == '\n' {
		return BareLF
	}
	return r
}

// field completes f, whose line ends with the CR at cr, and notes it in m.
func (p *lineParser) field(m *Message, b []byte, f *Field, cr int) Reason {
	end, off := cr, int(f.Value.Off)
	for end > off && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	f.Value.Len = uint32(end - off)
	colon := int(f.Name.Off + f.Name.Len)
	f.hidden = false
	f.plain = end == cr && off == colon+2 && b[off-1] == ' '
	f.ID = fieldID(b, int(f.Name.Off), int(f.Name.Len))
	if f.ID == Other {
		if !p.watched.Has(Host) || !claim.May(b, int(f.Name.Off), int(f.Name.Len)) || !claim.Is(f.Name.Of(b)) {
			return NoReason
		}
		if f.ID = Claim; claim.IsOfCert(f.Name.Of(b)) {
			f.ID = CertClaim
		}
	}
	before := m.Seen
	m.Seen |= 1 << (f.ID & 63)
	if !p.watched.Has(f.ID) {
		return NoReason
	}
	if b[colon] != ':' { // a space before it
		p.closing = true
	}
	return p.note(m, b, f, before)
}

// note reads a field that decides how the message is read. before are the fields before
// it.
func (p *lineParser) note(m *Message, b []byte, f *Field, before FieldSet) Reason {
	again := before.Has(f.ID)
	switch f.ID {
	case Connection:
		return p.options(m, f.Value.Of(b))
	case ContentLength:
		return p.length(m, f.Value.Of(b), again)
	case TransferEncoding:
		if p.answer {
			p.codings(f.Value.Of(b))
			return NoReason
		}
		if p.coding = codingVerdict(f.Value.Of(b)); again {
			p.coding = BadCoding
		}
	case Host:
		if again {
			return ManyHosts
		}
		if p.host = f.Value; f.Value.Len > 0 && !authority(f.Value.Of(b)) {
			return BadHost
		}
	}
	return NoReason
}

// options reads one Connection field (RFC 9110 7.6.1). Empty elements are ignored (RFC
// 9110 5.6.1). So is one that is no token, such as "close;": it nominates nothing, and the
// conn ends with the message, since that may be what the sender meant.
func (p *lineParser) options(m *Message, v []byte) Reason {
	for i := 0; i < len(v); {
		if c := v[i]; c == ',' || c == ' ' || c == '\t' {
			i++
			continue
		}
		end := scanToken(v, i)
		if !listGoesOn(v, end) || end == i {
			p.closing = true
			for i < len(v) && v[i] != ',' {
				i++
			}
			continue
		}
		if r := p.option(m, v[i:end]); r != NoReason {
			return r
		}
		i = end
	}
	return NoReason
}

// listGoesOn reports whether a comma or the end follows the element that ends at i.
func listGoesOn(v []byte, i int) bool {
	i = skipBlanks(v, i)
	return i == len(v) || v[i] == ','
}

func (p *lineParser) option(m *Message, name []byte) Reason {
	switch {
	case list.SameFold(name, "keep-alive"):
		p.keepAlive = true
	case list.SameFold(name, "close"):
		p.closing = true
	case list.SameFold(name, "upgrade"):
		m.UpgradeOption = true
	case list.SameFold(name, "te"):
	case p.nominated == nominatedMax:
		return ManyNominated
	default:
		p.nominated++
		m.nameBits |= nameBit(name)
		m.Nominated = true
	}
	return NoReason
}

// nameBit gives a name one of 64 bits, by its length and first letter. Most fields that
// are not nominated are recognised by it alone.
func nameBit(name []byte) uint64 {
	return 1 << ((len(name)*7 ^ int(name[0]|0x20)) & 63)
}

// persistence sets Close (RFC 9112 9.3).
func (p *lineParser) persistence(m *Message) {
	m.Close = p.closing || m.Minor == 0 && !p.keepAlive
}

// Nominates reports whether a Connection field of b names the field f (RFC 9110 7.6.1).
// Host and the framing fields are never nominated: the message would change without them.
// Nor are Claims: a client behind a trusted proxy would erase what that proxy says of it.
func (m *Message) Nominates(b []byte, f Field) bool {
	invariant.Check(m.HeadLen > 0, "httpparse: Nominates before Done")
	if !m.Nominated || m.nameBits&nameBit(f.Name.Of(b)) == 0 || essential.Has(f.ID) {
		return false
	}
	for i := range m.Fields {
		if c := &m.Fields[i]; c.ID == Connection && list.HasName(c.Value.Of(b), f.Name.Of(b)) {
			return true
		}
	}
	return false
}

var essential = SetOf(Host, ContentLength, TransferEncoding) | Claims

// HasToken reports whether a comma-separated list field id contains the token, which is
// in lower case. b is the buffer that m was parsed from.
func (m *Message) HasToken(b []byte, id FieldID, token string) bool {
	if !m.Seen.Has(id) {
		return false
	}
	for i := range m.Fields {
		if f := &m.Fields[i]; f.ID == id && !f.hidden && list.HasToken(f.Value.Of(b), token) {
			return true
		}
	}
	return false
}

// Find returns the first field with this id that is not hidden, and reports whether there
// is one.
func (m *Message) Find(id FieldID) (Field, bool) {
	if m.Seen.Has(id) {
		for _, f := range m.Fields {
			if f.ID == id && !f.hidden {
				return f, true
			}
		}
	}
	return Field{}, false
}
