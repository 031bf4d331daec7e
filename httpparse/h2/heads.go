package h2

import (
	"encoding/binary"

	"lb/httpparse/h2/heads"
	"lb/loop/tick"
)

// A header block may be so long, in bytes, and come in so many CONTINUATION frames, of
// which an empty one counts as emptyCost (CVE-2024-27316).
const (
	blockMax  = 64 << 10
	contsMax  = 64
	emptyCost = 8
)

// headers handles HEADERS (RFC 9113 6.2). Clients alone open streams, with odd ids, since
// a server may not push.
func (s *Session) headers(ev *Event, h Header, p []byte) {
	if h.Stream&1 == 0 {
		s.fail(ProtocolError)
		return
	}
	if h.Flags&FlagPadded != 0 {
		if len(p) == 0 {
			s.fail(FrameSizeError)
			return
		}
		pad := int(p[0])
		if p = p[1:]; pad > len(p) {
			s.fail(ProtocolError)
			return
		}
		p = p[:len(p)-pad]
	}
	s.dependent = false
	if h.Flags&FlagPriority != 0 {
		if len(p) < 5 {
			s.fail(FrameSizeError)
			return
		}
		s.dependent = dependsOn(p) == h.Stream
		p = p[5:]
	}
	s.blockOf = h
	if h.Flags&FlagEndHeaders != 0 {
		s.block = p
		s.gotBlock(ev)
		return
	}
	s.block, s.shared.block = s.shared.block[:0], nil
	s.joining, s.lent, s.conts = true, true, 0
	s.block = append(s.block, p...)
}

// dependsOn returns the stream that the priority of RFC 7540 5.3.1 in p names.
func dependsOn(p []byte) uint32 { return binary.BigEndian.Uint32(p) & idMax }

// continuation handles CONTINUATION (RFC 9113 6.10), which mayCome has let through.
func (s *Session) continuation(ev *Event, h Header, p []byte) {
	if s.conts++; len(p) == 0 {
		s.conts += emptyCost - 1
	}
	if s.conts > contsMax || len(s.block)+len(p) > blockMax {
		s.spend(FloodBlocks, 1)
		return
	}
	s.block = append(s.block, p...)
	if h.Flags&FlagEndHeaders == 0 {
		return
	}
	s.joining = false
	s.gotBlock(ev)
}

// gotBlock handles a whole block.
func (s *Session) gotBlock(ev *Event) {
	if n := heads.SizeUpdates(s.block); n > 2 {
		s.spend(FloodTable, n)
	}
	id := s.blockOf.Stream
	st := s.find(id)
	switch {
	case st != nil:
		s.further(ev, st)
		return
	case s.o.Role == Server && id > s.newest:
		s.request(ev, id)
		return
	case s.idle(id):
		s.fail(ProtocolError)
		return
	}
	how := s.closed.how(id)
	switch {
	case how == byEnds:
		s.fail(StreamClosed)
		return
	case how == longAgo && s.o.Role == Server && !s.unwanted(id):
		s.fail(ProtocolError) // RFC 9113 5.1.1
		return
	case how == byPeer:
		s.out = AppendReset(s.out, id, StreamClosed)
	}
	s.discard()
	s.spend(FloodClosed, 1)
}

// unwanted reports whether the stream came after the last GOAWAY of a drain.
func (s *Session) unwanted(id uint32) bool { return s.leaving && id > s.lastHeard }

// ended reports whether the block ends the peer's side of its stream.
func (s *Session) ended() bool { return s.blockOf.Flags&FlagEndStream != 0 }

// request handles the block that opens a stream of a client.
func (s *Session) request(ev *Event, id uint32) {
	s.newest = id
	switch {
	case s.leaving:
		s.discard()
		return
	case s.dependent: // RFC 7540 5.3.1
		s.refuse(id, ProtocolError, FloodFaults)
		return
	case s.active >= s.o.Streams: // RFC 9113 5.1.2
		s.refuse(id, RefusedStream, FloodRefused)
		ev.Kind = Refused
		return
	}
	st := s.take()
	st.ID, st.remoteEnd = id, s.ended()
	s.insert(st)
	s.hand(ev, Head, st)
}

// refuse resets a stream that is not to be opened.
func (s *Session) refuse(id uint32, code Code, b Budget) {
	s.discard()
	s.out = AppendReset(s.out, id, code)
	s.closed.reset(id, byUs)
	s.spend(b, 1)
}

