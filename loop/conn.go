package loop

import (
	"time"

	"golang.org/x/sys/unix"

	"lb/internal/invariant"
)

// Bits of Conn.state. Zero means that the conn is free.
const (
	stateOpen   uint8 = 1 << iota
	stateClient       // adopted: counts towards ConnsMax
	stateBatch        // in this turn's batch; Ready is still to be called
	stateAgain        // in the next turn's run list
	stateShut         // ShutdownWrite waits for what the transport owes
)

// IsOpen reports whether the conn has a descriptor, be it connected or still dialling.
func (c *Conn) IsOpen() bool { return c.state&stateOpen != 0 }

// Readable reports whether a Read may return bytes, the end or an error.
func (c *Conn) Readable() bool { return c.flags&Readable != 0 }

// Writable reports whether a Write may accept bytes.
func (c *Conn) Writable() bool { return c.flags&Writable != 0 }

// PeerShut reports whether the peer has ended its side. Bytes that it sent before
// may still be unread, see Readable.
func (c *Conn) PeerShut() bool { return c.flags&PeerShut != 0 }

// Hangup reports whether a reset or an error has ended both directions.
func (c *Conn) Hangup() bool { return c.flags&Hangup != 0 }

// DialResult returns nil if Dial has connected, unix.EINPROGRESS while it has not
// ended, or why it failed. Once it has ended call DialResult only once: the system
// forgets the error.
func (c *Conn) DialResult() error {
	invariant.Check(c.IsOpen(), "loop: DialResult of a closed conn")
	if (c.flags|c.socket)&(Writable|Hangup) == 0 {
		return unix.EINPROGRESS
	}
	return c.loop.kernel.DialResult(int(c.fd))
}

// Read reads into b, which must not be empty. n == 0 with a nil error means "not
// ready now". The end of the peer's bytes is io.EOF, any other end is a unix.Errno.
// Either is returned once; afterwards Readable stays false.
func (c *Conn) Read(b []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Read of a closed conn")
	if c.transport != nil {
		return c.readThrough(b)
	}
	n, err = c.loop.kernel.Read(int(c.fd), b)
	switch {
	case n == len(b):
	case err != nil:
		c.over |= Readable
		c.flags &^= Readable
	case n == 0, c.flags&(PeerShut|Hangup) == 0:
		// A short read has drained the socket, and the next byte brings an edge. With
		// PeerShut the edge of the end has already come, so keep reading.
		c.flags &^= Readable
	}
	return n, err
}

// AssumeReadable sets Readable, so that the next Read asks the system without
// waiting for an event. It does nothing after the end of the bytes.
func (c *Conn) AssumeReadable() {
	c.flags |= Readable &^ c.over
	c.socket |= Readable
}

// Write writes b, which must not be empty. n < len(b) with a nil error means that
// the rest has to wait until the conn is Writable again.
func (c *Conn) Write(b []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Write to a closed conn")
	if c.transport != nil {
		return c.writeThrough(b, nil, nil)
	}
	n, err = c.loop.kernel.Write(int(c.fd), b)
	if n < len(b) {
		c.shortWrite(err)
	}
	return n, err
}

// Writev is Write for x, then y, then z. Any of them may be empty, but not all.
func (c *Conn) Writev(x, y, z []byte) (n int, err error) {
	invariant.Check(c.IsOpen(), "loop: Writev to a closed conn")
	if c.transport != nil {
		return c.writeThrough(x, y, z)
	}
	n, err = c.loop.kernel.Writev(int(c.fd), x, y, z)
	if n < len(x)+len(y)+len(z) {
		c.shortWrite(err)
	}
	return n, err
}

// Takes asks the system whether a Write would be taken in good part. If not, Writable
// is cleared, as after a short write: ask before reading what is to be written, and the
// bytes of a peer that does not keep up stay with their source.
func (c *Conn) Takes() bool {
	invariant.Check(c.IsOpen(), "loop: Takes of a closed conn")
	if c.flags&Writable != 0 && !c.loop.kernel.Takes(int(c.fd)) {
		c.flags &^= Writable
		c.socket &^= Writable
	}
	return c.flags&Writable != 0
}

func (c *Conn) shortWrite(err error) {
	c.flags &^= Writable
	if err != nil {
		c.over |= Writable
	}
}

// GiveUp has the system end the conn once the peer's machine has acknowledged nothing for
// about silence, see Kernel. It is for TCP.
func (c *Conn) GiveUp(silence time.Duration) {
	invariant.Check(c.IsOpen(), "loop: GiveUp of a closed conn")
	c.loop.kernel.GiveUp(int(c.fd), silence)
}

// ShutdownWrite ends our side: the peer reads the end. Writable stays false. With a
// transport the end follows what is owed, see Owes.
func (c *Conn) ShutdownWrite() error {
	invariant.Check(c.IsOpen(), "loop: ShutdownWrite of a closed conn")
	c.over |= Writable
	c.flags &^= Writable
	if c.transport != nil {
		return c.shutdownThrough()
	}
	return c.loop.kernel.ShutdownWrite(int(c.fd))
}

// Again schedules a call of Ready in the next turn, without an event.
func (c *Conn) Again() {
	invariant.Check(c.IsOpen(), "loop: Again of a closed conn")
	if c.state&stateAgain != 0 {
		return
	}
	c.state |= stateAgain
	c.loop.again = append(c.loop.again, Event{FD: c.fd, Gen: c.gen})
}

// Close ends the conn: Ready is not called again, and the descriptor is closed at
// the end of the turn. With reset the peer sees a reset instead of an end. The
// struct may be reused at once. Closing a conn that is not open does nothing.
func (c *Conn) Close(reset bool) {
	if !c.IsOpen() {
		return
	}
	if c.transport != nil {
		c.closeThrough(reset)
	}
	c.loop.release(c)
	c.loop.dead = append(c.loop.dead, deadFD{c.fd, reset})
	*c = Conn{}
}
