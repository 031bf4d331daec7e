package h2

// Stream is one stream of a conn, from its head until Release. It is made by Shared.New,
// and may be a part of what Owner points to.
type Stream struct {
	Owner       any    // for the caller, who sets it in Shared.New; never changed here
	ID          uint32 // 0: of a client, not yet sent
	Urgency     uint8  // 0 (first) to 7, 3 if the client does not say (RFC 9218 4.1)
	Incremental bool   // RFC 9218 4.2

	next *Stream
}

// Closed reports whether neither side may send any more in the stream. A closed stream
// gets no events.
func (st *Stream) Closed() bool { panic("h2: soon") }

// RemoteEnded reports whether the peer has ended its side, with END_STREAM or otherwise.
func (st *Stream) RemoteEnded() bool { panic("h2: soon") }

// LocalEnded reports whether we have ended our side, with END_STREAM or otherwise.
func (st *Stream) LocalEnded() bool { panic("h2: soon") }

// Held returns how many bytes were handed out and not yet taken.
func (st *Stream) Held() int { panic("h2: soon") }
