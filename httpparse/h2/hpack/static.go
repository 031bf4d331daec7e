package hpack

// ID identifies the name of a field: it is the index of the first entry of the static
// table that has the name, or one of the further names below. It is the same however the
// peer wrote the name: by an index of either table, or as a literal.
type ID uint8

// The names that HTTP/2 treats in its own way. The numbers of the first group are
// positions in the static table (RFC 7541 appendix A).
const (
	Other              ID = 0 // any name that has no ID
	Authority          ID = 1
	Method             ID = 2
	Path               ID = 4
	Scheme             ID = 6
	Status             ID = 8
	AcceptEncoding     ID = 16
	Authorization      ID = 23
	ContentLength      ID = 28
	Cookie             ID = 32
	Host               ID = 38
	ProxyAuthorization ID = 49
	SetCookie          ID = 55
	TransferEncoding   ID = 57

	Protocol        ID = 62 // :protocol, RFC 8441 4
	Connection      ID = 63
	KeepAlive       ID = 64
	ProxyConnection ID = 65
	TE              ID = 66
	Upgrade         ID = 67
	Priority        ID = 68 // RFC 9218 5
	HTTP2Settings   ID = 69 // RFC 7540 3.2.1
	WebSocketAccept ID = 70 // RFC 6455 11.3.3
)

// IDs is how many there are, with Other.
const IDs = int(WebSocketAccept) + 1

// staticEntries is how many entries the static table has. The first entry of the dynamic
// table follows.
const staticEntries = 61

// known is a field of the static table, or a further name. The ID is of the name.
type known struct {
	name, value []byte
	id          ID
}

// names has the static table from 1 on (RFC 7541 appendix A), then the further names
// that have an ID. The decoder hands its bytes out, so nothing may write to them.
var names = func() (t [IDs]known) {
	for i, f := range [...][2]string{
		{":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"},
		{":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"},
		{":status", "304"}, {":status", "400"}, {":status", "404"}, {":status", "500"}, {"accept-charset", ""},
		{"accept-encoding", "gzip, deflate"}, {"accept-language", ""}, {"accept-ranges", ""}, {"accept", ""},
		{"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""}, {"authorization", ""}, {"cache-control", ""},
		{"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""}, {"content-length", ""},
		{"content-location", ""}, {"content-range", ""}, {"content-type", ""}, {"cookie", ""}, {"date", ""}, {"etag", ""},
		{"expect", ""}, {"expires", ""}, {"from", ""}, {"host", ""}, {"if-match", ""}, {"if-modified-since", ""},
		{"if-none-match", ""}, {"if-range", ""}, {"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""},
		{"location", ""}, {"max-forwards", ""}, {"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""},
		{"referer", ""}, {"refresh", ""}, {"retry-after", ""}, {"server", ""}, {"set-cookie", ""},
		{"strict-transport-security", ""}, {"transfer-encoding", ""}, {"user-agent", ""}, {"vary", ""}, {"via", ""},
		{"www-authenticate", ""},
		{":protocol", ""}, {"connection", ""}, {"keep-alive", ""}, {"proxy-connection", ""}, {"te", ""}, {"upgrade", ""},
		{"priority", ""}, {"http2-settings", ""}, {"sec-websocket-accept", ""},
	} {
		id := ID(i + 1)
		if string(t[i].name) == f[0] {
			id = t[i].id
		}
		t[i+1] = known{[]byte(f[0]), []byte(f[1]), id}
	}
	return t
}()

// placeOf hashes what distinguishes all known names: their length, first and last byte.
// The factor was found by trying some hundreds of random odd ones; a name that is added
// may need another.
func placeOf(n uint32, first, last byte) uint8 {
	return uint8((n | uint32(first)<<8 | uint32(last)<<16) * 0xca04c79f >> 24)
}

// places is a hash table of the known names, without collisions.
var places = func() (t [256]ID) {
	for _, f := range names[1:] {
		place := &t[placeOf(uint32(len(f.name)), f.name[0], f.name[len(f.name)-1])]
		if *place != Other && *place != f.id {
			panic("hpack: two names have one place: see placeOf")
		}
		*place = f.id
	}
	return t
}()

// IDOf returns the ID of a name in lower case, or Other.
func IDOf(name []byte) ID {
	if len(name) == 0 {
		return Other
	}
	id := places[placeOf(uint32(len(name)), name[0], name[len(name)-1])]
	if string(names[id].name) != string(name) {
		return Other
	}
	return id
}
