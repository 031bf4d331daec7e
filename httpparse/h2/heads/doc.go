// Package heads leads between header blocks of HTTP/2 (RFC 9113 8) and heads as HTTP/1.1
// text, the neutral message of lb: a block that is not malformed becomes text that
// httpparse reads as it reads any other, so one strictness holds for all protocols.
//
// Nothing gets into the text that HTTP/1 could not have carried: no pseudo-field, no
// field of a conn, no control byte, no space in a target. What a host may be, or how long
// a method, httpparse says. It knows neither frames nor streams.
//
// A field that came as never to be indexed has to go on as that (RFC 7541 6.2.3). In text, a
// tab right after its colon marks it, in the place of the space. A Reader reports a path by
// Result.Marked, and AppendRequest takes it to be marked by a tab before "HTTP/1.1". What goes
// to HTTP/1 has no marks, and what comes from there has none: see httpparse.Message.Marks.
package heads
