// Package h2 is the protocol state of HTTP/2 conns (RFC 9113), of clients and of
// backends: frames, settings, streams, flow control, and the way between header blocks
// and heads as HTTP/1 text. It knows no sockets, clocks or configuration: bytes and the
// time are arguments, and what is to be sent is appended to memory of the caller.
//
// # How a conn is read
//
// Session.Next takes frames from the bytes that were read, and returns at the first event
// that its owner has to know. What the session itself owes the peer (an ACK, a
// WINDOW_UPDATE, RST_STREAM, GOAWAY) it appends to out. After Head and Trailers the owner
// calls ReadRequest, ReadResponse or ReadTrailers, which decode the block into HTTP/1
// text; a block that the owner leaves is read by the next Next, since all blocks change
// the one table of the conn.
//
//	for {
//		ev, n, out = s.Next(b, now, out)
//		b = b[n:]
//		switch ev.Kind {
//		case h2.More: // read more bytes, to follow those of b
//		case h2.Full: // send out first
//		case h2.Head: ...
//
// # A slow stream stops no other
//
// A stream's window bounds the bytes that its exchange has not taken yet (Take). The
// conn's window is as large as those of all streams and one more, so it bounds their sum,
// and is never the narrower one: a stream that stands still keeps its own window alone.
// The one more is what is not given back yet, so that one WINDOW_UPDATE answers for many
// frames. It costs nothing: the memory is bounded by the windows of the streams, as it is
// by conns in HTTP/1.
//
// # Floods
//
// Each thing that costs the peer little and us more has a Budget: so much at once, so
// much a second, and for some a credit for work that was worth it. See budgets.
package h2
