// Package tlsconn is TLS over a conn of a loop, by crypto/tls: handshakes on a thread
// beside the loop, then records on the loop. It does not know what the bytes mean, nor
// where certificates come from.
//
// # Handshakes
//
// A handshake costs more than a hundred requests, so it would hold up the loop. Each loop
// has one thread for its handshakes, a Shaker, with a lower priority than the loop: the
// system gives it what the loops leave. A handshake is a coroutine on that thread. It is
// resumed when a whole record has come for it, and costs no thread while it waits. All
// input and output stay with the loop: it collects records, hands them over, and sends
// what came back. So a client that stalls costs memory and nothing else, and one that is
// gone is dropped before any work is done for it. What has begun goes before what has
// not, and a handshake with a server before those with clients, so that a flood of new
// clients does not keep back the requests of others; when too many have not begun, more
// are refused.
//
// # Records
//
// After the handshake a tls.Conn is driven by the loop: it is called only when a whole
// record has come, and everything that it writes is taken, so it never waits. The record
// is decrypted where it was read: the buffer of the tls.Conn for input is made of it for
// the call (see inside.go), which saves a copy and lets an idle conn own no buffer.
//
// Records are written small at first, because the peer can use a record only when all of
// it has come, and at full size when the transfer goes on. What is written together, such
// as a head and its body, goes into one record.
//
// # The last byte is owed
//
// Bytes that were encrypted cannot be taken back, and the socket may not take them. They
// wait in the transport then, a record at most for a peer that does not keep up, and
// Writev returns one less than what was encrypted until the socket has taken it all. So a
// caller that has written everything knows that everything is out, as over a plain conn,
// and may close. It offers the rest again, as after any short write, with the same bytes;
// the transport knows that the first of them is encrypted already.
package tlsconn
