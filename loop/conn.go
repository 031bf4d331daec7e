package loop

import (
	"golang.org/x/sys/unix"

	"lb/internal/invariant"
)

// Bits of Conn.state. No bit at all: the conn is free.
const (
	stateOpen   uint8 = 1 << iota
	stateClient       // adopted: counts against ConnsMax
	stateBatch        // in this turn's batch, Ready still to be called
	stateAgain        // in the run list of the next turn
)

// IsOpen reports whether the conn has a descriptor, connected or still dialling.
func (c *Conn) IsOpen() bool { return c.state&stateOpen != 0 }

// Readable reports whether a Read may give bytes, the end or an error.
func (c *Conn) Readable() bool { return c.flags&Readable != 0 }

// Writable reports whether a Write may take bytes.
func (c *Conn) Writable() bool { return c.flags&Writable != 0 }

// PeerShut reports whether the peer has ended its side. What it sent before may
// still be there to be read: Readable tells.
func (c *Conn) PeerShut() bool { return c.flags&PeerShut != 0 }

// Hangup reports whether a reset or an error has ended both directions.
func (c *Conn) Hangup() bool { return c.flags&Hangup != 0 }

// DialResult tells how Dial ended: nil for connected. It is unix.EINPROGRESS
// while the attempt lasts, and afterwards must be asked once only, because the
// system forgets the answer.
func (c *Conn) DialResult() error {
	invariant.Check(c.IsOpen(), "loop: DialResult of a closed conn")
	if c.flags&(Writable|Hangup) == 0 {
		return unix.EINPROGRESS
	}
	return c.loop.kernel.DialResult(int(c.fd))
}

// Read fills b, which is not empty. n 0 with a nil error means "not ready
// now". The end of the peer's bytes is io.EOF, anything else that ends the
// reading is a unix.Errno; either comes once, then Readable stays false.
func (c *Conn) Read(b []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Read of a closed conn")
	n, err = c.loop.kernel.Read(int(c.fd), b)
	switch {
	case n == len(b):
	case err != nil:
		c.over |= Readable
		c.flags &^= Readable
	case n == 0, c.flags&(PeerShut|Hangup) == 0:
		// A short read has drained the socket, and the next byte is an edge.
		// With PeerShut the edge of the end has come already: read on.
		c.flags &^= Readable
	}
	return n, err
}

// LookAgain makes the conn Readable, so that the next Read asks the system
// though no event has come yet. It does nothing behind the end of the bytes.
func (c *Conn) LookAgain() { c.flags |= Readable &^ c.over }

// Write takes bytes from b, which is not empty. n < len(b) with a nil error
// means that the rest has to wait until the conn is Writable again.
func (c *Conn) Write(b []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Write to a closed conn")
	n, err = c.loop.kernel.Write(int(c.fd), b)
	if n < len(b) {
		c.shortWrite(err)
	}
	return n, err
}

// Writev takes bytes from x, then y, then z as Write does. Any may be empty,
// not all.
func (c *Conn) Writev(x, y, z []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Writev to a closed conn")
	n, err = c.loop.kernel.Writev(int(c.fd), x, y, z)
	if n < len(x)+len(y)+len(z) {
		c.shortWrite(err)
	}
	return n, err
}

func (c *Conn) shortWrite(err error) {
	c.flags &^= Writable
	if err != nil {
		c.over |= Writable
	}
}

// ShutdownWrite ends our side: the peer reads the end. Writable stays false.
func (c *Conn) ShutdownWrite() error {
	invariant.Check(c.IsOpen(), "loop: ShutdownWrite of a closed conn")
	c.over |= Writable
	c.flags &^= Writable
	return c.loop.kernel.ShutdownWrite(int(c.fd))
}

// Again has Ready called at the next turn, without an event.
func (c *Conn) Again() {
	invariant.Check(c.IsOpen(), "loop: Again of a closed conn")
	if c.state&stateAgain != 0 {
		return
	}
	c.state |= stateAgain
	c.loop.again = append(c.loop.again, Event{FD: c.fd, Gen: c.gen})
}

// Close ends the conn: no further Ready, and the descriptor is closed at the
// end of the turn, with reset in a way that the peer sees. The struct may be
// reused at once. Closing a conn that is not open does nothing.
func (c *Conn) Close(reset bool) {
	if !c.IsOpen() {
		return
	}
	c.loop.release(c)
	c.loop.dead = append(c.loop.dead, deadFD{c.fd, reset})
	*c = Conn{}
}
