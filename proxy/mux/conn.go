package mux

import (
	"time"

	"lb/arena"
	"lb/httpparse/h2"
	"lb/loop"
	"lb/loop/tick"
	"lb/proxy/lane"
)

// Side is what the conns of one loop to one side, clients or backends, have in common.
// Only that loop may touch it.
type Side struct {
	Loop    *loop.Loop
	Arena   *arena.Arena
	Shared  *h2.Shared // makes streams that are a part of a Stream, see NewStream
	Options *h2.Options
	Role    h2.Role
	Scheme  string // of requests to backends: see h2.Session.AppendRequest

	Idle  time.Duration // how long a conn may have no stream; 0: as long as it likes
	Head  time.Duration // for the peer's preface and SETTINGS, and for a block that has begun
	Ack   time.Duration // for the acknowledgement of SETTINGS
	Write time.Duration // how long the peer may take none of the output

	// Received is called with the number of bytes of each read. It may be nil.
	Received func(n int)

	text []byte              // see Text
	owed [4 * h2.OutMax]byte // see Conn.control
}

// Owner is whose conn it is. It embeds the Conn, and so has most of these methods: it adds
// Panicked of loop.Handler, and the rest.
type Owner interface {
	loop.Handler
	loop.Ender
	loop.Expirer

	// Head is called when a head has come in s, which is new in a server. It is to be read
	// at once with ReadRequest or ReadResponse, into the memory of Side.Text, or it is
	// skipped.
	Head(s *Stream)

	// Trailers is called when trailers have come in s, to be read at once with
	// ReadTrailers, into the memory of Side.Text, for SetTrailers, or they are skipped.
	Trailers(s *Stream)

	// Note is called for what has come about the whole conn: Changed, Agreed, Refused and Leaving. Bytes of ev are valid until it returns.
	Note(ev h2.Event)

	// Lost is called once, when the conn can carry nothing more: why is the error of the
	// socket or io.EOF, or an *Error. All streams are Gone by then, and those that were
	// not have been run. The conn closes by itself.
	Lost(why error)

	// Closed is called once, when the socket is closed. c has no stream then, and the
	// memory of the owner may be used again.
	Closed()
}

// Error is why a session ended.
type Error struct {
	Code  h2.Code
	Flood h2.Budget // or h2.NoFlood
}

// Error returns the name of the code.
func (e *Error) Error() string { return "HTTP/2: " + e.Code.String() }

// state is the state of a conn.
type state uint8

const (
	stateFree    state = iota
	stateOpen          // frames are read
	stateParting       // nothing is read; the rest of the output, GOAWAY in it, is being written
	stateLinger        // lb's side is shut, and bytes that still come are thrown away
	stateOwing         // as stateLinger, after the end of the peer's bytes
	stateGone          // the socket is closed; exchanges have not let go of their streams yet
)

// How long, and how many, bytes are thrown away after GOAWAY, so that no reset costs the
// peer what was sent before it: see h1.LingerTimeout.
const (
	LingerTimeout  = 5 * time.Second
	lingerMax      = 30 * time.Second
	lingerBytesMax = 16 << 20
)

// Limits of the work for one conn in one turn.
const (
	readTurns  = 4 // reads
	writeTurns = 4 // rounds of the queue and a write
)

// restAfter is how long a conn has no stream until it gives back the memory of its tables.
const restAfter = 2 * time.Second

// Conn is one HTTP/2 conn. It has no slab while nothing waits to be taken apart or written.
type Conn struct {
	loop.Conn
	h2.Session
	side  *Side
	owner Owner
	end   loop.End
	timer loop.Timer

	in     lane.Inbox  // not yet taken apart
	out    *arena.Slab // not yet written, or nil
	run    list        // streams to be run
	queues [8]list     // streams that wait for room, by urgency
	queued int         // how many
	shut   int         // streams that wait for a window
	turn   *Stream     // the stream of the queues that is being run, or nil
	share  int         // bytes of output that it may still add

	why      error // see Why
	state    state
	drain    drain
	full     bool         // not read, because the output has no room
	writing  bool         // in writeAll
	stalled  bool         // a frame or a block has begun, and not ended
	rested   bool         // Session.Rest was called since the last stream
	lingered int32        // bytes thrown away
	begun    tick.Instant // when the conn began; when lb's side was shut
	quiet    tick.Instant // when the last stream ended, or the conn began
	moved    tick.Instant // when the peer last took output, or the first byte of it came
	since    tick.Instant // of stalled
	notice   tick.Instant // of drainNotice
}

