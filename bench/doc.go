// Package bench is a load generator for HTTP/1.1 and HTTP/2, over TLS too, on the loop. It knows nothing
// of what it measures: lb, another proxy or a server.
//
// In a closed loop (Rate 0) every conn sends its next request as soon as it is
// answered, which shows the highest throughput. An open loop sends requests at a
// fixed rate, whether answers come or not, as independent clients do. Its
// latencies count from the time when each request was due. So a server that stalls
// shows the stall in every request due during it, not only in the few that were
// outstanding (coordinated omission).
//
// In a closed loop latency counts from just before the first byte is written, or,
// if each request has a conn of its own, from just before connecting. It ends when
// the read of the last byte has returned.
//
// Over TLS a conn makes a full handshake, or resumes the session of the conn before it.
// If each request has a conn of its own, latency includes the handshake. Handshakes run
// on the thread that loop/tlsconn has for each loop, shakesMax at once.
//
// # What it costs
//
// A loop has one buffer that all its conns read into, one parser, the bytes of
// the request, and a histogram. An exchange is one write, one read and one look at
// the clock, and allocates nothing. A conn borrows a slab only while the head of
// its answer is incomplete. During a run loops share only the number of requests
// left, which they claim in batches.
//
// An incomplete head is parsed again from its start when more bytes come. That is
// rare, and cheaper than a parser for each conn.
package bench
