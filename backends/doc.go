// Package backends is a small fast HTTP/1.1 server on the loop, to forward to:
// for `lb serve --demo`, tests and benchmarks. It does not know that there is a
// proxy.
//
//	/            who answers: the backend's name, the method and the target
//	/healthz     200
//	/headers     the request head as it came
//	/bytes/N     N bytes of a pattern, see Pattern
//	/chunked/N   the same in chunks (to HTTP/1.0: until the close)
//	/delay/D     an answer D after the end of the request; D as in 250ms, 2s
//	/status/N    an answer with status N; for 1xx an interim one before a 200
//	/echo        the request body as it comes, in its own framing, with its trailers
//	/ws          a WebSocket that sends every message back (RFC 6455)
//
// Every answer carries X-Backend with the name. A request body that nobody
// asked for is read to its end before the answer goes out, which is what most
// backends do; /echo answers from the first byte on.
//
// The life of a conn: bytes come to in, one step at a time turns them into
// bytes of out, flush writes these and, straight from where it lies, the
// pattern. Only when all is written is more read: a client that does not take
// its answers is not listened to, and a conn never holds more than two slabs.
//
// /ws passes payload on as it comes and never holds a message, so it does not
// check that text is UTF-8; whoever reads the echo does.
package backends
