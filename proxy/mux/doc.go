// Package mux is the I/O of HTTP/2 conns, of clients and to backends alike: it reads and
// writes the socket, and has the bytes of each stream until an exchange takes them. What
// the frames mean is the affair of httpparse/h2; what a request is, of the owners of the
// conns.
//
// # A turn
//
// A conn is read once for an event. All frames that have come are taken apart, then the
// streams that they touched are run, and at the end of the turn (loop.AtEnd) all that
// these, and the events of other conns, have put into the output goes out in one call of
// the system. What a peer may send without being read is bounded by windows and budgets;
// a peer that does not read is not read either.
//
// # Whose bytes go first
//
// The output is one slab, so that memory is bounded and little waits after what a slow
// peer has not taken. A stream that finds no room waits in a queue: by urgency (RFC 9218),
// and among equals in turns, a frame each. Long bodies leave a part of the slab free: the
// first bytes of an answer, which are all of a small one, need not wait for the queue.
//
// # Memory
//
// A stream's bytes are in a slab of their own, which the exchange takes over as it is. A
// conn without bytes has no slab, and a conn without streams is its struct and the tables
// of its session.
package mux