// further handles a block in an open stream: an answer's head, or trailers.
func (s *Session) further(ev *Event, st *Stream) {
	switch {
	case st.remoteEnd:
		s.discard()
		*ev = s.fault(st, StreamClosed) // RFC 9113 5.1
		return
	case s.dependent:
		s.discard()
		*ev = s.fault(st, ProtocolError)
		return
	case s.o.Role == Client && !st.answered:
		if s.ended() {
			s.endRemote(st)
		}
		s.hand(ev, Head, st)
		return
	case !s.ended() || st.left > 0: // RFC 9113 8.1, 8.1.1
		s.discard()
		*ev = s.fault(st, ProtocolError)
		return
	}
	s.endRemote(st)
	s.hand(ev, Trail, st)
}

// hand hands the block out.
func (s *Session) hand(ev *Event, k Kind, st *Stream) {
	s.waiting, s.head = true, st
	ev.Kind, ev.Stream, ev.End = k, st, s.ended()
}

// skipBlock reads a block that the owner has left.
func (s *Session) skipBlock() {
	if s.waiting {
		s.discard()
	}
}

// discard reads the block for the table's sake (RFC 9113 4.3). That takes time in
// proportion to its bytes.
func (s *Session) discard() {
	s.blockRead(s.shared.reader.Discard(&s.table, s.block))
}

// blockRead lets the block go. If it could not be decoded, neither can those to come.
func (s *Session) blockRead(ok bool) {
	if !ok {
		s.fail(CompressionError)
	}
	s.waiting, s.head = false, nil
	s.giveBlockBack()
}

func (s *Session) giveBlockBack() {
	if s.lent {
		s.shared.block = s.block
	}
	s.block, s.lent, s.joining = nil, false, false
}

// priority handles PRIORITY of RFC 7540, which says nothing any more (RFC 9113 5.3.2).
func (s *Session) priority(h Header, p []byte) Event {
	s.spend(FloodPriority, 1)
	code := NoError
	switch {
	case h.Stream == 0:
		return s.fail(ProtocolError)
	case len(p) != 5:
		code = FrameSizeError // RFC 9113 6.3
	case dependsOn(p) == h.Stream:
		code = ProtocolError // RFC 7540 5.3.1
	}
	if code == NoError {
		return Event{}
	}
	if st := s.find(h.Stream); st != nil {
		return s.fault(st, code)
	}
	return s.fail(code)
}

// priorityUpdate handles PRIORITY_UPDATE (RFC 9218 7.1). One that comes before its
// stream is lost.
func (s *Session) priorityUpdate(h Header, p []byte) Event {
	s.spend(FloodPriority, 1)
	switch {
	case h.Stream != 0 || s.o.Role == Client:
		return s.fail(ProtocolError)
	case len(p) < 4:
		return s.fail(FrameSizeError)
	}
	id := dependsOn(p)
	if id&1 == 0 {
		return s.fail(ProtocolError)
	}
	st := s.find(id)
	if st == nil {
		return Event{}
	}
	st.Priority = heads.DefaultPriority
	st.Priority.Read(p[4:])
	return Event{Kind: Urgent, Stream: st}
}

// CanOpen returns how many streams more Open may open now: as the peer and Options allow,
// and 0 after GOAWAY of the peer, or when the ids are used up. Before the peer's SETTINGS
// have come, Options alone count.
func (s *Session) CanOpen() int {
	if s.away || s.failed || s.leaving {
		return 0
	}
	ids := int((idMax+2-s.nextID)/2) - s.unsent
	return max(0, min(s.Allowed()-s.active, ids))
}

// Allowed returns how many streams there may be at once, as the peer and Options allow.
func (s *Session) Allowed() int { return int(min(int64(s.o.Streams), int64(s.peerMax))) }

// Open returns a new stream of a client. It has no id until AppendRequest has sent its
// head, and counts in CanOpen.
func (s *Session) Open() *Stream {
	s.unsent++
	return s.take()
}

// AckOwed returns since when the peer owes the ACK of our SETTINGS, or 0 if it does not:
// too long is SETTINGS_TIMEOUT (RFC 9113 6.5.3). See Break.
func (s *Session) AckOwed() tick.Instant { return s.ackSince }
