package h2

import (
	"lb/httpparse/h2/heads"
	"lb/httpparse/h2/hpack"
	"lb/internal/invariant"
	"lb/loop/tick"
)

// OutMax is how many bytes Next, Take, Release, Reset and the like append to out for one
// frame at most. Next stops with Full when out has less room.
const OutMax = 64

// tableBytes is the limit of the table of HPACK (RFC 9113 6.5.2). It is the initial one, so
// our SETTINGS leave it out.
const tableBytes = 4096

// Role is which end of a conn we are.
type Role uint8

// The roles.
const (
	Server Role = iota // of a client's conn
	Client             // of a conn to a backend
)

// Options are what all sessions of one kind have in common. Sessions keep a pointer to
// it, and only read it. A reload makes new Options for new conns.
type Options struct {
	Role     Role
	Streams  int  // at once: announced by a server; a client opens no more, whatever the peer allows
	Window   int  // of a stream, for what is received, in bytes; 65,535 usually
	HeadList int  // MAX_HEADER_LIST_SIZE announced by a server, in bytes; 0: none
	Connect  bool // a server announces ENABLE_CONNECT_PROTOCOL (RFC 8441)
}

// Shared is what the sessions of one loop use in turns: the decoder's scratch memory, and
// streams for reuse. One goroutine may use it.
type Shared struct {
	// New makes a Stream, usually as a part of something larger, which Owner then points
	// to. It is called only if there is none to use again.
	New func() *Stream

	reader *heads.Reader
	free   *Stream // linked by next
	spare  int     // how many they are
	unused int     // the smallest spare since the last Trim
	block  []byte  // for a session that puts a split block together; nil while lent
}

// NewShared returns the Shared of a loop, for heads of headBytes at most.
func NewShared(headBytes int, newStream func() *Stream) *Shared {
	return &Shared{New: newStream, reader: heads.NewReader(headBytes, tableBytes)}
}

// stream returns a stream for a new request.
func (sh *Shared) stream() *Stream {
	st := sh.free
	if st == nil {
		return sh.New()
	}
	sh.free, st.next = st.next, nil
	sh.spare--
	sh.unused = min(sh.unused, sh.spare)
	return st
}

// keep keeps st for a new request.
func (sh *Shared) keep(st *Stream) {
	st.next, sh.free = sh.free, st
	sh.spare++
}

// Trim leaves the streams that were not needed since the last Trim to the collector, and
// returns how many they are.
func (sh *Shared) Trim() (n int) {
	n = sh.unused
	for range n {
		sh.free, sh.free.next = sh.free.next, nil
	}
	sh.spare -= n
	sh.unused = sh.spare
	return n
}

// Kind is the kind of an Event.
type Kind uint8

// The kinds of events. Those of a stream have Stream set, and those after which the peer
// sends nothing more in it have End. A stream of Aborted, Faulted and Unheard is closed.
const (
	More    Kind = iota // none yet: call again with more bytes after those not used up
	Full                // none yet: out has less room than OutMax
	Head                // a head begins: call ReadRequest or ReadResponse at once. A server's Stream is new
	Trail               // trailers, which are the End: call ReadTrailers at once
	Part                // Bytes are a part of the body, or none with End. They count as held until Take
	Aborted             // the peer has reset the stream, with Code. After a whole answer, NoError means: send no more
	Faulted             // the peer has broken a rule in the stream: RST_STREAM with Code is in out
	Unheard             // a backend leaves the stream out in its GOAWAY: it may run elsewhere (RFC 9113 8.7)
	Opened              // the send window of Stream has become positive, or the conn's if Stream is nil
	Urgent              // the Priority of Stream has come again (RFC 9218 7)
	Changed             // the peer's SETTINGS have come: see CanOpen and Sendable
	Agreed              // the peer has acknowledged our SETTINGS
	Ponged              // the answer to our PING; Bytes are its 8 bytes
	Refused             // a client has opened more streams than it may: REFUSED_STREAM is in out
	Leaving             // GOAWAY of the peer, with Code and Last. Unheard follows for each stream above Last
	Broken              // the conn is at its end: GOAWAY with Code is in out. Every further Next returns it
)

// Event is what Next has found.
type Event struct {
	Kind   Kind
	End    bool   // the peer sends nothing more in the stream
	Flood  Budget // of Broken: the budget that is used up, or NoFlood
	Code   Code
	Last   uint32  // of Leaving: the last stream that the peer has or may have processed
	Stream *Stream // or nil
	Bytes  []byte  // a view of b, valid as long as that is
}

