package bench

import (
	"crypto/tls"

	"lb/loop/tlsconn"
)

// shakesMax bounds the handshakes of a loop that are under way at once. More would only
// wait for the CPU.
const shakesMax = 64

// shakes are the TLS handshakes of one loop.
type shakes struct {
	TLS
	shaker   *tlsconn.Shaker // nil: plain HTTP
	underWay int
	turns    []*conn // that wait, the first come first
	starting bool    // next is running
}

// close ends the thread of the handshakes.
func (s *shakes) close() {
	if s.shaker != nil {
		s.shaker.Close()
	}
}

// next starts handshakes as far as there is room. It may be called while it runs, by a
// handshake that fails at once.
func (s *shakes) next() {
	if s.starting {
		return
	}
	s.starting = true
	for s.underWay < shakesMax && len(s.turns) > 0 {
		c := s.turns[0]
		s.turns = s.turns[1:]
		c.inTurn = false
		if c.phase == phaseTurn { // else it was shut meanwhile
			c.shake()
		}
	}
	s.starting = false
}

// ended is called after a handshake, however it has ended.
func (s *shakes) ended() {
	s.underWay--
	s.next()
}

// failed keeps the first error.
func (s *shakes) failed(err error) {
	if s.Error == "" {
		s.Error = err.Error()
	}
}

// awaitTurn begins the handshake of a conn that has connected, now or when there is room.
func (c *conn) awaitTurn() {
	s := &c.worker.shakes
	c.phase = phaseTurn
	if !c.inTurn {
		c.inTurn = true
		s.turns = append(s.turns, c)
	}
	s.next()
}

// shake begins the handshake.
func (c *conn) shake() {
	s := &c.worker.shakes
	c.phase = phaseShake
	s.underWay++
	var err error
	if c.layer, err = s.shaker.Client(&c.Conn, c, c.secure); err != nil {
		c.Shaken(err)
	}
}

// Shaken is called at the end of the handshake.
func (c *conn) Shaken(err error) {
	s := &c.worker.shakes
	if err != nil {
		s.failed(err)
		c.notOpened(&c.worker.errors.Handshake)
		return
	}
	state := c.layer.State()
	if c.multi != nil && state.NegotiatedProtocol != "h2" {
		s.failed(errNoH2)
		c.notOpened(&c.worker.errors.Handshake)
		return
	}
	s.Handshakes++
	if state.DidResume {
		s.Resumed++
	}
	if s.Version == "" {
		s.Version, s.Suite = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	}
	c.opened()
	s.ended()
}

// tlsConfig returns the settings of all conns, or nil for plain HTTP.
func (r *run) tlsConfig() *tls.Config {
	if r.request.url.Scheme != "https" {
		return nil
	}
	cfg := &tls.Config{}
	if r.options.TLS != nil {
		cfg = r.options.TLS.Clone()
	}
	cfg.DynamicRecordSizingDisabled = true // tlsconn sizes records
	setZero(&cfg.ServerName, r.request.url.Hostname())
	if r.options.HTTP2 {
		cfg.NextProtos = []string{"h2"}
	} else if cfg.NextProtos == nil {
		cfg.NextProtos = []string{"http/1.1"}
	}
	return cfg
}

// ofConn returns the settings of one conn: with a session of its own if sessions are
// resumed.
func ofConn(cfg *tls.Config, resume bool) *tls.Config {
	if cfg == nil || !resume {
		return cfg
	}
	cfg = cfg.Clone()
	cfg.ClientSessionCache = &session{}
	return cfg
}

// session is a tls.ClientSessionCache with one place. The handshake of a conn and what
// comes after it use it in turn.
type session struct{ last *tls.ClientSessionState }

// Get returns the session, if there is one.
func (s *session) Get(string) (*tls.ClientSessionState, bool) { return s.last, s.last != nil }

// Put keeps the session that came last.
func (s *session) Put(_ string, state *tls.ClientSessionState) { s.last = state }
