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

// Message is the head of a request or a response, whatever protocol it came in:
// what is known of it beside the buffer that holds its field lines. A parser
// fills it, and it is valid once the parser has returned Done.
type Message struct {
	HeadLen       uint32   // bytes of the head in the buffer, the empty line included
	Minor         uint8    // HTTP/1.Minor, as it acts: 0 or 1
	Framing       Framing  // of the body
	Length        int64    // bytes of the body, or -1 if the head does not say (see Response)
	Seen          FieldSet // the known fields that are present
	Close         bool     // the sender will not keep the connection (RFC 9112 9.3)
	Nominated     bool     // Connection names fields beside close, keep-alive, upgrade and TE
	UpgradeOption bool     // Connection has the option upgrade
	Fields        []Field  // in order

	nameBits uint64 // a bit for each name that Connection nominates, see nameBit
}

// Request is the head of a request.
type Request struct {
	Message
	Method     Method
	MethodName Span
	Target     Span // as it came
	// Path is what is sent on in origin-form: all of an origin-form target, "*" for
	// asterisk-form, the path and query of an absolute-form one. The last may be
	// empty or begin with '?': AppendPath puts in what is missing. It is empty
	// for CONNECT.
	Path Span
	// Authority is the effective host: that of an absolute-form or authority-form
	// target, else the value of Host (empty when that is, or in HTTP/1.0 when
	// there is none).
	Authority      Span
	ExpectContinue bool // Expect: 100-continue, HTTP/1.1 only
}

// Response is the head of a response.
//
// Length is the value of Content-Length if the framing is Length, and also if
// there is no body because the request was HEAD or the code is 304: then it may be
// passed on. It is -1 without a Content-Length, and for 1xx and 204, which must
// not have one (RFC 9110 8.6). A Transfer-Encoding there has no effect and must
// not be passed on.
type Response struct {
	Message
	Code   int  // 100 to 999
	Phrase Span // reason phrase, may be empty
}
