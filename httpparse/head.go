package httpparse

import "lb/internal/invariant"

// state is the place in a head that the next byte belongs to.
type state uint8

const (
	beforeLine  state = iota // empty lines before a request line
	inMethod                 // request line
	inTarget                 //
	inVersion                //
	inStatus                 // status line, up to the code
	afterCode                //
	inPhrase                 //
	afterPhrase              // behind its CR
	atLine                   // first byte of a field line
	inName                   //
	beforeValue              // white space behind the colon
	inValue                  //
	afterValue               // behind its CR
	afterHead                // behind the CR of the empty line
	over                     //
	refused                  //
)

const nominatedMax = 64

// reset makes h ready for a new head that begins in state s and in which the
// watched fields matter.
func (h *Head) reset(l *Limits, s state, watched FieldSet) {
	fields := h.Fields
	if cap(fields) < l.Fields {
		fields = make([]Field, 0, l.Fields)
	}
	*h = Head{}
	h.Fields = fields[:0]
	h.Length = -1
	h.state, h.watched = s, watched
	h.headMax, h.targetMax, h.fieldMax = uint32(l.HeadBytes), uint32(l.TargetBytes), uint32(l.Fields)
}

// view returns the part of b that may be looked at. What lies behind HeadBytes
// has no say, so that the verdict does not depend on how much came at once.
func (h *Head) view(b []byte) []byte { return b[:min(len(b), int(h.headMax))] }

// refuse makes Bad, for r at offset i, the last word on this head.
func (h *Head) refuse(r Reason, i int) Status {
	h.state, h.Reason, h.ReasonOff = refused, r, uint32(i)
	return Bad
}

// wait notes that the head goes on in state s at offset i, which is not there
// yet. It refuses a head that has used up its limit.
func (h *Head) wait(s state, i int, b []byte) Status {
	h.state, h.pos = s, uint32(i)
	if len(b) < int(h.headMax) {
		return More
	}
	if s == inTarget {
		return h.refuse(LongTarget, i)
	}
	return h.refuse(LongHead, i)
}

// verdict repeats the last word on a head that had one.
func (h *Head) verdict() Status {
	if h.state == refused {
		return Bad
	}
	return Done
}

// lines reads field lines and the empty line behind them (RFC 9112 5). b is
// what view returned.
func (h *Head) lines(b []byte) Status {
	i, n := int(h.pos), len(h.Fields)
	fields := h.Fields[:h.fieldMax]
	f := &fields[min(n, len(fields)-1)] // the field that is being read
	for s := h.state; ; s = atLine {
		switch s {
		case atLine:
			if i >= len(b) {
				return h.pause(atLine, i, n, b)
			}
			if b[i] == '\r' {
				i++
				return h.end(i, n, b)
			}
			if n == len(fields) {
				return h.refuse(ManyFields, i)
			}
			f = &fields[n]
			f.Name.Off = uint32(i)
			fallthrough
		case inName:
			i = scanToken(b, i)
			if i >= len(b) {
				return h.pause(inName, i, n, b)
			}
			off := f.Name.Off
			if b[i] != ':' || i == int(off) {
				return h.refuse(nameFault(b[i], i == int(off)), i)
			}
			f.Name.Len = uint32(i) - off
			i++
			fallthrough
		case beforeValue:
			for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
				i++
			}
			if i >= len(b) {
				return h.pause(beforeValue, i, n, b)
			}
			f.Value.Off = uint32(i)
			fallthrough
		case inValue:
			i = scanValue(b, i)
			if i >= len(b) {
				return h.pause(inValue, i, n, b)
			}
			if b[i] != '\r' {
				return h.refuse(controlFault(b[i], BadValue), i)
			}
			i++
			fallthrough
		case afterValue:
			if i >= len(b) {
				return h.pause(afterValue, i, n, b)
			}
			if b[i] != '\n' {
				return h.refuse(BareCR, i)
			}
			if r := h.field(b, f, i-1); r != NoReason {
				return h.refuse(r, i)
			}
			i++
			n++
		case afterHead:
			return h.end(i, n, b)
		}
	}
}

// pause is wait with n whole fields.
func (h *Head) pause(s state, i, n int, b []byte) Status {
	h.Fields = h.Fields[:n]
	return h.wait(s, i, b)
}

