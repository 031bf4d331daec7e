package httpparse

// Reason says why a head, a chunk or a trailer was refused.
type Reason uint8

const (
	NoReason Reason = iota
	// Lines.
	BareCR     // a CR without LF behind it
	BareLF     // an LF without CR before it
	EmptyLines // more than 4 before a request
	LongHead   // longer than Limits.HeadBytes
	// Request lines and status lines.
	BadMethod     // a byte that is no token character, or none at all
	LongMethod    // longer than 64 bytes
	BadTarget     // a byte outside the URI grammar, or a form the method may not have
	BadAuthority  // of an absolute-form or authority-form target
	OtherScheme   // absolute-form with a scheme that is not http
	LongTarget    // longer than Limits.TargetBytes
	BadVersion    // missing or malformed
	OtherVersion  // not HTTP/1.x
	BadStatusLine // no status code, or something else than a space behind it
	BadPhrase     // a control byte in the reason phrase
	// Field lines.
	ManyFields // more than Limits.Fields
	ObsFold    // a line that begins with white space
	BadName    // a byte in a name that is no token character, or an empty name
	SpaceColon // white space before the colon
	NoColon    // a line without one
	BadValue   // a control byte
	// Fields.
	NoHost        // HTTP/1.1 asks for one
	ManyHosts     // more than one line
	BadHost       // not uri-host [":" port]
	BadConnection // not a list of tokens
	ManyNominated // more than 64 names in Connection
	BadLength     // a Content-Length that is no number below 2^63
	ManyLengths   // several that a request may not have, or that differ
	LengthWithTE  // Content-Length and Transfer-Encoding
	BadCoding     // a Transfer-Encoding that is not one chunked at the end
	OtherCoding   // an unknown transfer coding
	CodingIn10    // Transfer-Encoding in HTTP/1.0
	BadChunkSize  // not 1 to 16 hexadecimal digits, or above 2^63-1
	BadChunkExt   // a malformed chunk extension
	LongChunkLine // a chunk-size line of more than 4 KiB
	ManyChunkExts // too many bytes of chunk extensions in one body
	NoChunkEnd    // chunk data without CRLF behind it
	reasons       // how many there are
)

var reasonTexts = [reasons]string{
	NoReason:      "no fault",
	BareCR:        "bare CR",
	BareLF:        "bare LF",
	EmptyLines:    "too many empty lines before the request",
	LongHead:      "header section too large",
	BadMethod:     "invalid method",
	LongMethod:    "method too long",
	BadTarget:     "invalid request target",
	BadAuthority:  "invalid authority in the request target",
	OtherScheme:   "scheme not served here",
	LongTarget:    "request target too long",
	BadVersion:    "invalid HTTP version",
	OtherVersion:  "HTTP version not supported",
	BadStatusLine: "invalid status line",
	BadPhrase:     "invalid reason phrase",
	ManyFields:    "too many header fields",
	ObsFold:       "folded header line",
	BadName:       "invalid header name",
	SpaceColon:    "space before the colon of a header line",
	NoColon:       "header line without a colon",
	BadValue:      "control character in a header value",
	NoHost:        "Host missing",
	ManyHosts:     "more than one Host",
	BadHost:       "invalid Host",
	BadConnection: "invalid Connection",
	ManyNominated: "too many names in Connection",
	BadLength:     "invalid Content-Length",
	ManyLengths:   "more than one Content-Length",
	LengthWithTE:  "Content-Length with Transfer-Encoding",
	BadCoding:     "invalid Transfer-Encoding",
	OtherCoding:   "transfer coding not supported",
	CodingIn10:    "Transfer-Encoding in HTTP/1.0",
	BadChunkSize:  "invalid chunk size",
	BadChunkExt:   "invalid chunk extension",
	LongChunkLine: "chunk-size line too long",
	ManyChunkExts: "too many chunk extensions",
	NoChunkEnd:    "chunk data without its end",
}

// String returns a short text for the client, such as "bare LF".
func (r Reason) String() string { return reasonTexts[r] }

// Status returns the status code for a request refused for r: 400, 414, 421,
// 431, 501 or 505.
func (r Reason) Status() int {
	switch r {
	case LongTarget:
		return 414
	case OtherScheme:
		return 421
	case LongHead, ManyFields, ManyNominated:
		return 431
	case LongMethod, OtherCoding:
		return 501
	case OtherVersion:
		return 505
	}
	return 400
}
