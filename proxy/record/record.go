// Package record holds the facts about an exchange that has ended: the client, the
// answer, how long each part took, and the fault if there was one. It is the seam for
// logs, histograms and traces. It does not know how an exchange runs, or which listeners
// there are.
package record

import (
	"time"

	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
)

// Phase is the phase of an exchange.
type Phase uint8

// The phases, in order. A client conn's states before them, idle and head, belong to
// its front.
const (
	Admit  Phase = iota // the head is whole, and nothing has been decided yet
	Pick                // a backend is being chosen
	Dial                // a new conn to it is being made
	Send                // the request is being written
	Wait                // the request is written; the response head is awaited
	Relay               // the response is being written, and perhaps the rest of the request; after a 101, bytes both ways
	Phases              // the number of phases
)

var phaseNames = [Phases]string{"admit", "pick", "dial", "send", "wait", "relay"}

// String returns the name of the phase in logs.
func (ph Phase) String() string { return phaseNames[ph] }

// next holds the phases that may follow each phase.
var next = [Phases]uint8{
	Admit: 1<<Pick | 1<<Relay,
	Pick:  1<<Pick | 1<<Dial | 1<<Send | 1<<Relay,
	Dial:  1<<Send | 1<<Pick | 1<<Relay,
	Send:  1<<Wait | 1<<Relay | 1<<Pick,
	Wait:  1<<Relay | 1<<Pick,
	Relay: 1 << Relay, // a reply of lb's own instead of a response that turned out bad
}

// MayFollow reports whether an exchange may pass from the phase before to ph.
func (ph Phase) MayFollow(before Phase) bool { return next[before]&(1<<ph) != 0 }

// Record holds the facts about an exchange that has ended, however it ended. Its fields
// are filled as things happen, and proxy.Options.Record gets it once. It and everything
// it points to are valid only during that call.
//
// Every request whose first byte has come has an exchange, and so has a record: also one
// whose head was refused, came too late or never became whole, one that lb answers itself,
// and every stream of HTTP/2 whose head has come. Those with a Head are the requests that
// lb_client_requests_total counts. Streams that lb refuses before it reads their head
// (lb_http2_refused_streams_total) have none.
//
// The times are on the loop's clock. After several attempts they are those of the last
// one. A time is 0 if the exchange did not get that far. Parts says how long each part took.
type Record struct {
	Begun     tick.Instant // the first byte of the request came; in HTTP/2, its head
	Admitted  tick.Instant // its head became whole, or was refused
	Picked    tick.Instant // a backend was chosen; the wait for room ends here
	Dialled   tick.Instant // a new conn to it was begun, or waited for; 0 if an idle one was used
	Connected tick.Instant // that conn was there, without TLS; 0 if an idle one was used
	Secured   tick.Instant // its TLS handshake was over; 0 without one
	Sending   tick.Instant // the conn was ready
	Sent      tick.Instant // the request was written; 0 if the response came first
	Answered  tick.Instant // the final head came, or lb made its own reply
	Ended     tick.Instant

	Peer    *front.Peer
	Request *httpparse.Request // not valid without a Head
	Head    []byte             // the text that Request's spans point into; empty if the head was refused, or never became whole
	ID      []byte             // the request id, or empty if request_id is off
	Trace   Trace              // the zero Trace if there is no tracing

	Route    *config.Route // or nil if none matched
	Pool     string        // empty if the request was answered without a pool
	Backend  string        // the last backend that was tried, or empty
	Attempts int
	Tries    [TriesMax]Attempt // the first of Attempts; the last one is always the last of Done
	Reused   bool              // the last attempt had a conn that was there before

	// Series and BackendSeries are those of the pool and of the backend on the board; -1
	// stands for none.
	Series, BackendSeries int

	Status  int   // of the final response; 0 if there was none
	Own     bool  // the response was lb's own
	Tunnel  bool  // the response was a 101; the byte counts are then those of the tunnel
	BytesIn int64 // of the body, from the client
	Bytes   int64 // of the body, to the client

	// Stalled is how long in all lb waited for the client: to take bytes of the answer, or
	// to send those of its body. The wait for either side of a tunnel, or of a call of gRPC
	// that is silent, is not in it.
	Stalled time.Duration

	// Fault ended the exchange. Its Cause is NoCause if the answer was whole and was not
	// lb's own reply to a fault.
	Fault Fault
	// Words say what Fault was where its own words do not say it all, such as which limit is
	// used up; otherwise they are empty.
	Words string

	wanted bool
	secure bool          // the last attempt's conn is one of TLS
	stall  tick.Instant  // since when lb waits for the client, or 0
	tried  time.Duration // in all attempts that have ended
}

// TriesMax is how many attempts of an exchange a record has.
const TriesMax = 8

// Attempt is one try at one backend.
type Attempt struct {
	Backend string
	Fault   Fault // ended it; its Cause is NoCause if it was answered, and nothing failed after that
	Status  int   // of its final response; 0 if there was none
	At      tick.Instant
	Took    time.Duration // to the end of the answer, or to the fault
	Span    [8]byte       // its span id; all zeros without tracing
}

// Trace is the place of an exchange in a trace (W3C Trace Context).
type Trace struct {
	ID      [16]byte
	Parent  [8]byte // the span of the client, if it was Given
	Span    [8]byte // of the exchange
	Flags   byte    // those that are passed on
	Given   bool    // the client has begun the trace
	Sampled bool
}

