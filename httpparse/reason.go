package httpparse

// Reason says why a head, a chunk or a trailer section was refused. The verdict
// belongs to the first byte that shows the fault.
type Reason uint8

const (
	NoReason Reason = iota // not refused

	// Lines.
	BareCR     // a CR without an LF after it (RFC 9112 2.2)
	BareLF     // an LF without a CR before it; RFC 9112 2.2 allows refusing it, as requests are
	EmptyLines // more than 4 empty lines before a request (RFC 9112 2.2)
	LongHead   // longer than Limits.HeadBytes (RFC 9110 5.4)

	// Request lines and status lines.
	BadMethod     // an empty method, or a byte that is no token character (RFC 9110 9.1)
	LongMethod    // longer than 64 bytes, so no method that lb knows (RFC 9112 3)
	BadTarget     // a control byte or '#', or a form that the method may not have (RFC 9112 3.2)
	BadAuthority  // invalid host or port in an absolute-form or authority-form target (RFC 9112 3.2.2, 3.2.3)
	OtherScheme   // absolute-form with a scheme that the conn does not serve (RFC 9110 7.4)
	LongTarget    // longer than Limits.TargetBytes (RFC 9112 3)
	BadVersion    // missing or malformed (RFC 9112 2.3)
	OtherVersion  // not HTTP/1.x (RFC 9110 15.6.6)
	BadStatusLine // no status code from 100 to 999, or no white space after it (RFC 9112 4)
	BadPhrase     // a NUL in the reason phrase (RFC 9112 4)

	// Field lines.
	ManyFields // more than Limits.Fields (RFC 9110 5.4)
	ObsFold    // a line that begins with white space, where it may not (RFC 9112 5.2)
	BadName    // an empty name, or a byte that is no token character (RFC 9110 5.1)
	SpaceColon // white space before the colon (RFC 9112 5.1)
	NoColon    // a line without a colon (RFC 9112 5)
	BadValue   // a control byte in a value, in an answer a NUL (RFC 9110 5.5)

	// Values of fields, and chunks.
	NoHost        // missing in HTTP/1.1 (RFC 9112 3.2)
	ManyHosts     // more than one Host line (RFC 9112 3.2)
	BadHost       // not uri-host [":" port] (RFC 9112 3.2, RFC 9110 7.2)
	ManyNominated // more than 64 names in Connection; a limit of lb
	BadLength     // a Content-Length that is not a number below 2^63 (RFC 9110 8.6)
	ManyLengths   // several values that differ, or any repetition in a request (RFC 9112 6.3)
	LengthWithTE  // both Content-Length and Transfer-Encoding (RFC 9112 6.1, 6.3)
	BadCoding     // a malformed Transfer-Encoding, or chunked not once and last (RFC 9112 6.1, 6.3)
	OtherCoding   // a transfer coding that lb does not know (RFC 9112 6.1)
	CodingIn10    // Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)
	BadChunkSize  // not 1 to 16 hexadecimal digits, or above 2^63-1 (RFC 9112 7.1)
	BadChunkExt   // a malformed chunk extension (RFC 9112 7.1.1)
	LongChunkLine // a chunk-size line longer than 4 KiB (RFC 9112 7.1.1)
	ManyChunkExts // too many bytes of chunk extensions in one body, see Chunks (RFC 9112 7.1.1)
	NoChunkEnd    // chunk data without a CRLF after it (RFC 9112 7.1)
	reasons       // the number of reasons
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
// Another binary may have written r on the board.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown fault"
	}
	return reasonTexts[r]
}

// Status returns the status code for a request that was refused for r: 400, 414,
// 421, 431, 501 or 505.
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
