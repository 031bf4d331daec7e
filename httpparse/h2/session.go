package h2

import (
	"lb/httpparse"
	"lb/httpparse/h2/hpack"
	"lb/loop/tick"
)

// OutMax is how many bytes Next, Take, Release, Reset and the like append to out for one
// frame at most. Next stops with Full when out has less room.
const OutMax = 64

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

	decoder *hpack.Decoder
	free    *Stream // linked by next
	block   []byte  // lent to the session that puts a split block together; nil while lent
	scratch []byte  // of translation
}

// NewShared returns the Shared of a loop, for heads of headBytes at most.
func NewShared(headBytes int, newStream func() *Stream) *Shared { panic("h2: soon") }

// Kind is the kind of an Event.
type Kind uint8

// The kinds of events. Stream is set unless it says otherwise, and End says that the
// peer's side of the stream has ended with it.
const (
	More    Kind = iota // none yet: call again with more bytes after those not used up. No Stream
	Full                // none yet: out has less room than OutMax. No Stream
	Head                // a head begins: call ReadRequest or ReadResponse at once. In a server, Stream is new
	Trail               // trailers: call ReadTrailers at once. End is always true
	Part                // Bytes are a part of the body, possibly none with End. They count as held until Take
	Aborted             // the peer has reset the stream, with Code; it is closed. NoError from a server after its whole answer means: send no more
	Faulted             // the peer has broken a rule in the stream: RST_STREAM with Code is in out; it is closed
	Unheard             // the peer has gone away without processing the stream, which may run again elsewhere (RFC 9113 8.7); it is closed. Clients only
	Opened              // the send window of Stream has become positive, or of all streams if Stream is nil: see Sendable
	Urgent              // Urgency or Incremental of Stream may have changed (RFC 9218)
	Changed             // the peer's SETTINGS have come: CanOpen, Sendable. No Stream
	Agreed              // the peer has acknowledged our SETTINGS. No Stream
	Ponged              // the answer to our PING; Bytes are its 8 bytes. No Stream
	Leaving             // GOAWAY of the peer, with Code and Last. Unheard follows for each stream above Last. No Stream
	Broken              // the conn is at its end: GOAWAY with Code is in out, to be sent before the close. Flood says which budget, if any. Every further Next returns it again. No Stream
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
	table  hpack.Table
}

// Init makes s ready for a new conn, keeping the memory of its tables. prefaced says that
// a client's preface has been checked and used up already; it counts for a server only,
// whose first bytes are Preface otherwise.
func (s *Session) Init(o *Options, sh *Shared, prefaced bool) { panic("h2: soon") }

// AppendStart appends what we send first: as a client the preface, then SETTINGS, and a
// WINDOW_UPDATE for the conn. It is some 100 bytes.
func (s *Session) AppendStart(out []byte, now tick.Instant) []byte { panic("h2: soon") }

// Next takes frames from b until there is an event, and uses up n bytes. b must follow
// what was used up before, and have room for a whole frame (HeaderLen + FrameMax) in the
// end: only DATA is handed out in parts. It appends to out what the session owes the
// peer, never more than out has room for.
//
// After Head and Trail the block is to be read before anything else is called.
func (s *Session) Next(b []byte, now tick.Instant, out []byte) (ev Event, n int, to []byte) {
	panic("h2: soon")
}

// AckOwed returns since when the peer owes the ACK of our SETTINGS, or 0 if it does not:
// too long is SETTINGS_TIMEOUT (RFC 9113 6.5.3). See Break.
func (s *Session) AckOwed() tick.Instant { panic("h2: soon") }

// InBlock reports whether a header block has begun and its CONTINUATION is missing: the
// peer may send nothing else, so its owner limits the time as for a head.
func (s *Session) InBlock() bool { panic("h2: soon") }

// Active returns the number of streams that are not yet released.
func (s *Session) Active() int { panic("h2: soon") }

// All calls yield with each stream that is not closed, oldest first, until it returns false. yield may close or
// release that stream.
func (s *Session) All(yield func(*Stream) bool) { panic("h2: soon") }

// Settled reports whether the peer's SETTINGS have come.
func (s *Session) Settled() bool { panic("h2: soon") }

// CanOpen returns how many streams more Open may open now: as the peer and Options allow,
// and 0 after GOAWAY of the peer, or when the ids are used up. Before the peer's SETTINGS
// have come, Options alone count.
func (s *Session) CanOpen() int { panic("h2: soon") }

// Open returns a new stream of a client. It has no id until AppendRequest has sent its
// head, and counts in CanOpen.
func (s *Session) Open() *Stream { panic("h2: soon") }

// Release gives st, which the owner no longer uses, to the next request; it resets a
// stream that is not closed, with CANCEL. Bytes that were not taken open the conn's window
// again. It must be called exactly once for each stream.
func (s *Session) Release(out []byte, st *Stream) []byte { panic("h2: soon") }

// Drop closes all streams without a word to the peer, since the conn is closed, and lets
// the memory of the tables go. Each stream is still to be released.
func (s *Session) Drop() { panic("h2: soon") }

