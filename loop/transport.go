package loop

// Transport is a layer between a Conn and its socket, such as TLS. A conn without one
// speaks to its socket directly. A transport belongs to one conn, and its methods are
// called on the loop of that.
//
// Readable and Writable of a conn are about the transport then: bytes that have come may
// wait in it, and bytes that the socket did not take. It reads and writes the socket by
// Conn.ReadRaw and Conn.WriteRaw.
type Transport interface {
	// Read is Conn.Read. io.EOF is the end that the peer has declared; an end without
	// that is io.ErrUnexpectedEOF.
	Read(b []byte) (n int, err error)

	// Writev is Conn.Writev. n is less than the bytes offered until the socket has taken
	// all that became of them: the caller offers the rest again, and may append to it.
	Writev(x, y, z []byte) (n int, err error)

	// Pending reports whether Read would return something although the socket has nothing.
	Pending() bool

	// Flush writes what the socket has not taken yet. It reports whether that is all.
	Flush() (all bool, err error)

	// CloseWrite declares the end of our bytes to the peer. Flush may be needed after it.
	CloseWrite() error

	// Moved is called when the conn of the transport has become to.
	Moved(to *Conn)

	// Closed is called when the conn is closed. The transport gives back what it holds.
	Closed()
}
