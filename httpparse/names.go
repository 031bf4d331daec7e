package httpparse

// fieldNames are the names of the known fields, by FieldID.
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
}

// String returns the field's usual name, "" for Other.
func (id FieldID) String() string { return fieldNames[id] }

const (
	nameMin, nameMax = 2, 19 // lengths of known names
	fold             = 0x20 * ones
)

// knownName is a known name, folded to lower case, as the words that cover it:
// its first 8 bytes, its last 8, and those from 8 to 15 if it is longer than 16.
type knownName struct {
	first, last, mid uint64
	len              int
	id               FieldID
}

// knownNames is a hash table without collisions: nameHash gives each name a
// place of its own (the factor was searched for).
var knownNames = func() (t [64]knownName) {
	for id := Connection; id < fieldIDs; id++ {
		name := []byte(fieldNames[id])
		k := foldName(name, 0, len(name))
		k.id = id
		t[nameHash(k.first, k.len)] = k
	}
	return t
}()

// nameHash takes the first letter and the length, which tell all known names
// apart.
func nameHash(first uint64, n int) uint32 {
	return (uint32(n)<<8 | uint32(first&0xff)) * 0x65b675cd >> 26
}

// foldName returns the words of the token of n bytes at i in b.
func foldName(b []byte, i, n int) (k knownName) {
	k.len = n
	k.first = load(b, i) | fold
	if n < 8 {
		k.first &= 1<<(8*uint(n)) - 1
		return k
	}
	k.last = load(b, i+n-8) | fold
	if n > 16 {
		k.mid = load(b, i+8) | fold
	}
	return k
}

// fieldID returns the id of the token of n bytes at i in b.
func fieldID(b []byte, i, n int) FieldID {
	if n < nameMin || n > nameMax {
		return Other
	}
	k := foldName(b, i, n)
	e := &knownNames[nameHash(k.first, n)]
	if e.len != n || e.first != k.first || e.last != k.last || e.mid != k.mid {
		return Other
	}
	return e.id
}

// method returns the id of a method; case matters (RFC 9110 9.1).
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
