// Package back is the seam between an exchange and its backend. An attempt sees its backend
// as a Back: an HTTP/1 conn, or one stream of HTTP/2. A back sees the exchange as an Owner.
// It is the twin of package front.
//
// The package has no behaviour: proxy implements Owner, proxy/h1back implements Back for
// HTTP/1, and proxy/h2back for HTTP/2. Neither side knows the other's conns, phases or
// timers. A back makes the conn, frames bodies, and owns the conn before, between and after
// its attempts; an exchange decides what is sent, and what follows a fault.
package back

import (
	"time"

	"lb/loop/tick"
	"lb/proxy/front"
	"lb/proxy/lane"
	"lb/proxy/record"
)

// Back is the backend's side of one attempt. Its methods are called on its loop, by that
// exchange, until Keep has returned true or Drop has returned.
type Back interface {
	// In is the inbox that Fill reads into. It is the back's, and there once the conn is.
	In() *lane.Inbox

	// Streams reports whether the back is a stream of HTTP/2.
	Streams() bool

	// Connect moves the making of the conn on, in the phase Dial. After Waits an event
	// follows. f is set with Failed alone.
	Connect() (p Progress, f record.Fault)

	// Late returns the fault of a conn that was not made in time, or false if the time
	// passed while lb stood still since the given moment, in which a handshake could not
	// end.
	Late(since tick.Instant) (f record.Fault, late bool)

	// Made returns when the conn was made, as far as it is. It may have been before the
	// attempt.
	Made() record.Made

	// Flush writes the pending bytes of ln, the request. in is the inbox that ln reads
	// from. n is the number of bytes taken. After an error the backend takes no more; an
	// answer that it has sent before is still read.
	Flush(ln *lane.Lane, in *lane.Inbox) (n int, err error)

	// Takes reports whether the backend keeps up, so that Flush would move a good part of
	// its bytes. If not, an event follows when it does.
	Takes() bool

	// ShutdownWrite ends the bytes to the backend, in a tunnel.
	ShutdownWrite() error

	// AssumeReadable makes the next Fill look although no event has come.
	AssumeReadable()

	// Fill reads more of the answer into the inbox that the back lends, into a large slab
	// if bulk asks for one. n is the number of bytes read: 0 with a nil error means that
	// none are there now. io.EOF is the end of the backend's bytes, any other error the
	// end of the attempt.
	Fill(bulk bool) (n int, err error)

	// Over reports whether Fill has read the last bytes of an answer whose framing is
	// httpparse.Stream. Its trailer section, with the empty line that ends it, is valid
	// until the attempt ends, and empty if there is none.
	Over() (section []byte, over bool)

	// More reports whether Fill may read something although no event has come.
	More() bool

	// Fault returns what an error of Fill before the end of the answer means.
	Fault(err error) record.Fault

	// Shut reports whether the backend has ended its side. Bytes that it sent before may
	// be unread.
	Shut() bool

	// Gone reports whether the backend has gone, so that nothing can be written. Bytes
	// that it sent before may be unread.
	Gone() bool

	// Reused reports whether the backend may have ended the conn while it was idle, before
	// the request came, or was ending it, or had no room for the request on it.
	Reused() bool

	// Unseen reports whether the backend has said that it has not acted on the request,
	// whatever it got of it (RFC 9113 8.7).
	Unseen() bool

	// NoteStale notes that Reused is true of this attempt, which began to send at asked.
	NoteStale(asked tick.Instant)

	// Keep ends the attempt after a whole request and a whole answer, which leaves the
	// conn to other exchanges. bare says that the answer had no body, whatever the backend
	// may have sent. It does nothing but return false if the conn can carry no other.
	Keep(bare bool) bool

	// Drop ends the attempt in whatever state it is.
	Drop()
}

// Progress is how far a conn is made.
type Progress uint8

// The steps of Connect.
const (
	Waits  Progress = iota
	Ready           // the request can be sent
	Busy            // lb makes too many conns at the moment
	Failed          // the conn cannot be made
	Other           // the backend has chosen another protocol: another conn is to be had
)

// Owner is the exchange of an attempt.
type Owner interface {
	// Advance runs the exchange now, because its backend has an event.
	Advance()
}

// Carrier is the handler of a conn that carries attempts.
type Carrier interface {
	// Each calls f for the owner of each attempt. f must not end one.
	Each(f func(Owner))
	// Doubt is called when the backend is found down: soon the conn ends if the machine of
	// the backend is gone, and in any case it is not used for a later attempt.
	Doubt()
}

// Shared is the state that the proxy of a loop shares with its backs. Only that loop may
// touch it.
type Shared struct {
	*front.Shared
	// Silence is how long the machine of a backend may acknowledge nothing, by the present
	// configuration.
	Silence time.Duration
	// Left is called with the ID of a backend of HTTP/2 that asks for no new conns.
	Left        func(id int)
	IdleTimeout time.Duration // how long a conn to a backend may idle, by the present configuration
}
