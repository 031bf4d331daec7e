package mux

import (
	"time"

	"lb/httpparse/h2"
)

// drain is how far a conn of a client is in a drain (RFC 9113 6.8).
type drain uint8

const (
	drainNone   drain = iota
	drainNotice       // the client knows that no new requests are welcome; those that come are served
	drainLast         // it knows which is the last one
)

// noticeTimeout is how long after the notice of a drain requests are still taken from a
// client that does not answer the PING after it.
const noticeTimeout = time.Second

// Drain ends c when its streams have ended, without losing a request: the client
// gets GOAWAY, and what it had sent before that came is still served.
func (c *Conn) Drain() {
	if c.state != stateOpen || c.drain != drainNone {
		return
	}
	c.drain, c.notice = drainNotice, c.side.Loop.Now()
	c.put(h2.AppendPing(c.AppendNotice(c.room(2*h2.OutMax)), false, [8]byte{}))
}

// last tells the client which request is the last one.
func (c *Conn) last() {
	c.drain = drainLast
	c.put(c.AppendLast(c.room(h2.OutMax)))
}
