package proxy

import (
	"time"

	"lb/config"
	"lb/loop"
	"lb/proxy/backconn"
	"lb/proxy/lane"
	"lb/upstream"
)

// backendConn is one conn to a backend. It belongs to an exchange (x), or to the
// idle list of its backend, where it owns no buffer.
type backendConn struct {
	backconn.Conn
	p     *Proxy
	x     *exchange
	to    *target
	in    lane.Inbox
	link  upstream.Link[*backendConn]
	timer loop.Timer   // the deadline of an idle one
	next  *backendConn // in the free list
	uses  int          // exchanges, the present one included
	bare  bool         // its answer had no body, whatever the backend may have sent
}

func (p *Proxy) newBackend(t *target) *backendConn {
	b := p.freeBacks
	if b == nil {
		b = &backendConn{p: p}
	} else {
		p.freeBacks, b.next = b.next, nil
	}
	b.to, b.uses = t, 0
	b.Conn.Begin()
	return b
}

// Ready is called by the loop.
func (b *backendConn) Ready() {
	if b.x != nil {
		b.x.front.Advance()
		return
	}
	if now := b.p.loop.Now(); !b.Fresh(b.to.State, now) {
		b.NoteClosed(b.to.State, now)
		b.close()
	}
}

// Expired is called by the loop when an idle conn's deadline has passed.
func (b *backendConn) Expired() {
	if b.x == nil {
		b.close()
	}
}

// idle puts b, whose exchange is over, on the idle list, unless b would be too old or
// its backend gone before it is taken from there.
func (b *backendConn) idle() {
	p := b.p
	b.in.Drop(p.arena)
	b.x, b.Since = nil, p.loop.Clock() // a turn may be longer than a rest
	limit := p.idleLimit(b.to, b.Since)
	if b.to.Gone || !b.Fits(&b.to.manner) || b.to.pool.cfg.Reuse == config.ReuseNever || limit < idleLeast {
		b.close()
		return
	}
	b.to.Idle.Put(&b.link, b, b.Since)
	p.counters.BackendIdle.Add(1)
	p.loop.Arm(&b.timer, b, b.Since.Add(limit))
}

// idleLeast is the shortest time that is worth keeping a conn for: a backend that
// promises timeout=0 does not keep any.
const idleLeast = time.Millisecond

// close ends b, wherever it is. It does nothing if b is closed already.
func (b *backendConn) close() { b.end(false) }

// end is close, by a reset if that is asked for: then the system keeps no port for b.
func (b *backendConn) end(reset bool) {
	p := b.p
	if !b.IsOpen() {
		return
	}
	if b.to.Idle.Remove(&b.link) {
		p.counters.BackendIdle.Sub(1)
	}
	b.in.Release(p.arena)
	b.x = nil
	p.loop.Disarm(&b.timer)
	b.Conn.Close(reset)
	p.counters.BackendConns.Sub(1)
	b.next, p.freeBacks = p.freeBacks, b
}

// Panicked is called by the loop when an event of b ended in a panic.
func (b *backendConn) Panicked(value any, stack []byte) {
	b.p.Panicked(value, stack)
	if b.x == nil {
		b.close()
	}
}
