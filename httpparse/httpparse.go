package httpparse

// Span is a range of the buffer given to Feed. It holds no pointer: it stays
// true when the buffer moves, and the collector has nothing to follow.
type Span struct{ Off, Len uint32 }

// Of returns the bytes of the span in b, the buffer that was parsed.
func (s Span) Of(b []byte) []byte { return b[s.Off : s.Off+s.Len] }

// Status is a parser's verdict.
type Status uint8

const (
	More Status = iota // no fault yet, the message is not over
	Done               // whole
	Bad                // refused: see Reason
)

// Framing tells how a body ends.
type Framing uint8

const (
	None    Framing = iota // there is no body
	Length                 // after Content-Length bytes
	Chunked                // by the chunked coding
	Close                  // with the connection (responses only)
)

// Limits bound a head. Zero values are not allowed.
type Limits struct {
	HeadBytes   int // whole head
	Fields      int // field lines
	TargetBytes int // request target
}

// FieldID names the fields that a proxy must know; all others are Other.
type FieldID uint8

const (
	Other FieldID = iota
	Connection
	ContentLength
	Date
	Expect
	Forwarded
	Host
	HTTP2Settings
	KeepAlive
	MaxForwards
	ProxyConnection
	Server
	TE
	Trailer
	TransferEncoding
	Upgrade
	Via
	XForwardedFor
	XForwardedHost
	XForwardedProto
	Cookie
	SetCookie
	Authorization
	ContentType
	ContentEncoding
	ContentRange
	ProxyAuthenticate
	ProxyAuthorization
	fieldIDs
)

// FieldSet is a set of FieldIDs.
type FieldSet uint64

// SetOf returns the set of ids.
func SetOf(ids ...FieldID) (s FieldSet) {
	for _, id := range ids {
		s |= 1 << id
	}
	return s
}

// Has reports whether id is in s.
func (s FieldSet) Has(id FieldID) bool { return s>>(id&63)&1 != 0 }

// Field is one field line. Value has no white space around it.
type Field struct {
	Name, Value Span
	ID          FieldID
	hidden      bool // left out of AppendFields, see Hide
	plain       bool // stands in the buffer as "Name: value\r\n"
}

// Method names the methods that a proxy must know; all others are OtherMethod.
type Method uint8

const (
	OtherMethod Method = iota
	GET
	HEAD
	POST
	PUT
	DELETE
	OPTIONS
	TRACE
	CONNECT
	PATCH
)

// Head is what requests and responses have in common.
type Head struct {
	HeadLen       uint32   // bytes, with the empty line; set by Done
	Minor         uint8    // HTTP/1.Minor, as it acts: 0 or 1
	Framing       Framing  // of the body
	Length        int64    // bytes of the body; -1 when they cannot be told (see Response)
	Seen          FieldSet // which known fields are there
	Close         bool     // the sender will not keep the connection (RFC 9112 9.3)
	Nominated     bool     // Connection names fields beside close, keep-alive, upgrade and TE
	UpgradeOption bool     // Connection has the option upgrade
	Fields        []Field  // valid after Done, in order
	Reason        Reason   // set by Bad
	ReasonOff     uint32   // where in the buffer

	state     state
	pos       uint32 // how far the buffer has been read
	mark      uint32 // where the method or the target began
	headMax   uint32
	targetMax uint32
	fieldMax  uint32
	watched   FieldSet // fields that note looks at
	host      Span     // value of Host
	coding    Reason   // verdict on Transfer-Encoding, NoReason for chunked
	keepAlive bool     // Connection has the option keep-alive
	closing   bool     // Connection has the option close
	nominated uint8    // how many names Connection has
	nameBits  uint64   // one bit for each of them, see nameBit
}
