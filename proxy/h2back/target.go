package h2back

import (
	"math/rand/v2"
	"time"
	"unsafe"

	"lb/config"
	"lb/httpparse"
	"lb/httpparse/h2"
	"lb/loop/tick"
	"lb/proxy/back"
	"lb/proxy/h1back"
	"lb/proxy/mux"
)

// Numbers of streams, in one conn at once.
const (
	streamsMax = 256 // more belong on another conn, whatever the backend allows
	assumed    = 100 // before the SETTINGS of the first conn (RFC 9113 6.5.2 recommends no less)
)

// How long things last.
const (
	Joinable   = time.Second            // how long others join a conn that is being dialled: it may be stuck
	MaxAge     = 10 * time.Minute       // of a conn, until it gets no new streams
	settleMax  = 200 * time.Millisecond // how long a new conn waits for SETTINGS
	doubtAfter = time.Second            // without a word, until a conn is not used for a second attempt
	http1For   = time.Minute            // how long a backend that has chosen HTTP/1.1 is not asked again
)

// window is how much of an answer the backend may send before the exchange takes it, in
// bytes: it fits a large slab.
const window = 65535

// Target is a backend as the HTTP/2 conns of one loop to it see it.
type Target struct {
	*h1back.Target
	Protocol    string // of its pool, see package config; set by Speak
	streams     bool   // which is not HTTP/1 alone
	first, last *Conn  // that may get streams, oldest first
	most        int    // streams that the newest conn has allowed; 0: not known
	http1       tick.Instant
	parted      tick.Instant // when GOAWAY without an error came last
	other       *Conn        // that has turned out to speak HTTP/1.1, and is not taken yet
}

// Speak makes protocol, that of the pool, the one of t.
func (t *Target) Speak(protocol string) {
	if t.Protocol != protocol {
		t.Protocol, t.http1 = protocol, 0
		t.streams = protocol != "" && protocol != config.ProtocolHTTP1
		t.Retire()
	}
}

// Speaks reports whether t may speak HTTP/2.
func (t *Target) Speaks() bool { return t.streams }

// Streams reports whether an attempt at now is made in a stream; otherwise it has a conn of
// HTTP/1. upgrade says that the request asks for another protocol, which only HTTP/1 has.
func (t *Target) Streams(now tick.Instant, upgrade bool) bool {
	return t.streams && (t.Protocol != config.ProtocolAuto || !upgrade && now >= t.http1)
}

// Retire lets no conn to t have new streams: each ends with its last one, and at once if it
// has none.
func (t *Target) Retire() {
	for t.first != nil {
		t.first.retire()
	}
}

// CloseIdle ends the conns to t that have no stream.
func (t *Target) CloseIdle() {
	for c := t.first; c != nil; {
		next := c.next
		if c.unused() {
			c.retire()
		}
		c = next
	}
}

// drop takes c out of the conns that may get streams.
func (t *Target) drop(c *Conn) {
	if !c.listed {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		t.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		t.last = c.prev
	}
	c.listed, c.prev, c.next = false, nil, nil
}

func (t *Target) add(c *Conn) {
	if c.prev = t.last; t.last != nil {
		t.last.next = c
	} else {
		t.first = c
	}
	t.last, c.listed = c, true
}

// Conns has the HTTP/2 conns of one loop to its backends.
type Conns struct {
	*back.Shared
	Limits *httpparse.Limits // of heads, by the present configuration
	HTTP1  *h1back.Conns     // for backends that choose HTTP/1.1
	Chance *rand.Rand        // for jitter
	MaxAge time.Duration     // until a conn gets no new streams, or half of that by chance

	options  h2.Options
	plain    mux.Side
	secure   mux.Side
	free     *Conn
	attempts *Attempt // free
}

// Use takes over the limits and the time limits of cfg. If heads may be longer than before,
// the conns that there are get no new streams.
func (s *Conns) Use(cfg *config.Config, limits *httpparse.Limits) {
	if s.options.Streams == 0 || limits.HeadBytes > s.Limits.HeadBytes {
		s.options = h2.Options{Role: h2.Client, Streams: streamsMax, Window: window}
		shared := h2.NewShared(limits.HeadBytes, newStream)
		s.plain = mux.Side{Loop: s.Loop, Arena: s.Arena, Options: &s.options, Role: h2.Client, Shared: shared}
		s.secure = s.plain
		s.plain.Scheme, s.secure.Scheme = "http", "https"
	}
	s.Limits = limits
	for _, side := range [...]*mux.Side{&s.plain, &s.secure} {
		late := cfg.Timeouts.Response + 2*settleMax // an answer is late before its conn is
		side.Head, side.Ack, side.Write = late, late, cfg.Timeouts.BackendWrite
	}
}

// Trim leaves the streams that were not needed since the last Trim to the collector, and
// returns about how many bytes.
func (s *Conns) Trim() (freed int) { return s.plain.Shared.Trim() * int(unsafe.Sizeof(stream{})) }

// Take makes an attempt of o at t on a conn that there is, or returns nil if there is none
// with room. With fresh, a conn is not used that has been idle and was not heard of since. If
// the attempt is not Made, the conn is not ready yet.
func (s *Conns) Take(t *Target, o back.Owner, fresh bool) *Attempt {
	for c := t.first; c != nil; {
		next := c.next
		switch now := s.Loop.Now(); {
		case c.old(now):
			c.retire()
		case c.room(now) && !(fresh && c.doubtful(now)):
			return c.join(o)
		}
		c = next
	}
	return nil
}

// Dial makes an attempt of o at t on a new conn. The errors are those of loop.Dial. There
// has to be an address.
func (s *Conns) Dial(t *Target, o back.Owner) (*Attempt, error) {
	c := s.free
	if c == nil {
		c = &Conn{s: s}
	} else {
		s.free, c.next = c.next, nil
	}
	c.begin(t)
	if err := s.Loop.Dial(&c.dial.Conn, c, &t.Addr); err != nil {
		c.next, s.free = s.free, c
		return nil, err
	}
	c.dial.Bound(&t.Addr, s.Silence)
	s.Counters.BackendConns.Add(1)
	t.Slot.Conns.Add(1)
	t.add(c)
	return c.join(o), nil
}

// TakeOther takes the conn to t that has turned out to speak HTTP/1.1, for an attempt of o, or
// returns nil if there is none.
func (s *Conns) TakeOther(t *Target, o back.Owner) *h1back.Conn {
	c := t.other
	if c == nil {
		return nil
	}
	t.other = nil
	return s.HTTP1.Adopt(t.Target, o, &c.dial)
}
