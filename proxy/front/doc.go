// Package front is the seam between an exchange and the client's side of it. A Front
// is what an exchange sees of its client: an HTTP/1 conn that is at a request, or
// one stream of HTTP/2. An Exchange is what a front sees of the request it brought.
//
// It holds no behaviour: proxy implements Host and Exchange, and proxy/h1 the Front
// of HTTP/1. Neither knows the other's conns, phases or timers. A front reads heads,
// frames bodies, and owns the conn before, between and after its exchanges; an
// exchange decides what is answered.
package front
