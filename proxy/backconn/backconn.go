// Package backconn is a conn to a backend below requests: its TLS handshake, and whether
// an idle one can still be used. It does not know what an exchange is.
package backconn

import (
	"crypto/tls"
	"errors"

	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
	"lb/proxy/record"
	"lb/upstream"
)

// Manner is how conns to a backend are made: plain, which is the zero value, or by TLS.
type Manner struct {
	secure bool        // by TLS
	tls    *tls.Config // for that, or nil
	pool   *tls.Config // its pool's, of which tls was made
}

// Set makes m that of the backend b, whose pool has this configuration of TLS, or nil. Conns
// that were made before fit as long as the pool's stays the same.
func (m *Manner) Set(pool *tls.Config, b config.Backend) {
	if m.secure = b.TLS; !m.secure {
		pool = nil
	}
	if pool != m.pool {
		m.pool, m.tls = pool, tlsconf.ForBackend(pool, b)
	}
}

// TLS reports whether conns are made by TLS.
func (m *Manner) TLS() bool { return m.secure }

// Conn is one conn to a backend. It belongs to one loop.
type Conn struct {
	loop.Conn
	Since tick.Instant // when it became idle

	tls   *tls.Config   // that its handshake was begun with; nil for plain
	shake *tlsconn.Conn // the handshake, until its end has been looked at
	over  bool          // it has ended
	err   error         // how
	probe [1]byte
}

// Begin makes c new. It is called before c is dialled.
func (c *Conn) Begin() { c.tls, c.shake, c.over, c.err = nil, nil, false, nil }

// Fits reports whether a new conn would be made in the same manner.
func (c *Conn) Fits(m *Manner) bool { return c.tls == m.tls && c.Secure() == m.secure }

// Secure reports whether c speaks TLS.
func (c *Conn) Secure() bool { return c.tls != nil }

// errNoTLS is the error of a handshake for which there is no configuration. The backend gets
// nothing in plain text instead.
var errNoTLS = errors.New("backconn: no configuration of TLS for the pool")

// Handshake begins the TLS handshake on c, which has connected.
func (c *Conn) Handshake(s *tlsconn.Shaker, m *Manner) (err error) {
	if m.tls == nil {
		return errNoTLS
	}
	c.tls = m.tls
	c.shake, err = s.Client(&c.Conn, c, m.tls)
	return err
}

// Shaking reports whether there is a handshake whose end has not been looked at.
func (c *Conn) Shaking() bool { return c.shake != nil }

// Shaken implements tlsconn.Owner.
func (c *Conn) Shaken(err error) { c.over, c.err = true, err }

// Late returns the fault of a handshake that did not end in time: it is lb's if the backend
// has done its part.
func (c *Conn) Late() record.Fault {
	if c.shake.Waits() {
		return record.LateHandshake()
	}
	return record.ByLB(record.CauseCrowded)
}

// Step moves the handshake on, after an event. It reports whether it is over, and its error.
func (c *Conn) Step() (over bool, err error) {
	if !c.over {
		c.shake.Advance()
	}
	if c.over {
		c.shake = nil
	}
	return c.over, c.err
}

// Fresh reports whether c, which is idle, can still be used, judging by the events that
// have come. No request is out on it: a byte would be taken for the answer to the next
// one. In TLS an event may be that of a ticket (RFC 8446 4.6.1), so it takes a look.
func (c *Conn) Fresh(s *board.State, now tick.Instant) bool {
	return !c.PeerShut() && !c.Hangup() && (!c.Readable() || c.tls != nil && c.Silent(s, now))
}

// Silent reports whether c, which is idle, is open and nothing has come on it, by asking
// the system.
func (c *Conn) Silent(s *board.State, now tick.Instant) bool {
	n, err := c.Probe()
	if err != nil {
		upstream.IdleClosed(s, now.Sub(c.Since), now)
	}
	return n == 0 && err == nil
}

// Probe reads a byte of an answer.
func (c *Conn) Probe() (n int, err error) { return c.Read(c.probe[:]) }

// NoteClosed notes on the board that the backend closed c while it was idle, if it has, so
// that other conns to it are not kept for as long.
func (c *Conn) NoteClosed(s *board.State, now tick.Instant) {
	if c.PeerShut() || c.Hangup() {
		upstream.IdleClosed(s, now.Sub(c.Since), now)
	}
}
