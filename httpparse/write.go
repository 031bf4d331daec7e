package httpparse

import (
	"bytes"

	"lb/internal/invariant"
)

// AppendFields appends every field of m as "Name: value\r\n", except those in
// drop, those that Connection nominates (RFC 9110 7.6.1) and hidden ones. b is the
// buffer that m was parsed from. Consecutive fields that already have this form
// are copied in one piece. m.Marks has marks kept.
func AppendFields(dst, b []byte, m *Message, drop FieldSet) []byte {
	invariant.Check(m.HeadLen > 0, "httpparse: AppendFields before Done")
	from, to := uint32(0), uint32(0) // the run still to be copied
	for i := range m.Fields {
		f := &m.Fields[i]
		switch {
		case f.hidden || drop.Has(f.ID) || m.Nominated && m.Nominates(b, *f):
			continue
		case f.plain && f.Name.Off == to:
			to = f.lineEnd()
			continue
		}
		dst = append(dst, b[from:to]...)
		if from, to = 0, 0; f.plain {
			from, to = f.Name.Off, f.lineEnd()
		} else {
			dst = appendField(dst, b, f, m.Marks)
		}
	}
	return append(dst, b[from:to]...)
}

// Hide hides all fields of this name, in any case, so that the field can be set to another
// value: AppendFields, Find and the other methods pass over hidden fields. b is the buffer
// that m was parsed from.
func (m *Message) Hide(b []byte, name string) {
	for i := range m.Fields {
		if f := &m.Fields[i]; int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			f.hidden = true
		}
	}
}

// lineEnd returns the offset after the CRLF of a plain field.
func (f *Field) lineEnd() uint32 { return f.Value.Off + f.Value.Len + 2 }

// appendField appends one field line, with its mark if marks are kept.
func appendField(dst, b []byte, f *Field, marks bool) []byte {
	dst = append(dst, f.Name.Of(b)...)
	if marks && b[f.Name.Off+f.Name.Len+1] == mark {
		dst = append(dst, ':', mark)
	} else {
		dst = append(dst, ": "...)
	}
	dst = append(dst, f.Value.Of(b)...)
	return append(dst, "\r\n"...)
}

// mark is the byte of Message.Marks.
const mark = '\t'

// Unmark takes the marks out of field lines that go to HTTP/1 after all.
func Unmark(lines []byte) {
	for line := range bytes.Lines(lines) {
		if i := bytes.IndexByte(line, mark); i > 0 && bytes.IndexByte(line, ':') == i-1 {
			line[i] = ' '
		}
	}
}
