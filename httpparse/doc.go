// Package httpparse reads and writes HTTP/1.1 messages: bytes in, spans and a
// verdict out. It has no I/O, no clock and allocates nothing but the fields of
// a new parser. It is strict as RFC 9112 asks: what is ambiguous is refused,
// nothing is repaired.
//
// # How a head is read
//
// A parser is a state and an offset; each byte is judged once, eight at a time
// (words.go). A fault belongs to the first byte that shows it, and what lies
// behind Limits.HeadBytes has no say: so the verdict, its reason and its offset
// are the same however the bytes arrive, and a fault is told as soon as its byte
// is there. Faults of the whole (framing, a missing Host) come with its end.
//
// # Where we are stricter than others, and where not
//
//   - Two equal Content-Length lines or "5, 5" are refused in a request: no
//     client needs them, and whoever is behind us may take the other one. Backends
//     do send them, so a response may repeat a value.
//   - Content-Length with Transfer-Encoding is refused both ways, though RFC 9112
//     6.3 would let the latter win: this is the mark of a smuggled request.
//   - A Transfer-Encoding is one line that says chunked, or an unknown coding
//     (501). Parameters, empty elements and quotes are malformed (400).
//   - Chunk extensions must be well-formed, though they are dropped: parsers that
//     skip them have been led to different line ends.
//   - '[' and ']' may stand in a target, against RFC 3986: browsers send them in
//     queries. No other byte outside the grammar may.
//   - A comma in Host is refused, though a reg-name may have one: a list of two
//     hosts looks just like it.
//   - A lone "close" or "keep-alive" beside malformed elements of Connection does
//     not count: the whole field is refused.
package httpparse
