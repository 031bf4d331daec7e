// Package backs has the conns of one loop to all its backends, whatever protocol they
// speak: it chooses between proxy/h1back and proxy/h2back for each attempt, and between a
// conn that there is and a new one.
package backs

import (
	"math/rand/v2"

	"lb/board"
	"lb/config"
	"lb/httpparse"
	"lb/loop"
	"lb/proxy/back"
	"lb/proxy/backconn"
	"lb/proxy/front"
	"lb/proxy/h1back"
	"lb/proxy/h2back"
	"lb/proxy/record"
)

// Target is a backend as the conns of one loop to it see it. It must not be copied after
// Init.
type Target struct {
	h1back.Target
	streams h2back.Target
}

// Init prepares t, at addr, for a loop in a slot of b. Slot and id must have been claimed.
func (t *Target) Init(b *board.Board, slot, id int, name string, addr loop.Addr) {
	t.Target = h1back.NewTarget(b, slot, id, name, addr)
	t.streams.Target = &t.Target
}

// Use takes over what the pool of t says of conns.
func (t *Target) Use(q *config.Pool) {
	t.Never = q.Reuse == config.ReuseNever
	t.streams.Speak(q.Protocol)
}

// Leave is called when t is no longer in the configuration. Its attempts go on.
func (t *Target) Leave() {
	t.Gone = true
	t.Target.CloseIdle()
	t.streams.Retire()
}

// CloseIdle ends the idle conns to t.
func (t *Target) CloseIdle() {
	t.Target.CloseIdle()
	t.streams.CloseIdle()
}

// Conns has the conns of one loop to its backends.
type Conns struct {
	H2 h2back.Conns

	shared back.Shared
	h1     h1back.Conns
}

// Init prepares s, which must not be copied from then on. chance is for jitter.
func (s *Conns) Init(shared *front.Shared, chance *rand.Rand, left func(id int)) {
	s.shared.Shared, s.shared.Left, s.h1.Shared = shared, left, &s.shared
	s.H2.Shared, s.H2.HTTP1, s.H2.Chance, s.H2.MaxAge = &s.shared, &s.h1, chance, h2back.MaxAge
}

// Use takes over the time limits of cfg, and the limits of heads.
func (s *Conns) Use(cfg *config.Config, limits *httpparse.Limits) {
	s.shared.IdleTimeout = cfg.Timeouts.BackendIdle
	s.shared.Silence = max(cfg.Timeouts.BackendWrite, backconn.SilenceLeast)
	s.H2.Use(cfg, limits)
}

// Ask is what an exchange wants of its conn.
type Ask struct {
	h1back.Ask      // of an idle one
	Fresh      bool // it has not been idle
	Upgrade    bool // the request asks for another protocol
}

// Get gets a conn to t, or a stream of one, for an attempt of o. After Ready and after Waits,
// when it is being made, b is the attempt's, see back.Back. Otherwise it is nil: after Busy the
// backend has no room for another conn at the moment; f is set with Failed alone.
func (s *Conns) Get(t *Target, o back.Owner, a *Ask) (b back.Back, p back.Progress, f record.Fault) {
	if t.streams.Speaks() {
		if b, p, f = s.getStream(t, o, a); p != back.Other {
			return b, p, f
		}
	}
	if !a.Fresh {
		if c := s.h1.Take(&t.Target, o, &a.Ask); c != nil {
			return c, back.Ready, f
		}
	}
	return s.dial(t, o, a.Fresh)
}

// getStream is Get for a backend that may speak HTTP/2. After Other it has not chosen to, or
// the request needs HTTP/1.
func (s *Conns) getStream(t *Target, o back.Owner, a *Ask) (b back.Back, p back.Progress, f record.Fault) {
	if !t.streams.Streams(s.shared.Loop.Now(), a.Upgrade) {
		if c := s.H2.TakeOther(&t.streams, o); c != nil {
			return c, back.Ready, f
		}
		return nil, back.Other, f
	}
	st := s.H2.Take(&t.streams, o, a.Fresh)
	if st == nil {
		if !t.Known() {
			return nil, back.Failed, record.ByBackend(record.CauseNoConnect)
		}
		var err error
		if st, err = s.H2.Dial(&t.streams, o); err != nil {
			p, f = undialled(err)
			return nil, p, f
		}
	}
	p, f = st.Connect()
	return st, p, f
}

// dial begins a new conn of HTTP/1 to t. If lb lacks something for that, the conn that
// became idle last will do, unless a fresh one is needed.
func (s *Conns) dial(t *Target, o back.Owner, fresh bool) (b back.Back, p back.Progress, f record.Fault) {
	if !t.Known() {
		return nil, back.Failed, record.ByBackend(record.CauseNoConnect)
	}
	for {
		c, err := s.h1.Dial(&t.Target, o)
		if err == nil {
			return c, back.Waits, f
		}
		if p, f = undialled(err); f.Side != record.LBSide || fresh {
			return nil, p, f
		}
		c, tried := s.h1.TakeUnrested(&t.Target, o)
		if c != nil {
			return c, back.Ready, record.Fault{}
		} else if !tried {
			return nil, p, f
		}
	}
}

// undialled says what it means that no conn could be begun because of err.
func undialled(err error) (p back.Progress, f record.Fault) {
	if h1back.Full(err) {
		return back.Busy, f
	}
	return back.Failed, record.ByDialling(err)
}

// Each calls f for each exchange that has an attempt on a conn of l, with that conn. f must
// end none.
func Each(l *loop.Loop, f func(c back.Carrier, o back.Owner)) {
	l.Each(func(h loop.Handler) {
		if c, ok := h.(back.Carrier); ok {
			c.Each(func(o back.Owner) { f(c, o) })
		}
	})
}
