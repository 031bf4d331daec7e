package httpparse

// Span is a range of the buffer given to Feed, in bytes. It holds no pointer: it stays
// valid when the buffer moves, and the collector has nothing to follow.
type Span struct{ Off, Len uint32 }

// Of returns the bytes of the span in b, the buffer that was parsed.
func (s Span) Of(b []byte) []byte { return b[s.Off : s.Off+s.Len] }

// Status is a parser's verdict.
type Status uint8

// The verdicts.
const (
	More Status = iota // no fault yet, and more bytes are needed
	Done               // the part that the parser reads is whole
	Bad                // refused: the parser's Reason says why
)

// Framing is how a body ends (RFC 9112 6.3).
type Framing uint8

// The framings.
const (
	None    Framing = iota // there is no body
	Length                 // after Content-Length bytes
	Chunked                // by the chunked coding
	Close                  // with the connection (responses only)
	Stream                 // with its stream of HTTP/2, whose DATA keeps to Length if that is known
)

// Limits bound a head. Zero values are not allowed.
type Limits struct {
	HeadBytes   int // whole head
	Fields      int // field lines
	TargetBytes int // request target
}

// FieldID identifies a field that lb treats in its own way. All others are Other.
type FieldID uint8

// The fields, with the section that defines them: of RFC 9110 where no RFC is named.
const (
	Other              FieldID = iota // any field not listed here
	Connection                        // 7.6.1
	ContentLength                     // 8.6
	Date                              // 6.6.1
	Expect                            // 10.1.1
	Forwarded                         // RFC 7239
	Host                              // 7.2
	HTTP2Settings                     // RFC 7540 3.2.1
	KeepAlive                         // RFC 2068 19.7.1
	MaxForwards                       // 7.6.2
	ProxyConnection                   // not standard; RFC 9112 C.2.2
	Server                            // 10.2.4
	TE                                // 10.1.4
	Trailer                           // 6.6.2
	TransferEncoding                  // RFC 9112 6.1
	Upgrade                           // 7.8
	Via                               // 7.6.3
	XForwardedFor                     // not standard
	XForwardedHost                    // not standard
	XForwardedProto                   // not standard
	Cookie                            // RFC 6265 5.4
	SetCookie                         // RFC 6265 4.1
	Authorization                     // 11.6.2
	ContentType                       // 8.3
	ContentEncoding                   // 8.4
	ContentRange                      // 14.4
	ProxyAuthenticate                 // 11.7.1
	ProxyAuthorization                // 11.7.2
	StrictTransport                   // Strict-Transport-Security, RFC 6797 6.1
	Claim                             // any other field of Claims, such as X-Real-IP
	CertClaim                         // a Claim about the certificate of the client: X-Client-Cert-*
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
	hidden      bool // as if it were not there, see Hide and HideForged
	plain       bool // stands in the buffer as "Name: value\r\n"
}

// Method identifies a method that lb treats in its own way. All others are OtherMethod,
// and are passed on by name.
type Method uint8

// The methods, with the section of RFC 9110 that defines them.
const (
	OtherMethod Method = iota // any method not listed here
	GET                       // 9.3.1
	HEAD                      // 9.3.2
	POST                      // 9.3.3
	PUT                       // 9.3.4
	DELETE                    // 9.3.5
	OPTIONS                   // 9.3.7
	TRACE                     // 9.3.8
	CONNECT                   // 9.3.6
	PATCH                     // RFC 5789
)

// Message is the parsed head of a request or a response, whatever its protocol. The
// buffer still holds its field lines. It is valid once a parser has returned Done.
type Message struct {
	HeadLen       uint32   // bytes of the head in the buffer, including the empty line
	Minor         uint8    // the x of HTTP/1.x, where more than 1 counts as 1
	Framing       Framing  // of the body
	Length        int64    // bytes of the body, or -1 if the head does not say (see Response)
	Seen          FieldSet // the known fields that are present
	Close         bool     // the sender will not keep the connection (RFC 9112 9.3)
	Nominated     bool     // Connection names fields beside close, keep-alive, upgrade and TE
	UpgradeOption bool     // Connection has the option upgrade
	Fields        []Field  // in order

	// Marks has AppendFields and AppendTrailers keep the mark of fields that are never to be
	// indexed, a tab right after the colon. Set it for a message that came in a stream of
	// HTTP/2 and goes on in one: see package heads.
	Marks bool

	nameBits uint64 // a bit for each name that Connection nominates, see nameBit
	odd      bool   // a field's name may have other bytes than letters, digits and hyphens
}

// Request is the head of a request.
type Request struct {
	Message
	Method     Method
	MethodName Span
	Target     Span // as it came
	// Path is the target to send on: all of an origin-form target, "*" for
	// asterisk-form, the path and query of an absolute-form one. The last may be empty
	// or begin with '?'; AppendPath adds the "/". Path is empty for CONNECT.
	Path Span
	// Authority is the effective host: that of an absolute-form or authority-form
	// target, otherwise the value of Host. It is empty if Host is, or if an HTTP/1.0
	// request has none.
	Authority      Span
	ExpectContinue bool // Expect: 100-continue, HTTP/1.1 only
	Secure         bool // the scheme of the conn is https, not http; set it before the head is parsed
	Marked         bool // the path is never to be indexed; set in the same way
}

// Response is the head of a response.
//
// Length is the value of Content-Length if the framing is Length. It is also set if
// there is no body because the request was HEAD or the code is 304; it may then be
// passed on. It is -1 without a Content-Length, and for 1xx and 204, which must not have
// one (RFC 9110 8.6). A Transfer-Encoding of these has no effect and must not be passed
// on.
type Response struct {
	Message
	Code   int  // 100 to 999
	Phrase Span // reason phrase, may be empty
}
