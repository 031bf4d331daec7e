// Package h1 is the client's side of HTTP/1: the conn, from its accept to its close,
// and how requests are read from it and responses written to it (RFC 9112).
//
// It does not know which backend answers, or whether one does: for each request whose
// head is whole it begins an exchange (front.Host), and is its front.
//
// # The states of a conn
//
//	idle      no request has begun. The conn owns no buffer and no parser; it is
//	          watched and has a deadline.
//	head      the first byte has come. The head is read and parsed as it arrives, by
//	          the configuration of its first byte. It has one deadline, which
//	          progress does not extend.
//	exchange  the head is whole, or was refused, and an exchange answers it.
//	closing   everything is written. lb's side is shut, and bytes that still come are
//	          thrown away as long as they come, within bounds, so that no reset costs
//	          the client its last response (RFC 9112 9.6).
//	owing     over TLS: the client has ended, or has nothing more to say, and the end of
//	          lb's side is not out yet, because the socket had no room for it.
package h1
