package httpparse

import "bytes"

// cutElement returns the first element of a comma-separated list, possibly empty,
// without white space around it, and the rest after its comma; more reports whether
// there was a comma. A comma in a quoted string counts as one.
func cutElement(v []byte) (e, rest []byte, more bool) {
	e, rest, more = bytes.Cut(v, comma)
	return trimOWS(e), rest, more
}

var comma = []byte(",")

// trimOWS returns v without spaces and tabs around it (RFC 9110 5.6.3).
func trimOWS(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// hasName reports whether the list v contains the field name, in any case.
func hasName(v, name []byte) bool {
	for more := true; more; {
		var e []byte
		e, v, more = cutElement(v)
		if len(e) == len(name) && bytes.EqualFold(e, name) {
			return true
		}
	}
	return false
}

// hasToken reports whether the list v contains the token, which is in lower case.
func hasToken(v []byte, token string) bool {
	for more := true; more; {
		var e []byte
		e, v, more = cutElement(v)
		if sameFold(e, token) {
			return true
		}
	}
	return false
}