// end reads the LF of the empty line.
func (h *Head) end(i, n int, b []byte) Status {
	if i >= len(b) {
		return h.pause(afterHead, i, n, b)
	}
	if b[i] != '\n' {
		return h.refuse(BareCR, i)
	}
	h.Fields = h.Fields[:n]
	h.state, h.pos, h.HeadLen = over, uint32(i), uint32(i)+1
	return Done
}

// nameFault tells what is wrong with the byte c behind, or first in, a name.
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

// controlFault tells what is wrong with the control byte c; r if it is not LF.
func controlFault(c byte, r Reason) Reason {
	if c == '\n' {
		return BareLF
	}
	return r
}

// field completes f, whose line ends with the CR at cr, and takes note of it.
func (h *Head) field(b []byte, f *Field, cr int) Reason {
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
		return NoReason
	}
	before := h.Seen
	h.Seen |= 1 << (f.ID & 63)
	if !h.watched.Has(f.ID) {
		return NoReason
	}
	return h.note(b, f, before)
}

// note looks at a field that has a say in how the message is read; before is
// what was seen before it.
func (h *Head) note(b []byte, f *Field, before FieldSet) Reason {
	again := before.Has(f.ID)
	switch f.ID {
	case Connection:
		return h.options(f.Value.Of(b))
	case ContentLength:
		return h.length(f.Value.Of(b), again)
	case TransferEncoding:
		if h.coding = codingVerdict(f.Value.Of(b)); again {
			h.coding = BadCoding
		}
	case Host:
		if again {
			return ManyHosts
		}
		if h.host = f.Value; f.Value.Len > 0 && !authority(f.Value.Of(b)) {
			return BadHost
		}
	}
	return NoReason
}

// options reads one Connection field (RFC 9110 7.6.1). Empty elements are
// ignored (RFC 9110 5.6.1).
func (h *Head) options(v []byte) Reason {
	for i := 0; i < len(v); {
		if c := v[i]; c == ',' || c == ' ' || c == '\t' {
			i++
			continue
		}
		end := scanToken(v, i)
		if !listGoesOn(v, end) || end == i {
			return BadConnection
		}
		if r := h.option(v[i:end]); r != NoReason {
			return r
		}
		i = end
	}
	return NoReason
}

// listGoesOn reports whether a comma or the end follows the element that ends at i.
func listGoesOn(v []byte, i int) bool {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t') {
		i++
	}
	return i == len(v) || v[i] == ','
}

func (h *Head) option(name []byte) Reason {
	switch {
	case sameFold(name, "keep-alive"):
		h.keepAlive = true
	case sameFold(name, "close"):
		h.closing = true
	case sameFold(name, "upgrade"):
		h.UpgradeOption = true
	case sameFold(name, "te"):
	case h.nominated == nominatedMax:
		return ManyNominated
	default:
		h.nominated++
		h.nameBits |= nameBit(name)
		h.Nominated = true
	}
	return NoReason
}

// nameBit gives a name one of 64 bits, by its length and first letter, so that
// most fields are seen at once not to be nominated.
func nameBit(name []byte) uint64 {
	return 1 << ((len(name)*7 ^ int(name[0]|0x20)) & 63)
}

// persistence sets Close (RFC 9112 9.3).
func (h *Head) persistence() {
	h.Close = h.closing || h.Minor == 0 && !h.keepAlive
}

// Nominates reports whether a Connection field of b names the field f (RFC 9110
// 7.6.1). Host and the fields of the framing are never nominated: without them
// the message would be another one.
func (h *Head) Nominates(b []byte, f Field) bool {
	invariant.Check(h.state == over, "httpparse: Nominates before Done")
	if !h.Nominated || h.nameBits&nameBit(f.Name.Of(b)) == 0 || essential.Has(f.ID) {
		return false
	}
	for i := range h.Fields {
		if c := &h.Fields[i]; c.ID == Connection && hasName(c.Value.Of(b), f.Name.Of(b)) {
			return true
		}
	}
	return false
}

var essential = SetOf(Host, ContentLength, TransferEncoding)

// HasToken reports whether a comma-separated list field id holds the token (lower
// case) in b.
func (h *Head) HasToken(b []byte, id FieldID, token string) bool {
	if !h.Seen.Has(id) {
		return false
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == id && hasToken(f.Value.Of(b), token) {
			return true
		}
	}
	return false
}

// Find returns the first field id.
func (h *Head) Find(id FieldID) (Field, bool) {
	if h.Seen.Has(id) {
		for _, f := range h.Fields {
			if f.ID == id {
				return f, true
			}
		}
	}
	return Field{}, false
}