// Begin begins the HTTP/2 conn of owner, which has c embedded. The socket is in c.Conn
// already, with owner as its handler. in has bytes that were read; c takes them over.
func (c *Conn) Begin(side *Side, owner Owner, in lane.Inbox) {
	now := side.Loop.Now()
	c.side, c.owner, c.in = side, owner, in
	c.out, c.turn, c.queued, c.shut, c.why = nil, nil, 0, 0, nil
	c.state, c.full, c.writing, c.stalled, c.rested, c.lingered = stateOpen, false, false, false, false, 0
	c.drain = drainNone
	c.begun, c.quiet, c.moved = now, now, now
	c.Init(side.Options, side.Shared)
	c.put(c.AppendStart(c.room(startBytes), now))
	c.Conn.Again() // what has come already brings no event
}

// startBytes is more than AppendStart appends.
const startBytes = 256

// Side returns what Begin was given.
func (c *Conn) Side() *Side { return c.side }

// Why returns why c can carry nothing more, as Owner.Lost gets it, or nil if it can.
func (c *Conn) Why() error { return c.why }

// Lives reports whether c carries streams, and may carry more.
func (c *Conn) Lives() bool { return c.state == stateOpen }

// Ready is called by the loop.
func (c *Conn) Ready() {
	switch c.state {
	case stateOpen:
		c.receive()
	case stateLinger:
		c.linger()
	case stateFree, stateGone:
		return
	}
	c.runTouched()
	c.asks()
}

// asks has TurnEnds called.
func (c *Conn) asks() { c.side.Loop.AtEnd(&c.end, c.owner) }

// receive reads, and takes apart what was read.
func (c *Conn) receive() {
	c.full = false
	if c.takeApart(); c.state != stateOpen {
		return
	}
	bulk := false
	for range readTurns {
		if c.full {
			return
		}
		n, err := c.in.Fill(c.side.Arena, &c.Conn, bulk)
		if n > 0 && c.side.Received != nil {
			c.side.Received(n)
		}
		if err != nil {
			c.lose(err)
			return
		}
		if n == 0 {
			return
		}
		if c.takeApart(); c.state != stateOpen || !c.Readable() {
			return
		}
		bulk = true
	}
	c.Again()
}

// takeApart takes the frames in the inbox apart.
func (c *Conn) takeApart() {
	now := c.side.Loop.Now()
	for c.state == stateOpen {
		none, joining := c.out == nil, c.InBlock()
		ev, n, out := c.Next(c.in.Bytes(), now, c.control())
		c.owe(out)
		if c.in.Take(n); n > 0 && !(joining && c.InBlock()) {
			c.stalled = false // what had begun has ended
		}
		switch ev.Kind {
		case h2.More:
			c.note(now)
			c.in.Drop(c.side.Arena)
			return
		case h2.Full:
			if !none {
				c.full = true
				return
			}
		case h2.Broken:
			c.lose(&Error{Code: ev.Code, Flood: ev.Flood})
		default:
			c.event(&ev)
		}
	}
}

// note notes whether the peer has begun something that it may not take long to end.
func (c *Conn) note(now tick.Instant) {
	stalled := c.InBlock() || c.in.Len() > 0
	if stalled && !c.stalled {
		c.since = now
	}
	if c.stalled = stalled; stalled {
		c.in.Rest(c.side.Arena)
	}
}