// Session is the protocol state of one conn. It has no memory of its own but the tables
// of its streams and of HPACK. The conn's loop alone may use it.
type Session struct {
	o      *Options
	shared *Shared
	out    []byte       // while Next runs
	now    tick.Instant // of the last Next
	table  hpack.Table

	slots       []*Stream // by id, see find
	first, last *Stream   // of those not released, oldest first
	active      int       // how many they are
	filled      int       // slots in use
	unsent      int       // opened and without an id
	newest      uint32    // the highest id that a client has opened
	lastHeard   uint32    // newest at AppendLast
	nextID      uint32    // of a client
	closed      closedIDs

	// Flow control, in bytes (RFC 9113 5.2).
	send       int32  // what we may send
	recv       int32  // what the peer may send
	owed       int32  // taken, and not yet given back to the peer
	peerWindow int32  // of new streams, for what we send
	peerMax    uint32 // streams that the peer allows
	awayLast   uint32 // of the peer's GOAWAY
	ackSince   tick.Instant
	budgets    budgets

	// The DATA frame that is being handed out.
	part     *Stream // or nil: its bytes are dropped
	partLeft int32   // bytes of the body
	padLeft  int32   // bytes after them
	partEnd  bool

	// The block that is being put together, or waits to be read.
	block     []byte  // a view, or lent by shared
	head      *Stream // it belongs to, or nil: it is read for the table's sake
	blockOf   Header  // the HEADERS
	conts     uint8   // CONTINUATION frames, empty ones several times
	lent      bool    // block is lent by shared
	joining   bool    // CONTINUATION is missing
	waiting   bool    // the block is to be read
	dependent bool    // the stream depends on itself

	magic    uint8  // bytes of Preface that have come, of a server
	settled  bool   // the peer's SETTINGS have come
	connects bool   // ENABLE_CONNECT_PROTOCOL has come
	sized    bool   // a block with our encoder's table size is out
	away     bool   // GOAWAY of the peer has come
	sweep    bool   // streams that it left out are to be reported
	leaving  bool   // AppendLast: new streams are ignored
	failed   bool   // the conn is at its end
	said     bool   // GOAWAY for that is out
	flood    Budget // of that
	code     Code   // of that
}

// Init makes s ready for a new conn, keeping the memory of its tables. The first bytes of a
// client are Preface. All streams of the conn before must be released.
func (s *Session) Init(o *Options, sh *Shared) {
	invariant.Check(s.active == 0, "h2: Init before all streams are released")
	clear(s.slots)
	*s = Session{o: o, shared: sh, table: s.table, slots: s.slots}
	s.table.Reset(tableBytes)
	s.send, s.recv = windowInitial, windowInitial
	s.peerWindow, s.peerMax, s.nextID = windowInitial, idMax, 1
	if o.Role == Client {
		s.magic = uint8(len(Preface))
	}
}

// Next takes frames from b until there is an event, and uses up n bytes; AppendStart must
// have been called. b must follow
// what was used up before, and have room for a whole frame (HeaderLen + FrameMax) in the
// end: only DATA is handed out in parts. It appends to out what the session owes the
// peer, never more than out has room for.
//
// After Head and Trail the block is to be read before anything else is called.
func (s *Session) Next(b []byte, now tick.Instant, out []byte) (ev Event, n int, to []byte) {
	s.now, s.out = now, out
	s.skipBlock()
	for !s.failed && ev.Kind == More {
		var k int
		if cap(s.out)-len(s.out) < OutMax {
			ev.Kind = Full
		} else if k = s.step(&ev, b[n:]); k == 0 && ev.Kind == More && !s.failed {
			break
		}
		n += k
	}
	if s.failed && (ev.Kind == More || ev.Kind == Full) {
		ev = s.broken()
	}
	to, s.out = s.out, nil
	return ev, n, to
}

// step goes on by one frame, or one part of it. It uses up n bytes of b; none and no
// event mean that it needs more. An event goes to ev, which has none: it is too large to be
// handed from function to function.
func (s *Session) step(ev *Event, b []byte) (n int) {
	if s.sweep {
		if *ev = s.unheard(); ev.Kind != More {
			return 0
		}
	}
	switch {
	case s.partLeft > 0 || s.padLeft > 0:
		return s.goOn(ev, b)
	case int(s.magic) < len(Preface):
		return s.preface(b)
	case len(b) < HeaderLen:
		return 0
	}
	h := ParseHeader(b)
	switch {
	case !s.mayCome(h):
		s.fail(ProtocolError)
		return 0
	case h.Length > FrameMax:
		s.fail(FrameSizeError)
		return 0
	case h.Type == Data:
		return s.data(ev, h, b)
	case len(b) < HeaderLen+h.Length:
		return 0
	}
	n = HeaderLen + h.Length
	if h.Type == Headers {
		s.headers(ev, h, b[HeaderLen:n:n])
	} else {
		s.frame(ev, h, b[HeaderLen:n:n])
	}
	return n
}

