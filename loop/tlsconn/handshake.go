package tlsconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"sync/atomic"

	"lb/loop"
)

// Owner hears how the handshake of its conn has ended.
type Owner interface {
	// Shaken is called on the loop, within Advance, once, unless the conn is closed
	// before. After an error the owner closes the conn: the alert is written already.
	Shaken(err error)
}

// handshake is the handshake of a Conn. It belongs to the loop, and to the thread while it
// is away.
type handshake struct {
	t     *Conn
	owner Owner
	away  bool // the loop's: the thread has it
	begun bool // the loop's

	in   []byte // for the thread: whole records
	at   int    // how far they have been read
	left int    // of the record at that place: what is still to be read
	end  error  // what follows in, or nil
	out  []byte // from the thread: to be sent
	over bool   // the handshake has ended, with err
	err  error

	on *coroutine // from the first step to the end

	dropped atomic.Bool // the conn is closed: no step is taken any more
}

// Server begins the server's side of a handshake on c, and Client that of a client. The
// result is the transport of c at once. Until the handshake is over the owner of c calls
// Advance for each event, and no other method of c but Close. first has bytes that were
// read already. cfg has DynamicRecordSizingDisabled: the sizes of records are decided
// here. After ErrBusy the owner closes c.
func (s *Shaker) Server(c *loop.Conn, o Owner, cfg *tls.Config, first []byte) (*Conn, error) {
	t := s.conn(c, o)
	t.tls = tls.Server((*wire)(t), cfg)
	t.keep(first)
	c.SetTransport(t)
	if t.whole && !t.begin() {
		return nil, ErrBusy
	}
	return t, nil
}

// Client is like Server.
func (s *Shaker) Client(c *loop.Conn, o Owner, cfg *tls.Config) (*Conn, error) {
	t := s.conn(c, o)
	t.tls = tls.Client((*wire)(t), cfg)
	c.SetTransport(t)
	if !t.begin() {
		return nil, ErrBusy
	}
	return t, nil
}

func (s *Shaker) conn(c *loop.Conn, o Owner) *Conn {
	t := &Conn{c: c, s: s}
	t.hand = &handshake{t: t, owner: o}
	return t
}

// Advance moves the handshake on, after an event. It does nothing when it is over. The
// owner may have closed the conn when it returns.
func (t *Conn) Advance() {
	h := t.hand
	switch {
	case h == nil || h.away || h.dropped.Load():
	case h.over && h.err == nil:
		t.finish(t.broken)
	case h.over:
		t.finish(h.err)
	default:
		t.collect()
	}
}

// Waits reports whether there is a handshake that waits for the peer, and not for the thread.
func (t *Conn) Waits() bool { return t.hand != nil && !t.hand.away }

// collect reads, and hands the handshake to the thread if a record is whole or the bytes
// have ended.
func (t *Conn) collect() {
	raw := t.waiting()
	for recordIn(raw) == 0 && t.cut == nil && t.c.RawReadable() {
		raw = t.fill(raw, recordMax)
	}
	t.keep(raw)
	switch {
	case t.cut != nil && !t.whole && !t.hand.begun:
		t.finish(t.cut)
	case (t.cut != nil || t.whole) && !t.begin():
		t.finish(ErrBusy)
	}
}

// begin hands the handshake to the thread, for the first time or again. It reports whether
// there was room.
func (t *Conn) begin() bool {
	h := t.hand
	h.in, h.at, h.left = t.waiting(), 0, 0
	h.end = t.cut
	if !t.s.push(h) {
		return false
	}
	h.away, h.begun = true, true
	return true
}

// returned is called on the loop when the thread has returned the handshake: it sends what
// came of the step.
func (t *Conn) returned() {
	h := t.hand
	h.away = false
	if out := h.out; len(out) > 0 {
		h.out = nil
		t.send(out)
	}
	if t.in != nil {
		t.in.Take(h.at)
		t.keep(t.in.Bytes())
	}
	h.in = nil
	t.c.Refresh()
	t.c.Again()
}

// finish ends the handshake with err.
func (t *Conn) finish(err error) {
	o := t.hand.owner
	t.hand = nil
	strip(t.tls)
	t.c.Refresh()
	o.Shaken(err)
}

// drop ends the handshake of a conn that is closed. The thread may be in it, so it stays
// in its place: it is how crypto/tls reads and writes.
func (t *Conn) drop() {
	h := t.hand
	h.dropped.Store(true)
	switch {
	case h.away:
		t.s.arena.Forget(t.in) // the thread may read it
		t.in = nil
	case h.begun && !h.over:
		t.s.push(h)
	}
}

// read is for crypto/tls, on the thread: it returns bytes of the next record, and leaves
// the thread to other handshakes while there is none.
func (h *handshake) read(b []byte) (int, error) {
	for h.left == 0 {
		if h.left = recordIn(h.in[h.at:]); h.left > 0 {
			break
		}
		if h.end != nil {
			return 0, h.end
		}
		if !h.on.yield(struct{}{}) {
			return 0, net.ErrClosed
		}
	}
	n := copy(b[:min(len(b), h.left)], h.in[h.at:])
	h.at += n
	h.left -= n
	return n, nil
}

// step runs the handshake on the thread until it needs more records or has ended. It
// reports whether it goes on.
func (s *Shaker) step(h *handshake) (more bool) {
	if h.dropped.Load() {
		if h.on != nil {
			h.on.stop()
		}
		h.over = true
		return false
	}
	if h.on == nil {
		h.on = s.coroutine()
		h.on.h = h
	}
	h.on.resume()
	if !h.over {
		return true
	}
	if len(s.free) < freeMax {
		s.free = append(s.free, h.on)
	} else {
		h.on.stop()
	}
	h.on = nil
	return false
}

// freeMax is how many coroutines wait for another handshake.
const freeMax = 16

// coroutine runs one handshake after another: growing a stack for each, to its full depth
// by steps, would take a quarter of the time.
type coroutine struct {
	h      *handshake
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
}

// coroutine returns one that is free.
func (s *Shaker) coroutine() *coroutine {
	if n := len(s.free); n > 0 {
		c := s.free[n-1]
		s.free = s.free[:n-1]
		return c
	}
	c := &coroutine{}
	c.resume, c.stop = iter.Pull(c.run)
	return c
}

func (c *coroutine) run(yield func(struct{}) bool) {
	c.yield = yield
	for {
		c.h.run()
		c.h = nil
		if !yield(struct{}{}) {
			return
		}
	}
}

// run makes the handshake.
func (h *handshake) run() {
	defer func() {
		if v := recover(); v != nil {
			h.err = fmt.Errorf("tlsconn: a panic in the handshake: %v", v)
		}
		h.over = true
	}()
	h.err = h.t.tls.HandshakeContext(context.Background())
}
