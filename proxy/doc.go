// Package proxy is HOW a request is answered: an exchange from its first byte to
// its last. It does not know where requests should go (upstream), how bytes are
// parsed (httpparse) or what a socket is (loop).
//
// # The life of an exchange
//
// A client conn without an exchange is idle: it is watched, has a deadline and
// owns no buffer. Its first byte begins an exchange, in these phases:
//
//	Head   the head is read and parsed as it comes. A bad one is answered and
//	       the conn closed; nothing of it reaches a backend.
//	Pick   upstream names a backend; a conn comes from its idle list, hottest
//	       first, or is dialled. Where all are full the exchange waits in its
//	       pool's queue, first come first served.
//	Dial   the conn is on its way.
//	Send   head and body are written. The head is lb's own, composed from what
//	       was parsed; the body is framed anew.
//	Wait   the request is out, the response head is waited for. 1xx heads are
//	       passed on as they come.
//	Relay  the response is written as it comes; the rest of the request too, if
//	       the backend answered early. Behind a 101, raw bytes both ways.
//
// Then each conn is judged on its own: keep or close.
//
// Two lanes carry the bytes, up to the backend and down to the client. A lane
// reads only when all that it composed has been written, so a side that stops
// reading stops the other from being read, at the cost of one slab each way.
// Bytes of a body are written from where they were read; only heads, chunk lines
// and small parts of bodies are copied, to make one write of them.
//
// Events are edges: they come once. So every event, whatever it is, ends in
// exchange.pump, which moves bytes both ways until nothing moves any more.
//
// # Faults
//
// What ends an attempt is a fault: whose, what, in which phase. mayRetry is the
// whole retry rule. The first byte queued for the client is the point of no
// return for another attempt; the final head is the point of no return for a
// reply of lb's own. After that a fault aborts the client's conn, in a way that
// cannot be taken for the end of a whole response.
//
// # Deadlines
//
// The client conn has the one timer. exchange.owes tells who has to move next
// and for how long that may take; arm stores it. Nearly always it lies later
// than the one before, which costs a store; the timer looks again when it fires.
//
// # Why a lane does not read ahead
//
// Reading on while a write is blocked would keep the socket buffers of both
// sides busier, and needs a ring or a second slab for each lane. The kernel's
// own buffers already overlap the two sides; what reading ahead would bring is
// one system call's latency per slab. It would be worth another look if long
// transfers over long distances were found to be slower than through a relay.
package proxy
