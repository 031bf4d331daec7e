// Package bench is a load generator for HTTP/1.1 on the loop. It knows nothing
// of what it measures: lb, another proxy or a server.
//
// A closed loop (Rate 0) has every conn ask again as soon as it is answered:
// it finds out how much there is to be had. An open loop asks at a fixed rate,
// whether answers come or not, as independent clients do. Its latencies count
// from when each request was meant to start, so a server that stalls shows it
// in every request of the stall, not only in the few that were under way
// (coordinated omission).
//
// In a closed loop latency counts from just before the first byte is written,
// of a request with a conn of its own from just before the connecting. It ends
// when the read that brought the last byte has returned.
//
// # What it costs
//
// A loop has one buffer that all its conns read into, one parser, the bytes of
// the request, and a histogram; an exchange is one write, one read, one look at
// the clock, and allocates nothing. A conn borrows a slab only while the
// head of its answer has come in part. Nothing is shared between loops on the
// way but the count of what is left to do, taken in batches.
//
// The head of an answer that has come in part is read again from its start when
// more comes: that is rare, and cheaper than a parser for each conn.
package bench
