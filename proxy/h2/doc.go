// Package h2 is the client's side of HTTP/2: the conn after its handshake or its preface,
// and how each stream of it is the front of one exchange (RFC 9113).
//
// It does not know which backend answers, or whether one does: for each request whose head
// is whole it begins an exchange (front.Host). How frames are read and written is the affair
// of proxy/mux, what they mean that of httpparse/h2.
//
// # What a request is
//
// The head of a request is decoded into HTTP/1 text and parsed as such, so that there is one
// strictness for all protocols. A head that is malformed ends its stream with
// PROTOCOL_ERROR (RFC 9113 8.1.1); the exchange that counts it answers to nothing. A head beyond a limit
// is answered, as in HTTP/1.
//
// The exchange begins when all frames of a read are taken apart, so that it has the part of
// the body that came with the head.
//
// # The end of a stream
//
// A whole answer ends with END_STREAM, and if the request is not whole, or is not read,
// RST_STREAM(NO_ERROR) tells the client to stop (RFC 9113 8.1). An answer that is cut ends
// with RST_STREAM(INTERNAL_ERROR), so that it never looks whole.
package h2
