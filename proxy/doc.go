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
//	       pool's queue, first come first served. The pool is always the newest of
//	       its name, see below.
//	Dial   the conn is on its way.
//	Send   head and body are written. The head is lb's own, composed from what
//	       was parsed; the body is framed again.
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
// A new client conn may be passed on to another loop before anything of it is read:
// see even.go.
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
// # Reloads
//
// A configuration is a snapshot: made whole, then put in the place of the one
// before between two turns. Nothing else is replaced. Client conns stay, and so
// does what this loop knows of a backend (target: its idle list, its addresses), by
// its ID on the board, as long as the backend is in the configuration. A pool of
// which nothing has changed goes on as it is.
//
// An exchange goes by the snapshot of its first byte to its end: routes, fields,
// timeouts, limits, retries. There is one exception: whenever it picks a backend,
// waits for room or tries again, it is at the pool as it is now, if there still is
// one of its name. Left at the old pool, those who wait would never get room: what
// the new limits or backends bring goes to those who come later; and a second
// attempt would go to a backend that was removed, perhaps because it is gone. So a
// pool that changes has an heir, which takes over who waits, in order. Of the
// backends that an exchange has tried it keeps those that are still there.
//
// An attempt at a backend that is removed goes on; its conn is closed afterwards.
// Its last word to the board is that it is over: behind that the ID may belong to
// another backend. Until when one may still be picked, the loop tells with
// OldestConfig on the board: the oldest snapshot from which there are exchanges that
// have not come to Relay. At Relay an exchange lets go of pool and route. So neither
// a stream nor a tunnel of days keeps an ID, or the tables of a pool, from being
// given back; all that it keeps is the settings themselves.
//
// It costs that a reload stops the loop for as long as it takes to make what has
// changed: 5 us for a pool of 10 backends, 0.5 ms for one of 1,000; with the strategy
// hash, whose table is filled again, 3 ms and 9 ms. If that hurts, tables can be
// made by the control plane, once for all loops.
//
// # Why a lane does not read ahead
//
// Reading on while a write is blocked would keep the socket buffers of both
// sides busier, and needs a ring or a second slab for each lane. The kernel's
// own buffers already overlap the two sides; what reading ahead would bring is
// one system call's latency per slab. It would be worth another look if long
// transfers over long distances were found to be slower than through a relay.
package proxy
