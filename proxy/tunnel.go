package proxy

import "lb/httpparse"

// A tunnel begins with the head of a 101 (RFC 9110 7.8). From there on the backend's bytes
// are passed on as they are; the client's are when its request is whole, since a client
// may not change the protocol inside a message: until then the tunnel is opening.

// openTunnel makes the lanes carry raw bytes.
func (x *exchange) openTunnel() {
	x.target.succeeded(x.firstByte()&^answeredEarly, x.p.loop.Now())
	x.tunnel, x.opening, x.expecting = true, true, false
	x.down.Begin(httpparse.Close, httpparse.Close, 0)
	x.p.counters.Tunnels.Add(1)
	if x.up.Done() {
		x.joinTunnel()
	}
}

// joinTunnel makes the bytes of the client, whose request has been sent, the tunnel's.
func (x *exchange) joinTunnel() {
	x.opening = false
	x.up.Release(x.p.arena)
	x.up.Begin(httpparse.Close, httpparse.Close, 0)
}

// lookAtTunnel reports whether the backend has reset its conn. A backend that has ended
// its side has room for another request, however long the client takes to end its own.
func (x *exchange) lookAtTunnel() (reset bool) {
	if x.backend.Shut() {
		x.endAttempt()
	}
	return x.backend.Gone() && !x.backend.More()
}

// halfClosed reports whether a side of the tunnel has ended.
func (x *exchange) halfClosed() bool {
	return x.up.Whole || x.down.Whole || x.front.Shut() || x.backend.Shut()
}

// closeTunnel ends the tunnel, if x is one.
func (x *exchange) closeTunnel() {
	if x.tunnel {
		x.tunnel, x.opening = false, false
		x.p.counters.Tunnels.Sub(1)
	}
}
