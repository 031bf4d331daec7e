package httpparse

// This file is the agreed shape; the real bodies replace it.

// Reason says why a head, a chunk or a trailer was refused.
type Reason uint8

// String returns a short text for the client, such as "bare LF".
func (r Reason) String() string { panic("stub") }

// Status returns the status code for a request refused for r: 400, 414, 421,
// 431, 501 or 505.
func (r Reason) Status() int { panic("stub") }

// Request parses a request head.
type Request struct {
	Head
	Method     Method
	MethodName Span
	Target     Span // as it came
	// Path is what goes on in origin-form: all of an origin-form target, the path
	// and query of an absolute-form one (empty: "/" is meant, or "*" for
	// OPTIONS), "*" for asterisk-form.
	Path Span
	// Authority is the effective host: that of an absolute-form target, else the
	// value of Host (empty when there is none, HTTP/1.0 only).
	Authority      Span
	ExpectContinue bool // Expect: 100-continue, HTTP/1.1 only
}

// Reset makes r ready for a new head. It keeps the memory of Fields.
func (r *Request) Reset(l *Limits) { panic("stub") }

// Feed goes on from where it stopped; b starts at the head's first byte and
// holds all bytes so far. One or more empty lines before it (at most 4 CRLF) are
// skipped and count in HeadLen.
func (r *Request) Feed(b []byte) Status { panic("stub") }

// Idempotent tells whether the method is (RFC 9110 9.2.2).
func (r *Request) Idempotent() bool { panic("stub") }

// Response parses a response head.
type Response struct {
	Head
	Code   int  // 100 to 599 (999 is accepted)
	Phrase Span // reason phrase, may be empty
}

// Reset makes r ready for a new head; m is the method of the request it answers.
func (r *Response) Reset(l *Limits, m Method) { panic("stub") }

// Feed is as Request.Feed, without empty lines before the head.
func (r *Response) Feed(b []byte) Status { panic("stub") }

// Nominates tells whether a Connection field of b names the field f (RFC 9110 7.6.1).
func (h *Head) Nominates(b []byte, f Field) bool { panic("stub") }

// HasToken tells whether a comma-separated list field id holds the token (lower case) in b.
func (h *Head) HasToken(b []byte, id FieldID, token string) bool { panic("stub") }

// Find returns the first field id.
func (h *Head) Find(id FieldID) (Field, bool) { panic("stub") }

// AppendFields appends, as "Name: value\r\n", every field of h that is not in
// drop and not nominated by Connection. Runs of fields that are in that form
// already are copied in one piece.
func AppendFields(dst, b []byte, h *Head, drop FieldSet) []byte { panic("stub") }

// Chunks decodes the chunked coding (RFC 9112 7.1). The zero value is ready.
type Chunks struct {
	Reason Reason // set by Bad
}

// Reset makes c ready for a new body.
func (c *Chunks) Reset() { panic("stub") }

// Next decodes the start of b: n bytes are used up, data is the range of body
// bytes among them (possibly empty). Call it again with b[n:] while n > 0 and
// the status is More; More with n == 0 asks for more bytes. Done: the last
// chunk's line is used up and the trailer section begins at b[n:], to be read by
// a Trailers.
func (c *Chunks) Next(b []byte) (data Span, n int, st Status) { panic("stub") }

// Trailers parses a trailer section, from behind the last chunk's line to the
// empty line that ends it. HeadLen is its length.
type Trailers struct{ Head }

// Reset makes t ready for a new section.
func (t *Trailers) Reset(l *Limits) { panic("stub") }

// Feed is as Request.Feed: b starts at the section's first byte.
func (t *Trailers) Feed(b []byte) Status { panic("stub") }

// AppendTrailers appends the fields of t that may be sent as trailers: not those
// for framing, routing, authentication, content or the connection (RFC 9110 6.5.1).
func AppendTrailers(dst, b []byte, t *Trailers) []byte { panic("stub") }
