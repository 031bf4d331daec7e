package proxy

import (
	"time"

	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/lane"
	"lb/upstream"
)

// backendConn is one conn to a backend. It belongs to an exchange (x), or to the
// idle list of its backend, where it owns no buffer.
type backendConn struct {
	loop.Conn
	p     *Proxy
	x     *exchange
	to    *target
	in    lane.Inbox
	link  upstream.Link[*backendConn]
	timer loop.Timer   // the deadline of an idle one
	since tick.Instant // when it became idle
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
	return b
}

// Ready is called by the loop.
func (b *backendConn) Ready() {
	if b.x != nil {
		b.x.front.Advance()
		return
	}
	// No request is out on an idle conn: a byte would be taken for the answer to the
	// next one.
	if !b.fresh() {
		b.noteClosed()
		b.close()
	}
}

// Expired is called by the loop when an idle conn's deadline has passed.
func (b *backendConn) Expired() {
	if b.x == nil {
		b.close()
	}
}

// fresh reports whether b, from the idle list, can still be used, judging by the events
// that have come.
func (b *backendConn) fresh() bool { return !b.Readable() && !b.PeerShut() && !b.Hangup() }

// idle puts b, whose exchange is over, on the idle list, unless b would be too old or
// its backend gone before it is taken from there.
func (b *backendConn) idle() {
	p := b.p
	b.in.Drop(p.arena)
	b.x, b.since = nil, p.loop.Clock() // a turn may be longer than a rest
	limit := p.idleLimit(b.to, b.since)
	if b.to.Gone || b.to.pool.cfg.Reuse == config.ReuseNever || limit < idleLeast {
		b.close()
		return
	}
	b.to.Idle.Put(&b.link, b, b.since)
	p.counters.BackendIdle.Add(1)
	p.loop.Arm(&b.timer, b, b.since.Add(limit))
}

// idleLeast is the shortest time that is worth keeping a conn for: a backend that
// promises timeout=0 does not keep any.
const idleLeast = time.Millisecond

// noteClosed notes on the board that the backend closed b while it was idle, so that
// other conns to it are not kept for as long.
func (b *backendConn) noteClosed() {
	if now := b.p.loop.Now(); b.PeerShut() || b.Hangup() {
		upstream.IdleClosed(b.to.State, now.Sub(b.since), now)
	}
}

// silent reports whether b, from the idle list, is open and nothing has come on it, by
// asking the system: a byte would be one that no request has asked for.
func (b *backendConn) silent() bool {
	n, err := b.probe()
	if err != nil {
		now := b.p.loop.Now()
		upstream.IdleClosed(b.to.State, now.Sub(b.since), now)
	}
	return n == 0 && err == nil
}

// probe reads a byte.
func (b *backendConn) probe() (n int, err error) { return b.Read(b.p.probed[:]) }

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
