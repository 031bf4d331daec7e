// Package httpparse reads and writes HTTP/1.1 messages: bytes in, spans and a
// verdict out. It knows no sockets, clocks or configuration, and allocates only the
// Fields of a new parser.
//
// A request is an attacker's choice, and is read as strictly as RFC 9112 asks: whatever two
// parsers could read in two ways is refused, and nothing is repaired. An answer comes from
// the operator's own backend. It is taken wherever RFC 9112 gives it one meaning, since it is
// written again before it goes on; see answer.go.
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
//   - Content-Length with Transfer-Encoding is refused in a request, although RFC 9112 6.3
//     lets the latter win: it is the mark of a smuggled request. In an answer it wins, and
//     the conn ends, as it does after each answer with odd framing.
//   - A Transfer-Encoding is one line that says chunked, or names an unknown coding (501).
//     Parameters, empty elements and quotes are malformed (400). In an answer, chunked may be
//     repeated, empty elements and identity say nothing, and nothing may follow chunked.
//   - A fold in a field that decides how the message is read (Connection, Content-Length,
//     Transfer-Encoding) is refused in an answer, too.
//   - Chunk extensions must be well-formed although they are dropped: parsers that skip them
//     have disagreed about where the line ends.
//   - A target may have every visible byte of ASCII but '#', against RFC 3986: browsers and
//     curl send them, and no parser takes them for the end of a target. Bytes from 0x80 on
//     are refused, as HAProxy does: Python and others read 0x85 and 0xa0 as white space, so
//     that they end a target or a path.
//   - A comma in Host is refused although a reg-name may have one: a list of two hosts looks
//     the same.
//   - A malformed element of Connection nominates nothing, and the conn ends afterwards.
package httpparse