// Protocol returns the protocol of the request, such as "HTTP/1.1", or "" if that is not
// known because the head was refused or never became whole.
func (r *Record) Protocol() string {
	switch {
	case r.Peer.HTTP2:
		return "HTTP/2"
	case len(r.Head) == 0:
		return ""
	case r.Request.Minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// keptHeadMax bounds, in bytes, the memory for a head that a record keeps for the next
// exchange.
const keptHeadMax = 8 << 10

// Begin makes r the record of an exchange whose first byte came at begun. Unless it is
// wanted, only Status, Own, Attempts and Fault are kept, and the other methods are no more
// than a branch: the compiler puts the test into their callers.
func (r *Record) Begin(wanted bool, begun, admitted tick.Instant, peer *front.Peer, req *httpparse.Request) {
	r.Status, r.Own, r.Attempts, r.Fault = 0, false, 0, Fault{}
	if r.wanted = wanted; wanted {
		r.begin(begun, admitted, peer, req)
	}
}

// begin sets everything but Tries, of which only those up to Attempts count.
func (r *Record) begin(begun, admitted tick.Instant, peer *front.Peer, req *httpparse.Request) {
	if r.Head = r.Head[:0]; cap(r.Head) > keptHeadMax {
		r.Head = nil
	}
	r.Begun, r.Admitted, r.Picked, r.Dialled, r.Connected, r.Secured = begun, admitted, 0, 0, 0, 0
	r.Sending, r.Sent, r.Answered, r.Ended = 0, 0, 0, 0
	r.Peer, r.Request, r.ID, r.Trace = peer, req, r.ID[:0], Trace{}
	r.Route, r.Pool, r.Backend, r.Reused = nil, "", "", false
	r.Series, r.BackendSeries = -1, -1
	r.Tunnel, r.BytesIn, r.Bytes, r.Words = false, 0, 0, ""
	r.Stalled, r.secure, r.stall, r.tried = 0, false, 0, 0
}

// NoteHead copies the head, which is whole.
func (r *Record) NoteHead(head []byte) {
	if r.wanted {
		r.Head = append(r.Head, head...)
	}
}

// Place is a backend, as records name it.
type Place struct {
	Pool, Backend         string
	Series, BackendSeries int // see Record
}

// PlaceOf returns the place of backend j of pool i, which have these names, with its series
// from the lists of a snapshot: by pool, and by pool and backend.
func PlaceOf(pool, backend string, series []int, backendSeries [][]int, i, j int) Place {
	p := Place{Pool: pool, Backend: backend, Series: SeriesOf(series, i), BackendSeries: -1}
	if i < len(backendSeries) {
		p.BackendSeries = SeriesOf(backendSeries[i], j)
	}
	return p
}

// SeriesOf returns element i of a list of series, or -1 if there is none.
func SeriesOf(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return -1
}

// Pick notes that a backend was chosen at now for an attempt, which has this span id.
func (r *Record) Pick(p *Place, span [8]byte, now tick.Instant) {
	if r.Attempts++; r.wanted {
		r.pick(p, span, now)
	}
}

func (r *Record) pick(p *Place, span [8]byte, now tick.Instant) {
	r.Pool, r.Backend, r.Series, r.BackendSeries, r.Picked = p.Pool, p.Backend, p.Series, p.BackendSeries, now
	r.Dialled, r.Connected, r.Secured, r.Sending, r.Sent, r.Reused, r.secure = 0, 0, 0, 0, 0, false, false
	*r.last() = Attempt{Backend: p.Backend, At: now, Span: span}
}

// last returns the last attempt; there has to be one.
func (r *Record) last() *Attempt { return &r.Tries[min(r.Attempts, TriesMax)-1] }

// Done returns the attempts, in order. Of more than TriesMax, those before the last one
// are left out.
func (r *Record) Done() []Attempt { return r.Tries[:min(r.Attempts, TriesMax)] }

// Enter notes that a phase began at now.
func (r *Record) Enter(ph Phase, now tick.Instant) {
	if r.wanted {
		r.enter(ph, now)
	}
}

func (r *Record) enter(ph Phase, now tick.Instant) {
	switch ph {
	case Dial:
		r.Dialled = now
	case Send:
		r.Sending = now
	case Wait:
		r.Sent = now
	case Relay:
		r.Answered = now
	}
}

// Made says how the conn of an attempt was made.
type Made struct {
	Connected tick.Instant // it was there, without TLS; 0 if it is not
	Secured   tick.Instant // its TLS handshake was over; 0 if it is not
	TLS       bool         // it has a handshake
	Used      bool         // it was idle after an earlier attempt
}

// Make notes how the conn of the present attempt was made, as far as it is. Several attempts
// may have waited for the making of one, some from the middle of it.
func (r *Record) Make(m Made) {
	switch {
	case !r.wanted:
	case r.Dialled == 0 || m.Used:
		r.Reused = true
	case m.Connected > 0:
		r.Connected, r.secure = max(m.Connected, r.Dialled), m.TLS
		if m.Secured > 0 {
			r.Secured = max(m.Secured, r.Dialled)
		}
	}
}

// Answer notes that the final response to the present attempt has this status.
func (r *Record) Answer(status int) {
	if r.wanted {
		r.last().Status = status
	}
}

// Fail notes that f has ended the present attempt.
func (r *Record) Fail(f Fault) {
	if r.wanted {
		r.last().Fault = f
	}
}

// EndAttempt notes that the present attempt ended at now.
func (r *Record) EndAttempt(now tick.Instant) {
	if r.wanted {
		a := r.last()
		a.Took = now.Sub(a.At)
		r.tried += a.Took
	}
}

// Waits notes whether lb waits for the client from now on.
func (r *Record) Waits(forClient bool, now tick.Instant) {
	if r.wanted && forClient != (r.stall > 0) {
		r.waits(now)
	}
}

func (r *Record) waits(now tick.Instant) {
	if r.stall > 0 {
		r.Stalled += now.Sub(r.stall)
		r.stall = 0
		return
	}
	r.stall = now
}
