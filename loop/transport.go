package loop

import "io"

// Transport is a layer between a Conn and its socket, such as TLS. A conn without one
// speaks to its socket directly. A transport belongs to one conn, and its methods are
// called on the loop of that.
//
// Readable and Writable of a conn are about the transport then: bytes that have come may
// wait in it, and bytes that the socket did not take. It reads and writes the socket by
// Conn.ReadRaw and Conn.WriteRaw.
type Transport interface {
	// Read is Conn.Read. io.EOF is the end that the peer has declared; an end without
	// that is io.ErrUnexpectedEOF. n == 0 with a nil error means that Pending is false
	// and the socket has nothing, or that the transport has asked for another turn.
	Read(b []byte) (n int, err error)

	// Writev is Conn.Writev. n is less than the bytes offered until the socket has taken
	// all that became of them: the caller offers the rest again, and may append to it.
	Writev(x, y, z []byte) (n int, err error)

	// Pending reports whether Read would return something although the socket has nothing.
	Pending() bool

	// Partial reports whether bytes have come that Read can return nothing of before
	// more of them have.
	Partial() bool

	// Owes reports whether there are bytes that the socket has not taken. After an error
	// of the socket there are none.
	Owes() bool

	// Flush writes what is owed. It reports whether that is all.
	Flush() (all bool, err error)

	// CloseWrite declares the end of our bytes to the peer, once. Flush may be needed
	// after it.
	CloseWrite() error

	// Moved is called when the conn of the transport has become to.
	Moved(to *Conn)

	// Closed is called when the conn is closed. The transport gives back what it holds.
	Closed()
}

// SetTransport puts t between c and its socket.
func (c *Conn) SetTransport(t Transport) {
	c.transport, c.socket = t, c.flags
	c.Refresh()
}

// Owes reports whether bytes that were taken for the peer, or the end after them, are not
// out yet: closing would cut them off. They go out by themselves as the socket takes them.
// It is always false without a transport.
func (c *Conn) Owes() bool {
	return c.transport != nil && (c.transport.Owes() || c.state&stateShut != 0)
}

// Partial reports whether the peer has begun to send something that can only be read as a
// whole, such as a record of TLS. It is always false without a transport.
func (c *Conn) Partial() bool { return c.transport != nil && c.transport.Partial() }

// ReadRaw is for transports: it reads from the socket as Read does without a transport.
func (c *Conn) ReadRaw(b []byte) (n int, err error) {
	n, err = c.loop.kernel.Read(int(c.fd), b)
	if err != nil || n == 0 || n < len(b) && c.flags&(PeerShut|Hangup) == 0 {
		c.socket &^= Readable // as in Read
	}
	return n, err
}

// RawReadable is for transports: it reports whether a ReadRaw may return something.
func (c *Conn) RawReadable() bool { return c.socket&Readable != 0 }

// WriteRaw is for transports: it writes to the socket as Write does without a transport,
// unless the socket is known to be full.
func (c *Conn) WriteRaw(b []byte) (n int, err error) {
	if c.socket&Writable == 0 {
		return 0, nil
	}
	n, err = c.loop.kernel.Write(int(c.fd), b)
	if n < len(b) && err == nil {
		c.socket &^= Writable
	}
	return n, err
}

// Refresh is for transports: it sets Readable and Writable by the socket and the transport.
// Conn does so itself after each call of the transport.
func (c *Conn) Refresh() {
	f := c.socket & (Readable | Writable)
	if c.transport.Pending() {
		f |= Readable
	}
	if c.transport.Owes() {
		f &^= Writable
	}
	c.flags = c.flags&^(Readable|Writable) | f&^c.over
}

// socketEvent notes an event of the socket below a transport. What the transport owes
// comes first: the conn is not writable before that is out.
func (c *Conn) socketEvent(f Flags) {
	c.socket |= f
	if c.transport.Owes() {
		c.flags &^= Writable
	}
}

// settle writes what the transport owes, before Ready. An error is kept by the transport
// for the next write.
func (c *Conn) settle() {
	if c.socket&Writable != 0 && c.Owes() {
		c.flush()
		c.Refresh()
	}
}

// flush writes what the transport owes, and ends our side if that is due and all is out.
func (c *Conn) flush() error {
	all, err := c.transport.Flush()
	if c.state&stateShut != 0 && (all || err != nil) {
		c.state &^= stateShut
		if err == nil {
			err = c.loop.kernel.ShutdownWrite(int(c.fd))
		}
	}
	return err
}

func (c *Conn) readThrough(b []byte) (n int, err error) {
	n, err = c.transport.Read(b)
	if err != nil {
		c.over |= Readable
	}
	if err == io.EOF {
		c.flags |= PeerShut
	}
	c.Refresh()
	return n, err
}

func (c *Conn) writeThrough(x, y, z []byte) (n int, err error) {
	n, err = c.transport.Writev(x, y, z)
	if err != nil {
		c.over |= Writable
	}
	c.Refresh()
	return n, err
}

func (c *Conn) shutdownThrough() error {
	err := c.transport.CloseWrite()
	if err == nil {
		c.state |= stateShut
		err = c.flush()
	}
	c.Refresh()
	return err
}

// closeThrough lets the transport say that this is the end, if it has not and the socket
// takes it, and parts with it.
func (c *Conn) closeThrough(reset bool) {
	t := c.transport
	c.transport = nil
	if !reset {
		if c.over&Writable == 0 {
			t.CloseWrite()
		}
		t.Flush()
	}
	t.Closed()
}
