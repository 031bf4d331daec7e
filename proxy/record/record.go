// Package record holds what is known of an exchange when it has ended: the client, the
// answer, how long each part took, and the fault, if there was one. It is the seam for
// everything that listens to exchanges: logs, histograms, traces. It does not know how an
// exchange runs, nor what becomes of its record.
package record

import (
	"lb/config"
	"lb/httpparse"
	"lb/loop/tick"
	"lb/proxy/front"
)

// Phase is the phase of an exchange.
type Phase uint8

// The phases, in order. The states of a client conn before them, idle and head, are
// its front's.
const (
	Admit  Phase = iota // the head is whole, and nothing has been decided yet
	Pick                // a backend is being chosen
	Dial                // a new conn to it is being made
	Send                // the request is being written
	Wait                // the request is written, the response head is awaited
	Relay               // the response is being written, and perhaps the rest of the request; after a 101, bytes both ways
	Phases              // how many there are
)

var phaseNames = [Phases]string{"admit", "pick", "dial", "send", "wait", "relay"}

// String returns the name of the phase in logs.
func (ph Phase) String() string { return phaseNames[ph] }

// Record is what is known of an exchange when it has ended, however it ended. It is
// filled where things happen and handed to proxy.Options.Record once. It and everything it
// points to are valid only during that call.
//
// The times are on the loop's clock, and of the last attempt where there were
// several. A time is 0 if the exchange did not get that far.
type Record struct {
	Begun    tick.Instant // the first byte of the request had come
	Admitted tick.Instant // its head was whole, or was refused
	Picked   tick.Instant // a backend was chosen; the wait for room ends here
	Dialled  tick.Instant // a new conn to it was begun; 0 if an idle one was used
	Sending  tick.Instant // the conn was there
	Sent     tick.Instant // the request was written; 0 if the response came first
	Answered tick.Instant // the final head had come, or lb made a reply of its own
	Ended    tick.Instant

	Peer    *front.Peer
	Request *httpparse.Request // not valid without a Head
	Head    []byte             // the text that Request's spans point into; empty if the head was refused, or never whole

	Route    *config.Route // or nil if none matched
	Pool     string        // empty if the request was answered without one
	Backend  string        // the last that was tried, or empty
	Attempts int

	Status  int   // of the final response; 0 if there was none
	Own     bool  // the response was lb's own
	Tunnel  bool  // after a 101; the byte counts are then those of the tunnel
	BytesIn int64 // of the body, from the client
	Bytes   int64 // of the body, to the client

	// Fault is what ended the exchange, if its Cause is not empty: an answer that was
	// whole, and was not lb's own because of a fault, has none.
	Fault Fault
}
