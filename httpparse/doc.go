// Package httpparse reads and writes HTTP/1.1 messages: bytes in, spans and a
// verdict out. It knows no sockets, clocks or configuration, and allocates only the
// Fields of a new parser. It is as strict as RFC 9112 asks: whatever is ambiguous
// is refused, and nothing is repaired.
//
// # How a head is read
//
// A parser is a state and an offset. Each byte is looked at once, eight at a
// time (words.go). A fault belongs to the first byte that shows it, and bytes
// beyond Limits.HeadBytes do not count. So the verdict, its reason and its
// offset do not depend on how the bytes arrive, and a fault is reported as soon
// as its byte is there. Faults of the message as a whole (framing, a missing
// Host) are reported at its end.
//
// # Where we are stricter than others, and where not
//
//   - Two equal Content-Length lines, or "5, 5", are refused in a request: no client needs
//     them, and the backend may choose the other one. Backends do send them, so a response
//     may repeat a value.
//   - Content-Length with Transfer-Encoding is refused in both directions, although RFC 9112
//     6.3 lets the latter win: it is the mark of a smuggled request.
//   - A Transfer-Encoding is one line that says chunked, or names an unknown coding (501).
//     Parameters, empty elements and quotes are malformed (400).
//   - Chunk extensions must be well-formed although they are dropped: parsers that skip them
//     have disagreed about where the line ends.
//   - '[' and ']' may stand in a target, against RFC 3986: browsers send them in queries. No
//     other byte outside the grammar may.
//   - A comma in Host is refused although a reg-name may have one: a list of two hosts looks
//     the same.
//   - "close" or "keep-alive" does not count beside malformed elements of Connection: the
//     whole field is refused.
package httpparse
