// Package record holds the facts about an exchange that has ended: the client, the
// answer, how long each part took, and the fault if there was one. It is the seam for
// logs, histograms and traces. It does not know how an exchange runs, or which listeners
// there are.
package record

import (
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
// The times are on the loop's clock. After several attempts they are those of the last
// one. A time is 0 if the exchange did not get that far.
type Record struct {
	Begun    tick.Instant // the first byte of the request came
	Admitted tick.Instant // its head became whole, or was refused
	Picked   tick.Instant // a backend was chosen; the wait for room ends here
	Dialled  tick.Instant // a new conn to it was begun; 0 if an idle one was used
	Sending  tick.Instant // the conn was ready
	Sent     tick.Instant // the request was written; 0 if the response came first
	Answered tick.Instant // the final head came, or lb made its own reply
	Ended    tick.Instant

	Peer    *front.Peer
	Request *httpparse.Request // not valid without a Head
	Head    []byte             // the text that Request's spans point into; empty if the head was refused, or never became whole

	Route    *config.Route // or nil if none matched
	Pool     string        // empty if the request was answered without a pool
	Backend  string        // the last backend that was tried, or empty
	Attempts int

	Status  int   // of the final response; 0 if there was none
	Own     bool  // the response was lb's own
	Tunnel  bool  // the response was a 101; the byte counts are then those of the tunnel
	BytesIn int64 // of the body, from the client
	Bytes   int64 // of the body, to the client

	// Fault ended the exchange. Its Cause is NoCause if the answer was whole and was not
	// lb's own reply to a fault.
	Fault Fault

	wanted bool
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

func (r *Record) begin(begun, admitted tick.Instant, peer *front.Peer, req *httpparse.Request) {
	head := r.Head[:0]
	if cap(head) > keptHeadMax {
		head = nil
	}
	*r = Record{Begun: begun, Admitted: admitted, Peer: peer, Request: req, Head: head, wanted: true}
}

// NoteHead copies the head, which is whole.
func (r *Record) NoteHead(head []byte) {
	if r.wanted {
		r.Head = append(r.Head, head...)
	}
}

// Pick notes that a backend was chosen at now.
func (r *Record) Pick(pool, backend string, now tick.Instant) {
	if r.Attempts++; r.wanted {
		r.pick(pool, backend, now)
	}
}

func (r *Record) pick(pool, backend string, now tick.Instant) {
	r.Pool, r.Backend, r.Picked = pool, backend, now
	r.Dialled, r.Sending, r.Sent = 0, 0, 0
}

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
