package proxy

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"lb/arena"
	"lb/board"
	"lb/config"
	"lb/loop"
	"lb/loop/tick"
	"lb/upstream"
)

// Options are what a proxy needs beside its loop.
type Options struct {
	Board    *board.Board
	Slot     int      // of the loop on the board, where it is claimed and taken over
	Snapshot Snapshot // the configuration to begin with
	Log      *slog.Logger
	// Clock is the time of day for Date; nil: time.Now.
	Clock func() time.Time
	// PassOn is asked, on the loop, to give a client connection that has just been
	// accepted to the loop in another slot, whose Proxy.Passed takes it over. True:
	// fd is no longer the caller's; false: it stays. It does not block. nil: none
	// is ever passed on.
	PassOn func(slot, fd int, peer netip.AddrPort) bool
}

// Proxy is the data plane of one loop. All methods are called on the loop.
type Proxy struct {
	loop     *loop.Loop
	arena    *arena.Arena
	log      *slog.Logger
	board    *board.Board
	slot     int // on the board
	counters *board.Loop
	secret   []byte // the board's
	passOn   func(slot, fd int, peer netip.AddrPort) bool

	now     *snapshot       // the present configuration
	past    []*snapshot     // those from which exchanges may still pick, the oldest first
	targets map[int]*target // of now, by ID
	budget  upstream.Budget
	even    even
	judged  uint32 // counts the changes of trusted_proxies

	clients   *client // all open ones, newest first
	working   *client // the one that is being moved on: who a panic belongs to
	open      int
	draining  bool
	drained   func() // called once when the last client has gone
	freeConns *client
	freeBacks *backendConn
	freeExch  *exchange

	chance *rand.Rand // for jitter
	clock  func() time.Time
	date   [dateBytes]byte
	dateAt tick.Instant
	trim   loop.Timer
	turns  uint64  // of the loop, that are on the board
	scrap  [1]byte // where a byte goes that nobody asked for
}

const (
	slabBytes = 20 << 10 // small slabs: a head with a body of 16 KiB behind it is read at once
	headRoom  = 16 << 10 // what lb may add to a head, with the small part of a body behind it
	bulkBytes = 64 << 10 // the least a large slab holds: how much of a long body moves at once
	trimEvery = 10 * time.Second

	retryWindow = 10 * time.Second
)

// New returns a proxy on l. It is the loop.Acceptor of its listeners.
func New(l *loop.Loop, o Options) *Proxy {
	cfg := o.Snapshot.Config
	p := &Proxy{
		loop:     l,
		arena:    arena.New(slabBytes, largeBytes(cfg)),
		log:      o.Log,
		board:    o.Board,
		slot:     o.Slot,
		counters: o.Board.Loop(o.Slot),
		secret:   o.Board.Secret(),
		passOn:   o.PassOn,
		budget:   newBudget(cfg),
		chance:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		clock:    o.Clock,
	}
	if p.clock == nil {
		p.clock = time.Now
	}
	p.now, p.targets = p.newSnapshot(o.Snapshot)
	p.use(o.Snapshot)
	p.showOldest()
	l.Arm(&p.trim, p, l.Now().Add(trimEvery))
	return p
}

// largeBytes is the size of large slabs: what the widest head may grow to has
// room, and long bodies move in good parts.
func largeBytes(cfg *config.Config) int {
	return max(bulkBytes, cfg.Limits.HeaderBytes) + headRoom + widestRoute(cfg.Routes)
}

func newBudget(cfg *config.Config) upstream.Budget {
	return upstream.NewBudget(cfg.Retry.Budget, cfg.Retry.BudgetMin, retryWindow)
}

// Expired does what is due now and then: it lets go of slabs that a busy time
// left behind, and shows how often the loop has turned.
func (p *Proxy) Expired() {
	p.arena.Trim()
	turns := p.loop.Counters().Turns
	p.counters.Turns.Add(turns - p.turns)
	p.turns = turns
	p.loop.Arm(&p.trim, p, p.loop.Now().Add(trimEvery))
}