// preface checks the bytes of b that belong to a client's preface, and returns their
// number (RFC 9113 3.4).
func (s *Session) preface(b []byte) (n int) {
	for n < len(b) && int(s.magic) < len(Preface) {
		if b[n] != Preface[s.magic] {
			s.fail(ProtocolError)
			return n
		}
		s.magic++
		n++
	}
	return n
}

// mayCome reports whether a frame may come now: SETTINGS alone at first (RFC 9113 3.4),
// and within a header block its CONTINUATION alone (RFC 9113 4.3).
func (s *Session) mayCome(h Header) bool {
	if !s.settled {
		return h.Type == Settings && h.Flags&FlagAck == 0
	}
	if s.joining {
		return h.Type == Continuation && h.Stream == s.blockOf.Stream
	}
	return h.Type != Continuation
}

// frame handles a whole frame other than DATA and HEADERS.
func (s *Session) frame(ev *Event, h Header, p []byte) {
	switch h.Type {
	case Priority:
		*ev = s.priority(h, p)
	case RSTStream:
		*ev = s.rstStream(h, p)
	case Settings:
		*ev = s.settings(h, p)
	case PushPromise: // a client may not, and a server was told not to (RFC 9113 6.6, 8.4)
		s.fail(ProtocolError)
	case Ping:
		*ev = s.ping(h, p)
	case GoAway:
		*ev = s.goAway(h, p)
	case WindowUpdate:
		*ev = s.windowUpdate(h, p)
	case Continuation:
		s.continuation(ev, h, p)
	case PriorityUpdate:
		*ev = s.priorityUpdate(h, p)
	default:
		s.spend(FloodUnknown, 1) // RFC 9113 4.1
	}
}

// fail ends the conn with an error (RFC 9113 5.4.1). The first one counts.
func (s *Session) fail(c Code) Event {
	if !s.failed {
		s.failed, s.code = true, c
	}
	return Event{}
}

// broken returns the last event of a conn, and says GOAWAY once.
func (s *Session) broken() Event {
	if !s.said {
		s.said = true
		s.out = AppendGoAway(s.out, s.heard(), s.code)
	}
	return Event{Kind: Broken, Code: s.code, Flood: s.flood}
}

// heard is the last stream of the peer's that we have processed, for GOAWAY. A server
// opens none.
func (s *Session) heard() uint32 {
	switch {
	case s.o.Role == Client:
		return 0
	case s.leaving:
		return s.lastHeard
	}
	return s.newest
}

// spend charges a budget. A conn beyond it is at its end.
func (s *Session) spend(b Budget, cost int) {
	if !s.budgets.spend(b, cost, s.o.Role, s.now) && !s.failed {
		s.flood = b
		s.fail(EnhanceYourCalm)
	}
}

// Break ends the conn: it appends GOAWAY with the last stream and code. Next then returns
// Broken.
func (s *Session) Break(out []byte, code Code) []byte {
	if s.fail(code); s.said {
		return out
	}
	s.said = true
	return AppendGoAway(out, s.heard(), s.code)
}

// AppendNotice appends the first GOAWAY of a drain, which says that no new streams are
// welcome, and still lets them come (RFC 9113 6.8).
func (s *Session) AppendNotice(out []byte) []byte { return AppendGoAway(out, idMax, NoError) }

// AppendLast appends the second GOAWAY of a drain: streams that were not seen by now are
// ignored, and the peer may send their requests elsewhere.
func (s *Session) AppendLast(out []byte) []byte {
	if !s.leaving {
		s.leaving, s.lastHeard = true, s.newest
	}
	return AppendGoAway(out, s.heard(), NoError)
}

// InBlock reports whether a header block has begun and its CONTINUATION is missing: the
// peer may send nothing else, so its owner limits the time as for a head.
func (s *Session) InBlock() bool { return s.joining }

// Settled reports whether the peer's SETTINGS have come.
func (s *Session) Settled() bool { return s.settled }

// Rest gives back memory that an idle conn does not need. The next request allocates again.
func (s *Session) Rest() {
	s.table.Rest()
	s.closed.rest()
	if s.filled == 0 {
		s.slots = nil
	}
}

// Drop closes all streams without a word to the peer, since the conn is closed, and lets
// the memory of the tables go. Each stream is still to be released.
func (s *Session) Drop() {
	for st := s.first; st != nil; st = st.next {
		st.closed, st.localEnd, st.remoteEnd = true, true, true
	}
	s.failed, s.said, s.part = true, true, nil
	s.giveBlockBack()
	s.slots, s.filled, s.table = nil, 0, hpack.Table{}
	s.closed = closedIDs{}
}
