// Package front is the seam between an exchange and its client. An exchange sees its
// client as a Front: an HTTP/1 conn that serves a request, or one stream of HTTP/2. A
// front sees its request as an Exchange.
//
// The package has no behaviour: proxy implements Host and Exchange, and proxy/h1
// implements Front for HTTP/1. Neither knows the other's conns, phases or timers. A front
// reads heads, frames bodies, and owns the conn before, between and after its exchanges;
// an exchange decides the answer.
package front
