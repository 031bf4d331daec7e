package httpparse

import (
	"lb/httpparse/claim"
	"lb/httpparse/list"
)

// Trailers parses a trailer section, from the end of the last chunk's line to the empty
// line that ends the section. HeadLen is its length in bytes.
type Trailers struct {
	Message
	lineParser
}

// Reset makes t ready for a new section, which is read as tolerantly as a
// ResponseParser reads if it is an answer's. Reset keeps the memory of Fields.
func (t *Trailers) Reset(l *Limits, answer bool) {
	t.lineParser.reset(&t.Message, l, atLine, 0, answer)
}

// Feed is as RequestParser.Feed, or for an answer as ResponseParser.Feed: b starts at the
// section's first byte. Trailer fields do not affect how the message is read.
func (t *Trailers) Feed(b []byte) Status {
	if t.state >= over {
		return t.verdict()
	}
	v := t.view(b)
	if st := t.plainLines(&t.Message, v); st != odd {
		return st
	}
	return t.oddLines(&t.Message, v)
}

// neverTrailers are the known fields that may not be sent as trailers: those about framing,
// the conn and the way of a message, credentials, and the three that say how the content is
// to be read (RFC 9110 6.5.1).
var neverTrailers = func() (s FieldSet) {
	for id := Connection; id < fieldIDs; id++ {
		if id != Server && id != Date {
			s |= 1 << id
		}
	}
	return s
}()

// notTrailers are other credentials, in lower case. Claims may not be trailers either.
var notTrailers = []string{"authentication-info", "cookie2", "set-cookie2", "www-authenticate"}

const notTrailerMax = 32 // bytes: no name that may not trail is longer

// mayTrail reports whether a field of this name may be sent as a trailer. An underscore
// counts as a dash: many applications read both as one.
func mayTrail(name []byte) bool {
	var buf [notTrailerMax]byte
	dashed := buf[:copy(buf[:], name)]
	for i, c := range dashed {
		if c == '_' {
			dashed[i] = '-'
		}
	}
	for _, n := range notTrailers {
		if list.SameFold(dashed, n) {
			return false
		}
	}
	if n := len("proxy-"); len(dashed) > n && list.SameFold(dashed[:n], "proxy-") { // credentials for a proxy, and the like
		return false
	}
	return !claim.Is(dashed) && !neverTrailers.Has(fieldID(dashed, 0, len(dashed)))
}

// AppendTrailers appends, as "Name: value\r\n", the fields of t that may be sent as
// trailers (RFC 9110 6.5.1). b is the buffer that t was fed. t.Marks has marks kept.
func AppendTrailers(dst, b []byte, t *Trailers) []byte {
	for i := range t.Fields {
		if f := &t.Fields[i]; !f.hidden && mayTrail(f.Name.Of(b)) {
			dst = appendField(dst, b, f, t.Marks)
		}
	}
	return dst
}