// Accepted takes over a client connection, or passes it on to another loop.
func (p *Proxy) Accepted(fd int, peer netip.AddrPort) {
	if !p.passesOn(fd, peer) {
		p.take(fd, peer)
	}
}

// take makes fd a client of this loop.
func (p *Proxy) take(fd int, peer netip.AddrPort) {
	p.counters.Accepted.Add(1)
	c := p.newClient()
	if err := p.loop.Adopt(&c.Conn, c, fd); err != nil {
		p.counters.AcceptErrors.Add(1)
		p.freeClient(c)
		return
	}
	c.open(peer)
	if p.draining {
		p.showOldest()
		c.lastCall()
	}
}

// Drain stops accepting, answers what runs, and what idle clients ask within
// lastCallTimeout, with Connection: close, and calls done once, on the loop, when
// the last client conn has gone.
func (p *Proxy) Drain(done func()) {
	p.loop.Unlisten()
	p.draining, p.drained = true, done
	for c := p.clients; c != nil; {
		next := c.next
		if c.x == nil && c.state == connOpen {
			c.lastCall()
		}
		c = next
	}
	p.closeIdle()
	p.ended()
}

// Cut ends every conn at once and returns how many exchanges were cut off.
func (p *Proxy) Cut() int {
	cut := 0
	for p.clients != nil {
		c := p.clients
		if c.x == nil {
			c.close(false)
			continue
		}
		cut++
		c.x.fail(fault{side: lbSide, cause: cutOff})
	}
	p.closeIdle()
	return cut
}

// closeIdle ends the backend conns that wait for reuse.
func (p *Proxy) closeIdle() {
	p.eachTarget(func(t *target) {
		t.Idle.Each(func(b *backendConn) { b.close() })
	})
}

// ended tells the one who drains when the last client has gone.
func (p *Proxy) ended() {
	if !p.draining || p.open > 0 {
		return
	}
	p.showOldest()
	if done := p.drained; done != nil {
		p.drained = nil
		done()
	}
}

// errFull says that a slab of the large size is full and nothing of it can be
// used: the parser's limits lie below that, so it is a mistake of our own.
var errFull = errors.New("proxy: input buffer full")

// fill reads from c into *in, which it takes from the arena when it is nil and
// gives back when nothing came. bulk asks for a large slab. n == 0 with a nil
// error means "not ready now".
func (p *Proxy) fill(c *loop.Conn, in **arena.Slab, bulk bool) (n int, err error) {
	if !c.Readable() {
		p.drop(in)
		return 0, nil
	}
	s := *in
	switch {
	case s == nil && bulk:
		s = p.arena.GetLarge()
	case s == nil:
		s = p.arena.Get()
	case len(s.Room()) == 0:
		if s = p.makeRoom(s); s == nil {
			return 0, errFull
		}
	}
	*in = s
	n, err = c.Read(s.Room())
	s.W += n
	if s.Len() == 0 {
		p.arena.Put(s)
		*in = nil
	}
	return n, err
}

// makeRoom moves what s holds to its front, or to a large slab; nil: s is large
// and full.
func (p *Proxy) makeRoom(s *arena.Slab) *arena.Slab {
	if s.R > 0 {
		s.W = copy(s.B, s.Bytes())
		s.R = 0
		return s
	}
	if s.Large() {
		return nil
	}
	large := p.arena.GetLarge()
	large.W = copy(large.B, s.Bytes())
	p.arena.Put(s)
	return large
}

// drop gives *in back when it holds nothing.
func (p *Proxy) drop(in **arena.Slab) {
	if s := *in; s != nil && s.Len() == 0 {
		p.arena.Put(s)
		*in = nil
	}
}

// lackOf reports whether err says that lb itself is out of something.
func lackOf(err error) bool {
	switch err {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL:
		return true
	}
	return false
}
