// Package proxy answers requests: it takes an exchange from its parsed head to its last
// byte. It does not know which backend is best (upstream), how bytes are parsed
// (httpparse), what a socket is (loop), or what protocols clients and
// backends speak (proxy/front, proxy/back).
//
// # The life of an exchange
//
// The client's side of an exchange is a front.Front: an HTTP/1 conn that is at a
// request (proxy/h1), or a stream of HTTP/2 (proxy/h2). The backend's side of each attempt is
// a back.Back, which package backs gets. The front reads the head, and begins the exchange
// when the head is whole. The exchange then passes through these phases:
//
//	Admit  routes, limits and Max-Forwards decide how the request is answered. A head
//	       that was refused is answered at once; nothing of it reaches a backend.
//	Pick   upstream chooses a backend; a conn comes from its idle list, the last used
//	       first, or is dialled: see backs.Conns.Get. While all are full the exchange
//	       waits in its pool's queue, first come first served, unless its client ends
//	       its side. The pool is always the newest of its name, see below.
//	Dial   the conn is on its way, and so is its TLS handshake, if there is one: what
//	       fails there is a fault of its own (record.CauseTLS), since nothing was sent.
//	Send   head and body are written. The head is lb's own, composed from the parsed
//	       one; the body is framed again.
//	Wait   the request is written, the response head is awaited. 1xx heads are passed
//	       on as they come.
//	Relay  the response is written as it comes; the rest of the request too, if the
//	       backend answered early. After a 101, raw bytes both ways, those of the
//	       client once its request is whole: see tunnel.go.
//
// Then each side is settled on its own: the backend's conn is kept or closed, and the
// front hears how the exchange ended (front.Ending). Whatever the end, release hands
// out the exchange's Record, once.
//
// Two lanes carry the bytes, up to the backend and down to the client (package lane).
// Replies of lb's own take the same way down as forwarded ones: see rewrite.Composer.
//
// Events are edges: they come once. So every event, whatever it is, ends in
// exchange.pump, which moves bytes both ways until nothing moves any more.
//
// # Faults
//
// A Fault ends an attempt: it says which side is to blame, for what, in which phase.
// Package retry has the whole retry rule. The first byte composed for the client is the point
// of no return for another attempt; the final head is the point of no return for a
// reply of lb's own. After that a fault aborts the client's side, in a way that cannot
// be taken for the end of a whole response.
//
// What waits at a backend that is ejected or found down is asked elsewhere: see evacuate.
// The loop that ejects does so at once; package watch has the others notice.
//
// # Reloads
//
// A configuration is a snapshot that is built whole, and put in place of the one before
// between two turns: Reload. Change replaces the pools whose members have changed, and
// nothing else. docs/design/architecture.md says what exchanges that have begun go by.
package proxy
