// Package backconn is a conn to a backend below requests: its TLS handshake, and whether
// an idle one can still be used. It does not know what an exchange is.
package backconn

import (
	"crypto/tls"
	"errors"
	"time"

	"lb/board"
	"lb/config"
	"lb/internal/tlsconf"
	"lb/loop"
	"lb/loop/tick"
	"lb/loop/tlsconn"
	"lb/proxy/back"
	"lb/proxy/front"
	"lb/proxy/record"
	"lb/upstream"
)

// Manner is how conns to a backend are made: plain, which is the zero value, or by TLS.
type Manner struct {
	secure bool        // by TLS
	tls    *tls.Config // for that, or nil
	http1  *tls.Config // the same, but HTTP/1.1 is all that ALPN offers
	pool   *tls.Config // its pool's, of which they were made
	name   string      // the backend's, for which they were made
}

// Set makes m that of the backend b, whose pool has this configuration of TLS, or nil. Conns
// that were made before fit as long as the pool's stays the same.
func (m *Manner) Set(pool *tls.Config, b config.Backend) {
	if m.secure = b.TLS; !m.secure {
		pool = nil
	}
	if pool != m.pool || b.Name != m.name {
		m.pool, m.name, m.tls = pool, b.Name, tlsconf.ForBackend(pool, b)
		if m.http1 = m.tls; m.tls != nil && len(m.tls.NextProtos) > 1 {
			m.http1 = m.tls.Clone()
			m.http1.NextProtos = []string{tlsconf.ProtocolHTTP1}
		}
	}
}

// HTTP1 returns the configuration of TLS for conns that are to speak HTTP/1.1 for certain, or
// nil; Any that for conns on which the backend chooses, as far as the pool lets it.
func (m *Manner) HTTP1() *tls.Config { return m.http1 }

// Any is explained at HTTP1.
func (m *Manner) Any() *tls.Config { return m.tls }

// TLS reports whether conns are made by TLS.
func (m *Manner) TLS() bool { return m.secure }

// Conn is one conn to a backend. It belongs to one loop.
type Conn struct {
	loop.Conn
	Since tick.Instant // when it became idle
	Made  record.Made  // how it was made

	tls     *tls.Config   // that its handshake was begun with; nil for plain
	shake   *tlsconn.Conn // the handshake, until its end has been looked at
	over    bool          // it has ended
	doubted bool          // the backend was found down while an attempt had the conn
	streams bool          // HTTP/2 was agreed on
	err     error         // how
	probe   [1]byte
}

// Begin makes c new. It is called before c is dialled.
func (c *Conn) Begin() {
	c.tls, c.shake, c.over, c.doubted, c.err, c.streams, c.Made = nil, nil, false, false, nil, false, record.Made{}
}

// What a conn puts up with.
const (
	// SilenceLeast is the least silence after which the machine of a backend counts as gone:
	// some lost packets in a row are not enough.
	SilenceLeast = 5 * time.Second
	// SilenceDown is the silence for a backend that is found down: it has been silent already.
	SilenceDown = 3 * time.Second
)

// Bound has the system end the conn, which was dialled to a, when the machine of the backend
// has acknowledged nothing for about silence. Without that a conn to a machine that has lost
// its power is found to be over after some 15 minutes, or never while nothing is sent.
func (c *Conn) Bound(a *loop.Addr, silence time.Duration) {
	if a.Path == "" {
		c.GiveUp(silence)
	}
}

// Doubt is back.Carrier's. A conn over TLS or not, it is the socket below that counts.
func (c *Conn) Doubt() {
	if !c.doubted {
		c.doubted = true
		c.GiveUp(SilenceDown)
	}
}

// Fits reports whether a new conn would be made in the same manner.
func (c *Conn) Fits(m *Manner) bool {
	return !c.doubted && (c.tls == m.tls || c.tls == m.http1) && c.Secure() == m.secure
}

// Secure reports whether c speaks TLS.
func (c *Conn) Secure() bool { return c.tls != nil }

// errNoTLS is the error of a handshake for which there is no configuration. The backend gets
// nothing in plain text instead.
var errNoTLS = errors.New("backconn: no configuration of TLS for the pool")

// Connect moves the making of c on, after an event. The time to connect includes the TLS
// handshake, which is begun with cfg if m has TLS. See back.Back.
func (c *Conn) Connect(s *front.Shared, m *Manner, cfg *tls.Config) (p back.Progress, f record.Fault) {
	var over bool
	var err error
	switch {
	case c.Shaking():
		over, err = c.Step()
	case !c.Writable() && !c.Hangup():
		return back.Waits, f
	default:
		if err := c.DialResult(); err != nil {
			return back.Failed, record.ByError(record.CauseNoConnect, err)
		}
		if c.Made.Connected == 0 { // after ErrBusy it is there already
			c.Made.Connected = s.Loop.Now()
		}
		if c.Made.TLS = m.secure; !m.secure {
			return back.Ready, f
		}
		err = c.Handshake(s.Shaker(), cfg)
	}
	switch {
	case err == tlsconn.ErrBusy:
		return back.Busy, f
	case err != nil:
		return back.Failed, record.ByHandshake(err)
	case !over:
		return back.Waits, f
	}
	c.Made.Secured = s.Loop.Now()
	return back.Ready, f
}

// Late is as back.Back.Late.
func (c *Conn) Late(l *loop.Loop, since tick.Instant) (f record.Fault, late bool) {
	switch {
	case !c.Shaking():
		return record.Fault{Side: record.BackendSide, Cause: record.CauseSlow}, true
	case l.StoodStill(since):
		return f, false
	case c.shake.Waits():
		return record.LateHandshake(), true
	}
	return record.ByLB(record.CauseCrowded), true // the backend has done its part
}

// Handshake begins the TLS handshake on c, which has connected.
func (c *Conn) Handshake(s *tlsconn.Shaker, cfg *tls.Config) (err error) {
	if cfg == nil {
		return errNoTLS
	}
	c.tls = cfg
	c.shake, err = s.Client(&c.Conn, c, cfg)
	return err
}

// Shaking reports whether there is a handshake whose end has not been looked at.
func (c *Conn) Shaking() bool { return c.shake != nil }

// Shaken implements tlsconn.Owner.
func (c *Conn) Shaken(err error) { c.over, c.err = true, err }

// Step moves the handshake on, after an event. It reports whether it is over, and its error.
func (c *Conn) Step() (over bool, err error) {
	if !c.over {
		c.shake.Advance()
	}
	if c.over {
		if c.err == nil && len(c.tls.NextProtos) > 0 && c.tls.NextProtos[0] == tlsconf.ProtocolH2 {
			c.streams = c.shake.State().NegotiatedProtocol == tlsconf.ProtocolH2
		}
		c.shake = nil
	}
	return c.over, c.err
}

// Streams reports whether HTTP/2 was agreed on by ALPN.
func (c *Conn) Streams() bool { return c.streams }

// TakeFrom makes c, which is free, the conn that from was. Its events go to h.
func (c *Conn) TakeFrom(from *Conn, l *loop.Loop, h loop.Handler) {
	c.Begin()
	c.tls, c.Made = from.tls, from.Made
	l.Move(&from.Conn, &c.Conn, h)
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
