// Package heads leads between header blocks of HTTP/2 (RFC 9113 8) and heads as HTTP/1.1
// text, the neutral message of lb: a block that is not malformed becomes text that
// httpparse reads as it reads any other, so one strictness holds for all protocols.
//
// Nothing gets into the text that HTTP/1 could not have carried: no pseudo-field, no
// field of a conn, no control byte, no space in a target. What a host may be, or how long
// a method, httpparse says. It knows neither frames nor streams.
//
// A field that came as never to be indexed has to go on as that (RFC 7541 6.2.3). In text, a
// tab right after its colon marks it, in the place of the space; a path is marked by a tab
// before "HTTP/1.1", see Result.Marked for how it gets there. Nothing else writes such tabs, and
// none gets into HTTP/1: see httpparse.Message.Marks.
package heads