// event handles an event of a stream, or has the owner handle it.
func (c *Conn) event(ev *h2.Event) {
	var s *Stream
	if ev.Stream != nil {
		s = ev.Stream.Owner.(*Stream)
	}
	switch ev.Kind {
	case h2.Head:
		if s.c == nil {
			s.begin(c)
		}
		s.over = ev.End
		c.Touch(s)
		c.owner.Head(s)
	case h2.Trail:
		s.over = true
		c.Touch(s)
		c.owner.Trailers(s)
	case h2.Part:
		s.over = ev.End
		c.Touch(s)
		s.receive(ev.Bytes)
	case h2.Aborted, h2.Faulted, h2.Unheard:
		s.lose(ev)
		c.Touch(s)
	case h2.Opened:
		c.opened(s)
	case h2.Urgent:
		if c.unqueue(s) {
			c.enqueue(s)
		}
	case h2.Changed:
		c.opened(nil)
		c.owner.Note(*ev)
	case h2.Ponged:
		if c.drain == drainNotice {
			c.last()
		}
	default:
		c.owner.Note(*ev)
	}
}

// Touch has s run after the events that are being handled, or in the next turn if none are.
func (c *Conn) Touch(s *Stream) {
	if s.links[touched].in == nil {
		c.run.push(s, touched)
	}
}

// runTouched runs the streams that have been touched.
func (c *Conn) runTouched() {
	for s := c.run.first; s != nil; s = c.run.first {
		s.drop(touched)
		s.user.Ready()
	}
}

// lose ends all streams, because the conn can carry nothing more, and then the conn.
func (c *Conn) lose(why error) {
	c.state, c.why = stateParting, why
	for st := range c.All {
		s := st.Owner.(*Stream)
		s.gone, s.Code = true, h2.InternalError
		c.Touch(s)
	}
	c.Drop()
	c.in.Release(c.side.Arena)
	c.runTouched()
	c.owner.Lost(why)
	if _, said := why.(*Error); !said {
		c.close(false)
		return
	}
	c.asks()
}

// Part ends c in an orderly way, with GOAWAY of that code, when what is in the output is
// written. Streams that still run are Gone.
func (c *Conn) Part(code h2.Code) {
	if c.state == stateOpen {
		c.put(c.Break(c.room(h2.OutMax), code))
		c.lose(&Error{Code: code})
	}
}

// Cut ends c at once. GOAWAY of that code goes out if the socket takes it.
func (c *Conn) Cut(code h2.Code) {
	c.Part(code)
	if c.state != stateParting || c.write() {
		c.close(false)
	}
}

// Abandon ends c after a panic, with a reset. Its streams have been Forgotten.
func (c *Conn) Abandon() {
	if c.state == stateFree || c.state == stateGone {
		return
	}
	a := c.side.Arena
	c.in.Forget(a)
	a.Forget(c.out)
	c.out = nil
	c.Drop()
	c.close(true)
}

// close closes the socket.
func (c *Conn) close(reset bool) {
	if c.state == stateFree || c.state == stateGone {
		return
	}
	a := c.side.Arena
	c.state = stateGone
	c.in.Release(a)
	a.Put(c.out)
	c.out = nil
	c.side.Loop.Disarm(&c.timer)
	c.Conn.Close(reset)
	c.let()
}

// let lets go of a closed conn that has no stream any more.
func (c *Conn) let() {
	if c.state == stateGone && c.Active() == 0 {
		c.state = stateFree
		c.owner.Closed()
	}
}

// part goes on with the end of c: when all is written it ends lb's side, and throws away
// what still comes for a while.
func (c *Conn) part() {
	if c.out != nil {
		return
	}
	if c.side.Role == h2.Client || c.Conn.ShutdownWrite() != nil {
		c.close(false)
		return
	}
	c.state, c.begun = stateLinger, c.side.Loop.Now()
	c.moved = c.begun
	c.linger()
}

// linger throws bytes away until the peer has ended its side, too.
func (c *Conn) linger() {
	for range readTurns {
		n, err := c.in.Fill(c.side.Arena, &c.Conn, true)
		c.in.Release(c.side.Arena)
		c.lingered += int32(n)
		if err != nil || c.lingered > lingerBytesMax {
			c.state = stateOwing
			c.asks()
			return
		}
		if n == 0 {
			return
		}
		c.moved = c.side.Loop.Now()
	}
	c.Again()
}
