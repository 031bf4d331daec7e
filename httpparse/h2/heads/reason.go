package heads

// Verdict is what a Reader says of a block.
type Verdict uint8

// The verdicts.
const (
	Whole     Verdict = iota // it is text now
	TooLarge                 // beyond the limits: 431; the stream goes on
	Malformed                // see Reason: Reset with ProtocolError, after a 400 without END_STREAM or none (RFC 9113 8.1.1)
	Corrupt                  // the conn is at its end: Next returns Broken
)

// Result is what a Reader has found.
type Result struct {
	Verdict   Verdict
	Reason    Reason   // of Malformed
	Status    int      // an answer's code
	Length    int64    // Content-Length, or -1
	Excess    int      // bytes of fields beyond the limits
	Connect   bool     // CONNECT without :protocol; the text says "CONNECT authority HTTP/1.1"
	WebSocket bool     // an extended CONNECT (RFC 8441)
	Trailers  bool     // "te: trailers": the client wants trailers
	Marked    bool     // the path came as never to be indexed, which the text does not say
	Priority  Priority // of a request
}

// Reason says why a block is malformed (RFC 9113 8.1.1).
type Reason uint8

// The reasons, with the section of RFC 9113 that a block offends.
const (
	NoReason       Reason = iota
	UnknownPseudo         // a pseudo-field that is not defined, or not for such a block (8.3)
	LatePseudo            // a pseudo-field after a field (8.3)
	RepeatedPseudo        // (8.3)
	MissingPseudo         // (8.3.1, 8.3.2)
	BadMethod             // not a token (RFC 9110 9.1)
	BadScheme             // neither http nor https
	BadPath               // empty, without a slash, or with a byte that HTTP/1 could not carry (8.3.1)
	BadAuthority          // empty, or not the same as Host (8.3.1)
	BadProtocol           // :protocol other than websocket, or without CONNECT (RFC 8441 4)
	BadStatus             // not three digits, or 101 (8.3.2, 8.6)
	BadName               // not a token in lower case (8.2.1)
	BadValue              // a control byte, or white space around the value (8.2.1)
	ConnField             // a field that belongs to a conn of HTTP/1 (8.2.2)
	BadTE                 // te with something else than trailers (8.2.2)
	BadLength             // Content-Length that is no number, or comes twice (8.1.1)
	EndedEarly            // the stream ends before its body, or after an interim answer (8.1)
	reasons
)

var reasonNames = [reasons]string{"", "unknown pseudo-field", "pseudo-field after a field", "repeated pseudo-field",
	"missing pseudo-field", "bad method", "bad scheme", "bad path", "bad authority", "bad protocol", "bad status",
	"bad field name", "bad field value", "field of an HTTP/1 conn", "bad te", "bad content-length",
	"stream ended too early"}

// String returns a phrase for logs, or "" for NoReason. A reason of another binary is "malformed".
func (r Reason) String() string {
	if r >= reasons {
		return "malformed"
	}
	return reasonNames[r]
}
