package httpparse

// fieldNames are the usual names of the known fields.
var fieldNames = [fieldIDs]string{
	Connection:         "Connection",
	ContentLength:      "Content-Length",
	Date:               "Date",
	Expect:             "Expect",
	Forwarded:          "Forwarded",
	Host:               "Host",
	HTTP2Settings:      "HTTP2-Settings",
	KeepAlive:          "Keep-Alive",
	MaxForwards:        "Max-Forwards",
	ProxyConnection:    "Proxy-Connection",
	Server:             "Server",
	TE:                 "TE",
	Trailer:            "Trailer",
	TransferEncoding:   "Transfer-Encoding",
	Upgrade:            "Upgrade",
	Via:                "Via",
	XForwardedFor:      "X-Forwarded-For",
	XForwardedHost:     "X-Forwarded-Host",
	XForwardedProto:    "X-Forwarded-Proto",
	Cookie:             "Cookie",
	SetCookie:          "Set-Cookie",
	Authorization:      "Authorization",
	ContentType:        "Content-Type",
	ContentEncoding:    "Content-Encoding",
	ContentRange:       "Content-Range",
	ProxyAuthenticate:  "Proxy-Authenticate",
	ProxyAuthorization: "Proxy-Authorization",
	StrictTransport:    "Strict-Transport-Security",
}

// String returns the field's usual name, or "" for Other and the claims.
func (id FieldID) String() string { return fieldNames[id] }

const fold = 0x20 * ones

// knownName is a known name in lower case, as words of 8 bytes: the first (mask covers a
// shorter name), the last, bytes 8 to 15, which count only if the name is longer than 16,
// and bytes 16 to 23, if it is longer than 24.
type knownName struct {
	first, last, mid, far, mask uint64
	len                         uint8
	id                          FieldID
}

// knownNames is a hash table without collisions: the factor in nameHash was chosen by
// search so that each name has a place of its own.
var knownNames = func() (t [64]knownName) {
	for id := Connection; id < Claim; id++ {
		name := []byte(fieldNames[id])
		n := len(name)
		e := knownName{len: uint8(n), id: id, mask: 1<<(8*uint(n)) - 1}
		e.first = (load(name, 0) | fold) & e.mask
		if n > 8 {
			e.last = load(name, n-8) | fold
		}
		if n > 16 {
			e.mid = load(name, 8) | fold
		}
		if n > 24 {
			e.far = load(name, 16) | fold
		}
		place := &t[nameHash(name[0], n)]
		if place.id != Other {
			panic("httpparse: " + place.id.String() + " and " + id.String() + " have one place: see nameHash")
		}
		*place = e
	}
	return t
}()

// nameHash hashes the first letter, without case, and the length, which together
// distinguish all known names. If two come to one place, which panics at the start,
// another odd factor has to be found, by some hundred or thousand random ones. A name with the letter and length of another takes another hash,
// and one of more than 32 bytes a further word in knownName.
func nameHash(first byte, n int) uint32 {
	return (uint32(n)<<8 | uint32(first|0x20)) * 0x553ece9d >> 26
}

// fieldID returns the id of the name of n bytes at b[i:], or Other also for a Claim: see
// package claim.
func fieldID(b []byte, i, n int) FieldID {
	e := &knownNames[nameHash(b[i], n)]
	switch {
	case int(e.len) != n || (load(b, i)|fold)&e.mask != e.first,
		n > 8 && load(b, i+n-8)|fold != e.last,
		n > 16 && load(b, i+8)|fold != e.mid,
		n > 24 && load(b, i+16)|fold != e.far:
		return Other
	}
	return e.id
}

// method returns the id of a method. Case matters (RFC 9110 9.1).
func method(name []byte) Method {
	switch string(name) {
	case "GET":
		return GET
	case "HEAD":
		return HEAD
	case "POST":
		return POST
	case "PUT":
		return PUT
	case "DELETE":
		return DELETE
	case "OPTIONS":
		return OPTIONS
	case "TRACE":
		return TRACE
	case "CONNECT":
		return CONNECT
	case "PATCH":
		return PATCH
	}
	return OtherMethod
}
