package proxy

import (
	"time"

	"golang.org/x/net/http2"

	"lb/httpparse/h2"
	"lb/loop/looptest"
)

// simConn is an HTTP/2 conn of simulated clients.
type simConn struct {
	*h2End
	s     *sim
	lines int    // clients that have joined it
	rough bool   // it began in a rough time
	goes  uint32 // of a backend: the last stream that is served
}

// join gives c a line on an HTTP/2 conn, perhaps one that others have.
func (c *simClient) join() {
	s := c.s
	var conn *simConn
	for _, o := range s.h2Conns {
		if !o.server && o.rough == s.rough && !o.over && !o.leaving && !o.said && o.lines < 6 && s.rng.IntN(3) > 0 {
			conn = o
		}
	}
	if conn == nil {
		conn = s.newConn()
	}
	conn.lines++
	c.peer = newH2Line(conn.h2End, c.r.feed, c.onEnd)
}

// newConn draws an HTTP/2 conn of clients.
func (s *sim) newConn() *simConn {
	c := &simConn{s: s, rough: s.rough, h2End: newH2End(s.dial(s.address(rigPortH2)), false, nil)}
	c.wrong = func(format string, args ...any) { s.errorf("to an HTTP/2 client: "+format, args...) }
	c.draw()
	s.h2Conns = append(s.h2Conns, c)
	if s.rough && s.rng.IntN(4) == 0 {
		s.after(1500, func() {
			switch s.rng.IntN(4) {
			case 0:
				c.peer.Reset()
			case 1:
				c.peer.Close()
			case 2:
				c.peer.Shut()
				return
			case 3:
				c.leave(0)
				return
			}
			c.end()
		})
	}
	return c
}

// welcomeH2 makes the other end of a conn to a backend that speaks HTTP/2.
func (s *sim) welcomeH2(place int, p *looptest.Peer) {
	c := &simConn{s: s, rough: s.rough, h2End: newH2End(p, true, nil), goes: 1<<31 - 1}
	c.wrong = func(format string, args ...any) { s.errorf("to an HTTP/2 backend: "+format, args...) }
	hello := s.newHello(place)
	p.OnBytes = func(p *looptest.Peer) {
		if b := hello.take(s, p.Recv()); len(b) > 0 {
			c.receive(b)
		}
	}
	c.accept = func(st *h2Stream) {
		if l := newH2Served(st); st.id <= c.goes && !(s.rough && s.rng.IntN(10) == 0) {
			b := s.newBackend(place, l, hello)
			l.onText, l.onEnd = b.onBytes, b.onEnd
		} else {
			if l.onText = func([]byte) {}; st.id <= c.goes {
				st.cancel(http2.ErrCodeRefusedStream)
			}
		}
	}
	c.draw()
	s.h2Conns = append(s.h2Conns, c)
	switch s.rng.IntN(6) {
	case 0: // an orderly end
		s.after(1500, func() {
			c.leave(c.goes)
			s.r.k.After(time.Second, func() {
				if c.goes = c.last; !c.over {
					c.leave(c.goes)
					c.closeLate()
				}
			})
		})
	case 1: // some streams come too late for it
		if s.rough {
			s.after(1500, func() {
				if !s.rough {
					return // a request with a long body would be lost
				}
				c.goes = c.last
				s.after(50, func() {
					if !c.over {
						c.leave(c.goes)
						c.closeLate()
					}
				})
			})
		}
	case 2:
		if s.rough {
			s.after(1500, func() {
				if s.rough && !c.over {
					c.peer.Reset()
					c.end()
				}
			})
		}
	}
}

// serving returns the number of streams that c has said it serves.
func (c *simConn) serving() (n int) {
	for _, st := range c.all() {
		if st.lives() && st.id <= c.goes {
			n++
		}
	}
	return n
}

// closeLate closes c when it has no stream any more.
func (c *simConn) closeLate() {
	switch {
	case c.over:
	case c.serving() == 0:
		c.end()
	default:
		c.s.after(20, c.closeLate)
	}
}

// draw draws the settings of an end, and what it does meanwhile.
func (c *simConn) draw() {
	s := c.s
	c.rng = s.rng
	if s.rng.IntN(2) == 0 {
		c.later = func(f func()) { s.after(10, f) }
	}
	if c.server && s.rng.IntN(3) == 0 { // late
		s.after(100, func() { c.start(c.settingsDrawn()...) })
	} else {
		c.start(c.settingsDrawn()...)
	}
	for range s.rng.IntN(6) {
		s.after(1500, c.fidget)
	}
}

func (c *simConn) settingsDrawn() (all []http2.Setting) {
	rng := c.s.rng
	if rng.IntN(2) == 0 {
		all = append(all, http2.Setting{ID: http2.SettingInitialWindowSize, Val: []uint32{1000, 5000, 16384, 1 << 20}[rng.IntN(4)]})
	}
	if rng.IntN(3) == 0 {
		all = append(all, http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(rng.IntN(2) * 100)})
	}
	if c.server && rng.IntN(2) == 0 {
		all = append(all, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(1 + rng.IntN(4))})
	}
	return all
}

// fidget does something that changes no answer.
func (c *simConn) fidget() {
	if c.over || !c.started {
		return
	}
	switch rng := c.s.rng; rng.IntN(6) {
	case 0:
		c.settings(c.settingsDrawn()...)
	case 1:
		c.ping()
	case 2:
		c.stall(true)
		c.s.after(500, func() { c.stall(false) })
	case 3:
		if id := c.anyID(); id != 0 && !c.server {
			c.framer.WriteRawFrame(0x10, 0, 0, append([]byte{0, 0, byte(id >> 8), byte(id)}, "u=1, i"...))
		}
	case 4:
		if id := c.anyID(); id != 0 && !c.server {
			c.framer.WritePriority(id, http2.PriorityParam{StreamDep: 0, Weight: 7})
		}
	case 5:
		c.framer.WriteRawFrame(0xbe, 0xff, uint32(c.anyID()), []byte("unknown"))
	}
	c.flush()
}

func (c *simConn) anyID() uint32 {
	if all := c.all(); len(all) > 0 {
		return all[c.s.rng.IntN(len(all))].id
	}
	return 0
}

// stall keeps all windows shut, or opens them.
func (c *simConn) stall(is bool) {
	if c.stalled = is; is {
		return
	}
	for _, s := range c.all() {
		c.repay(s)
	}
	c.repay(nil)
	c.flush()
}

// endH2 closes all HTTP/2 conns, whose streams have ended. Their windows are to be open, and
// none is to have been taken for a flood.
func (s *sim) endH2() {
	s.turn(time.Second)
	for _, c := range s.h2Conns {
		c.checkWindows()
		if !c.over {
			c.end()
		}
	}
	for i := range s.r.p.counters.HTTP2Floods {
		if n := s.r.p.counters.HTTP2Floods[i].Load(); n > 0 {
			s.errorf("%d floods: %v", n, h2.Budget(i))
		}
	}
}