// Rest gives back memory that an idle conn does not need. The next request allocates again.
func (s *Session) Rest() { panic("h2: soon") }

// Reset ends st: it appends RST_STREAM with code, unless st is closed or the peer has not
// heard of it. After it the peer's frames for the stream are ignored.
func (s *Session) Reset(out []byte, st *Stream, code Code) []byte { panic("h2: soon") }

// Break ends the conn: it appends GOAWAY with the last stream and code. Next then returns
// Broken.
func (s *Session) Break(out []byte, code Code) []byte { panic("h2: soon") }

// AppendNotice appends the first GOAWAY of a drain, which says that no new streams are
// welcome, and still lets them come (RFC 9113 6.8).
func (s *Session) AppendNotice(out []byte) []byte { panic("h2: soon") }

// AppendLast appends the second GOAWAY of a drain: streams that were not seen by now are
// ignored, and the peer may send their requests elsewhere.
func (s *Session) AppendLast(out []byte) []byte { panic("h2: soon") }

// Sendable returns how many bytes of a body one DATA frame of st may have now, at most
// FrameMax; 0 if a window is shut or our side of st has ended.
func (s *Session) Sendable(st *Stream) int { panic("h2: soon") }

// AppendData appends the header of a DATA frame with n bytes of payload, which the caller
// puts after it; n is at most Sendable, and may be 0 with end, which ends our side of st.
func (s *Session) AppendData(out []byte, st *Stream, n int, end bool) []byte {
	panic("h2: soon")
}

// Take tells that the owner has no further use for n bytes that Part has handed out for
// st. It appends WINDOW_UPDATE for the stream and the conn when it is worth it.
func (s *Session) Take(out []byte, st *Stream, n int) []byte { panic("h2: soon") }

// HeadRoom returns how many bytes AppendRequest, AppendResponse and AppendTrailers append
// at most for n bytes of text.
func HeadRoom(n int) int { return n + n/64 + HeaderLen*(2+n/FrameMax) + 64 }

// AppendRequest appends HEADERS, and CONTINUATION where needed, for st, which Open has
// returned: text is a request's whole head as HTTP/1.1 text. Host becomes :authority;
// fields that belong to an HTTP/1 conn are left out; names become lower case. The scheme is "http" or "https". end says that there is no body.
func (s *Session) AppendRequest(out []byte, st *Stream, text []byte, scheme string, end bool) []byte {
	panic("h2: soon")
}

// AppendResponse appends HEADERS, and CONTINUATION where needed, for an answer's or an
// interim answer's whole head as HTTP/1.1 text. Fields that belong to an HTTP/1 conn are
// left out. A 101 becomes the 200 that answers an extended CONNECT.
func (s *Session) AppendResponse(out []byte, st *Stream, text []byte, end bool) []byte {
	panic("h2: soon")
}

// AppendTrailers appends HEADERS with END_STREAM for trailers: lines are field lines, which may
// be followed by the empty line.
func (s *Session) AppendTrailers(out []byte, st *Stream, lines []byte) []byte { panic("h2: soon") }

// ReadRequest decodes the block of the Head that Next has just returned into a request's
// head as HTTP/1.1 text, including the empty line, and appends it to dst: at most
// l.HeadBytes bytes. The text is for httpparse.RequestParser, which checks what HTTP/1
// and HTTP/2 have in common. Unless the verdict is Whole, dst comes back as it was.
//
// The text has one Host line, from :authority or host, and one Cookie line at most. An
// extended CONNECT for websocket becomes a GET with "connection: upgrade", "upgrade: websocket"
// and "sec-websocket-key: " + key.
func (s *Session) ReadRequest(dst []byte, l *httpparse.Limits, key string) ([]byte, Result) {
	panic("h2: soon")
}

// ReadResponse is as ReadRequest, for an answer's head: "HTTP/1.1 200 \r\n" and its lines.
func (s *Session) ReadResponse(dst []byte, l *httpparse.Limits) ([]byte, Result) {
	panic("h2: soon")
}

// ReadTrailers is as ReadRequest, for trailers: field lines, without the empty line.
func (s *Session) ReadTrailers(dst []byte, l *httpparse.Limits) ([]byte, Result) {
	panic("h2: soon")
}

// Verdict is what ReadRequest and the like say of a block.
type Verdict uint8

// The verdicts.
const (
	Whole     Verdict = iota // it is text now
	TooLarge                 // beyond the limits: 431; the stream goes on
	Malformed                // see Reason: 400, and Reset with ProtocolError (RFC 9113 8.1.1)
	Corrupt                  // the conn is at its end: Next returns Broken
)

// Result is what ReadRequest and the like have found.
type Result struct {
	Verdict   Verdict
	Reason    Reason // of Malformed
	Status    int    // an answer's code
	Length    int64  // Content-Length, or -1
	Connect   bool   // CONNECT without :protocol; the text says "CONNECT authority HTTP/1.1"
	WebSocket bool   // an extended CONNECT
	Trailers  bool   // "te: trailers": the client wants trailers
}

// Reason says why a block is malformed (RFC 9113 8.1.1).
type Reason uint8
