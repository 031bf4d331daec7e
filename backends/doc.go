// Package backends is a small, fast server of HTTP/1.1 and HTTP/2 on the loop, for `lb serve
// --demo`, tests and benchmarks to forward to. It knows nothing of proxies.
//
//	/            the backend's name, the method and the target
//	/healthz     200
//	/headers     the request head as received
//	/bytes/N     N bytes of a pattern, see Pattern
//	/chunked/N   the same in chunks (to HTTP/1.0: until the close)
//	/delay/D     an answer D after the end of the request; D as in 250ms, 2s
//	/status/N    an answer with status N; for 1xx an interim one before a 200
//	/echo        the request body as it arrives, in its own framing, with its trailers
//	/ws          a WebSocket that sends every message back (RFC 6455)
//
// Every answer has a field X-Backend with the name. A request body is read to its
// end before the answer is sent, as most backends do; /echo answers from the first
// byte on.
//
// A conn that begins with the preface of HTTP/2 speaks that, by prior knowledge. It has no
// /ws, and every gRPC call, whatever its method, gets its messages back with grpc-status 0.
//
// The life of a conn: bytes are read into in, steps turn them into bytes of out,
// and flush writes those and the pattern, which is not copied. A conn reads more
// only after it has written all. So a client that does not read its answers is not
// read from, and a conn never holds more than two slabs.
//
// /ws passes payload on as it arrives and never holds a message. So it does not
// check that text is UTF-8; the reader of the echo does.
package backends
