package hpack

import "encoding/binary"

// First bytes of the kinds of fields (RFC 7541 6), and the largest integers that still
// go into such a byte.
const (
	indexedField = 0x80
	plainField   = 0x00 // literal without indexing
	secretField  = 0x10 // literal never indexed
	sizeUpdate   = 0x20
	literalMask  = 0x0f
	updateMask   = 0x1f
	stringMask   = 0x7f
	guessableMax = 19 // bytes of a cookie that might be guessed, and is not to be indexed
)

// AppendIndexed appends the field at index i of the static table, from 1 to 61.
func AppendIndexed(d []byte, i ID) []byte { return append(d, indexedField|byte(i)) }

// AppendStatus appends :status with a code from 100 to 999.
func AppendStatus(d []byte, code int) []byte {
	switch code {
	case 200:
		return AppendIndexed(d, 8)
	case 204:
		return AppendIndexed(d, 9)
	case 206:
		return AppendIndexed(d, 10)
	case 304:
		return AppendIndexed(d, 11)
	case 400:
		return AppendIndexed(d, 12)
	case 404:
		return AppendIndexed(d, 13)
	case 500:
		return AppendIndexed(d, 14)
	}
	return append(d, plainField|byte(Status), 3, '0'+byte(code/100), '0'+byte(code/10%10), '0'+byte(code%10))
}

// AppendField appends a field that the peer is not to index, or the index of a field that
// the static table has. The name may have upper case letters of ASCII: it is written in
// lower case (RFC 9113 8.2). Credentials are written as never to be indexed, by others on
// the way neither (RFC 7541 7.1.3): authorization, proxy-authorization, and a cookie so
// short that it could be guessed.
func AppendField(d, name, value []byte) []byte {
	if id := IDOfAny(name); id != Other {
		return AppendKnown(d, id, value)
	}
	return appendOther(d, name, value)
}

// AppendNever is AppendField for a field that came as never to be indexed, and has to go on as
// that (RFC 7541 6.2.3). It is never the index of a field.
func AppendNever(d, name, value []byte) []byte {
	id := IDOfAny(name)
	if id != Other && id <= staticEntries {
		return appendString(appendInteger(d, secretField, literalMask, int(id)), value)
	}
	d = appendInteger(append(d, secretField), 0, stringMask, len(name))
	return appendString(appendLower(d, name), value)
}

// AppendSizeUpdate appends that our encoder uses a table of n bytes at most. It may stand
// at the beginning of a block alone (RFC 7541 4.2).
func AppendSizeUpdate(d []byte, n int) []byte { return appendInteger(d, sizeUpdate, updateMask, n) }

func appendOther(d, name, value []byte) []byte {
	d = appendInteger(append(d, plainField), 0, stringMask, len(name))
	return appendString(appendLower(d, name), value)
}

// IDOfAny is IDOf for a name that may have upper case letters.
func IDOfAny(name []byte) ID {
	if len(name) == 0 {
		return Other
	}
	id := places[placeOf(uint32(len(name)), name[0]|0x20, name[len(name)-1]|0x20)]
	if known := names[id].name; len(known) != len(name) || !lowerIs(name, known) {
		return Other
	}
	return id
}

// lowerIs reports whether name is the same as known, which is in lower case and as long,
// when its letters are put into lower case: eight bytes at a time, the last eight of which may
// have been compared before.
func lowerIs(name, known []byte) bool {
	n := len(name)
	if n < 8 {
		for i, c := range name {
			if c-'A' < 26 {
				c |= 0x20
			}
			if c != known[i] {
				return false
			}
		}
		return true
	}
	for i := 0; i < n-8; i += 8 {
		if lower(binary.LittleEndian.Uint64(name[i:])) != binary.LittleEndian.Uint64(known[i:]) {
			return false
		}
	}
	return lower(binary.LittleEndian.Uint64(name[n-8:])) == binary.LittleEndian.Uint64(known[n-8:])
}

// special has the names of which AppendKnown has more to say than their index.
var special = [len(names)]bool{Method: true, Path: true, Scheme: true, Status: true, AcceptEncoding: true,
	Authorization: true, ProxyAuthorization: true, Cookie: true, SetCookie: true}

// AppendKnown is AppendField for a name that has an ID.
func AppendKnown(d []byte, id ID, value []byte) []byte {
	if !special[id] && id <= staticEntries {
		if id < literalMask {
			return appendString(append(d, plainField|byte(id)), value)
		}
		return appendString(append(d, plainField|literalMask, byte(id-literalMask)), value) // of one byte (RFC 7541 5.1)
	}
	kind := byte(plainField)
	switch id {
	case Method, Path, Scheme, Status, AcceptEncoding:
		for i := id; names[i].id == id; i++ {
			if string(value) == string(names[i].value) {
				return AppendIndexed(d, i)
			}
		}
	case Authorization, ProxyAuthorization:
		kind = secretField
	case Cookie, SetCookie:
		if len(value) <= guessableMax {
			kind = secretField
		}
	}
	if id > staticEntries {
		d = appendString(append(d, kind), names[id].name)
	} else {
		d = appendInteger(d, kind, literalMask, int(id))
	}
	return appendString(d, value)
}

// appendString appends s as it is (RFC 7541 5.2).
func appendString(d, s []byte) []byte {
	if len(s) < stringMask {
		return append(append(d, byte(len(s))), s...)
	}
	return append(appendInteger(d, 0, stringMask, len(s)), s...)
}

// appendInteger appends n, in the bits of mask of a byte that begins with first, if it
// is small enough (RFC 7541 5.1).
func appendInteger(d []byte, first, mask byte, n int) []byte {
	if n < int(mask) {
		return append(d, first|byte(n))
	}
	d = append(d, first|mask)
	for n -= int(mask); n >= 0x80; n >>= 7 {
		d = append(d, byte(n)|0x80)
	}
	return append(d, byte(n))
}

// appendLower appends s with the upper case letters of ASCII in lower case, eight bytes
// at a time.
func appendLower(d, s []byte) []byte {
	d = append(d, s...)
	b := d[len(d)-len(s):]
	if n := len(b); n >= 8 {
		for i := 0; i < n-8; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], lower(binary.LittleEndian.Uint64(b[i:])))
		}
		b = b[n-8:] // some of them for the second time
		binary.LittleEndian.PutUint64(b, lower(binary.LittleEndian.Uint64(b)))
		return d
	}
	for i, c := range b {
		if c-'A' < 26 {
			b[i] = c | 0x20
		}
	}
	return d
}

const ones = 0x0101010101010101

// lower returns the eight bytes of x with the letters of ASCII in lower case.
func lower(x uint64) uint64 {
	low := x &^ (0x80 * ones)
	upper := (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ x & (0x80 * ones)
	return x | upper>>2
}
