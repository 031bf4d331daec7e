package httpparse

import (
	"bytes"

	"lb/internal/invariant"
)

// AppendFields appends every field of h as "Name: value\r\n", except those in
// drop, those that Connection nominates (RFC 9110 7.6.1) and hidden ones. b is the
// buffer that h was parsed from. Consecutive fields that already have this form
// are copied in one piece.
func AppendFields(dst, b []byte, h *Head, drop FieldSet) []byte {
	invariant.Check(h.state == over, "httpparse: AppendFields before Done")
	from, to := uint32(0), uint32(0) // the run still to be copied
	for i := range h.Fields {
		f := &h.Fields[i]
		switch {
		case f.hidden || drop.Has(f.ID) || h.Nominated && h.Nominates(b, *f):
			continue
		case f.plain && f.Name.Off == to:
			to = f.lineEnd()
			continue
		}
		dst = append(dst, b[from:to]...)
		if from, to = 0, 0; f.plain {
			from, to = f.Name.Off, f.lineEnd()
		} else {
			dst = appendField(dst, b, f)
		}
	}
	return append(dst, b[from:to]...)
}

// Hide excludes all fields of this name, in any case, from AppendFields, so that
// the field can be set to another value. b is the buffer that h was parsed from.
func (h *Head) Hide(b []byte, name string) {
	for i := range h.Fields {
		if f := &h.Fields[i]; int(f.Name.Len) == len(name) && bytes.EqualFold(f.Name.Of(b), []byte(name)) {
			f.hidden = true
		}
	}
}

// lineEnd returns the offset after the CRLF of a plain field.
func (f *Field) lineEnd() uint32 { return f.Value.Off + f.Value.Len + 2 }

// appendField appends one field line.
func appendField(dst, b []byte, f *Field) []byte {
	dst = append(dst, f.Name.Of(b)...)
	dst = append(dst, ": "...)
	dst = append(dst, f.Value.Of(b)...)
	return append(dst, "\r\n"...)
}
