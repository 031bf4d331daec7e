// Package list reads the comma-separated lists of field values (RFC 9110 5.6.1).
package list

import "bytes"

// Cut returns the first element of a list, possibly empty,
// without white space around it, and the rest after its comma; more reports whether
// there was a comma. A comma in a quoted string counts as one.
func Cut(v []byte) (e, rest []byte, more bool) {
	e, rest, more = bytes.Cut(v, comma)
	return Trim(e), rest, more
}

var comma = []byte(",")

// Trim returns v without spaces and tabs around it (RFC 9110 5.6.3).
func Trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// HasName reports whether the list v contains the field name, in any case.
func HasName(v, name []byte) bool {
	for more := true; more; {
		var e []byte
		e, v, more = Cut(v)
		if len(e) == len(name) && bytes.EqualFold(e, name) {
			return true
		}
	}
	return false
}

// HasToken reports whether the list v contains the token, which is in lower case.
func HasToken(v []byte, token string) bool {
	for more := true; more; {
		var e []byte
		e, v, more = Cut(v)
		if SameFold(e, token) {
			return true
		}
	}
	return false
}

// SameFold reports whether s equals lower, ignoring case. lower consists of
// letters, digits and '-', and s has no control bytes, so setting bit 0x20 makes no
// other bytes equal.
func SameFold(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, c := range s {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
