package httpparse

// Trailers parses a trailer section, from the end of the last chunk's line to the empty
// line that ends the section. HeadLen is its length in bytes.
type Trailers struct {
	Message
	lineParser
}

// Reset makes t ready for a new section. It keeps the memory of Fields.
func (t *Trailers) Reset(l *Limits) { t.lineParser.reset(&t.Message, l, atLine, 0) }

// Feed is as RequestParser.Feed: b starts at the section's first byte. Trailer fields do
// not affect how the message is read.
func (t *Trailers) Feed(b []byte) Status {
	if t.state >= over {
		return t.verdict()
	}
	return t.lines(&t.Message, t.view(b))
}

// neverTrailers are the known fields that may not be sent as trailers.
var neverTrailers = func() (s FieldSet) {
	for id := Connection; id < fieldIDs; id++ {
		if id != Server {
			s |= 1 << id
		}
	}
	return s
}()

// notTrailers are the other fields that may not be trailers (RFC 9110 6.5.1): request
// modifiers, control data of a response, authentication, cookies; in lower case.
var notTrailers = []string{
	"accept-ranges", "age", "authentication-info", "cache-control", "clear-site-data",
	"cookie2", "expires", "http2-settings", "location", "pragma", "range", "retry-after",
	"set-cookie2", "strict-transport-security", "vary", "warning", "www-authenticate",
}

// notTrailerPrefixes begin the names of whole families of such fields.
var notTrailerPrefixes = []string{
	"access-control-", "authorization", "content-", "if-", "proxy-", "x-forwarded-",
}

// mayTrail reports whether a field of this name and id may be sent as a trailer.
func mayTrail(name []byte, id FieldID) bool {
	if neverTrailers.Has(id) {
		return false
	}
	for _, p := range notTrailerPrefixes {
		if len(name) >= len(p) && sameFold(name[:len(p)], p) {
			return false
		}
	}
	for _, n := range notTrailers {
		if sameFold(name, n) {
			return false
		}
	}
	return true
}

// AppendTrailers appends, as "Name: value\r\n", the fields of t that may be sent
// as trailers: not those for framing, routing, authentication, content or the
// connection (RFC 9110 6.5.1). b is the buffer that t was fed.
func AppendTrailers(dst, b []byte, t *Trailers) []byte {
	for i := range t.Fields {
		if f := &t.Fields[i]; !f.hidden && mayTrail(f.Name.Of(b), f.ID) {
			dst = appendField(dst, b, f)
		}
	}
	return dst
}
