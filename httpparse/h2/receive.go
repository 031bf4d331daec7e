package h2

import "encoding/binary"

// data begins a DATA frame (RFC 9113 6.1) and hands out what is there of it. It needs the
// header alone, and the length of the padding.
func (s *Session) data(ev *Event, h Header, b []byte) (n int) {
	n = HeaderLen
	pad := 0
	switch {
	case h.Stream == 0:
		s.fail(ProtocolError)
		return 0
	case h.Flags&FlagPadded == 0:
	case h.Length == 0:
		s.fail(FrameSizeError)
		return 0
	case len(b) == HeaderLen:
		return 0
	default:
		pad = int(b[HeaderLen])
		n++
	}
	body := h.Length - (n - HeaderLen) - pad
	if body < 0 {
		s.fail(ProtocolError)
		return 0
	}
	if int(s.recv) < h.Length {
		s.fail(FlowControlError)
		return 0
	}
	s.recv -= int32(h.Length)
	s.owed += int32(n - HeaderLen)
	s.part, s.partLeft, s.padLeft, s.partEnd = nil, int32(body), int32(pad), h.Flags&FlagEndStream != 0
	st := s.find(h.Stream)
	if st == nil {
		s.dataOfClosed(h.Stream)
		return n
	}
	if code := s.dataFault(st, h.Length, body); code != NoError {
		*ev = s.fault(st, code)
		return n
	}
	st.recv -= int32(h.Length)
	if st.owed += int32(h.Length - body); h.Length != body {
		s.out = s.openStream(s.out, st)
	}
	if body > 0 {
		s.part = st
		return n + s.goOn(ev, b[n:])
	}
	if !s.partEnd {
		s.spend(FloodEmpty, 1)
		return n
	}
	s.endRemote(st)
	ev.Kind, ev.Stream, ev.End = Part, st, true
	return n
}

// dataFault returns the reason to reset st for a DATA frame of size bytes, body of them
// not padding, or NoError.
func (s *Session) dataFault(st *Stream, size, body int) Code {
	switch {
	case st.remoteEnd:
		return StreamClosed // RFC 9113 5.1
	case int(st.recv) < size:
		return FlowControlError // RFC 9113 6.9.1
	case s.o.Role == Client && !st.answered:
		return ProtocolError // RFC 9113 8.1
	case st.left >= 0 && (int64(body) > st.left || s.partEnd && int64(body) < st.left):
		return ProtocolError // RFC 9113 8.1.1
	}
	return NoError
}

// dataOfClosed handles DATA in a stream that is not open (RFC 9113 5.1). It counts in the
// window of the conn like any other.
func (s *Session) dataOfClosed(id uint32) {
	if s.idle(id) {
		s.fail(ProtocolError)
		return
	}
	switch how := s.closed.how(id); {
	case how == byEnds:
		s.fail(StreamClosed)
		return
	case how == byUs || s.o.Role == Client || s.unwanted(id):
	default:
		s.out = AppendReset(s.out, id, StreamClosed)
		s.closed.reset(id, byUs)
	}
	s.spend(FloodClosed, 1)
}

// goOn hands out, or drops, what b has of the DATA frame that has begun.
func (s *Session) goOn(ev *Event, b []byte) (n int) {
	if s.partLeft == 0 || s.part == nil {
		return s.drop(b)
	}
	n = min(len(b), int(s.partLeft))
	if n == 0 {
		return 0
	}
	st := s.part
	s.partLeft -= int32(n)
	st.held += int32(n)
	if st.left >= 0 {
		st.left -= int64(n)
	}
	ev.Kind, ev.Stream, ev.Bytes = Part, st, b[:n:n]
	if s.partLeft == 0 {
		s.part = nil
		if ev.End = s.partEnd; ev.End {
			s.endRemote(st)
		}
	}
	return n
}

// drop uses up bytes of a DATA frame that have no reader, and its padding.
func (s *Session) drop(b []byte) int {
	body := min(len(b), int(s.partLeft))
	pad := min(len(b)-body, int(s.padLeft))
	s.partLeft -= int32(body)
	s.padLeft -= int32(pad)
	s.owed += int32(body + pad)
	s.out = s.openConn(s.out)
	return body + pad
}

// fault resets st because the peer has broken a rule (RFC 9113 5.4.2).
func (s *Session) fault(st *Stream, code Code) Event {
	s.out = s.Reset(s.out, st, code)
	s.spend(FloodFaults, 1)
	return Event{Kind: Faulted, Code: code, Stream: st}
}

// rstStream handles RST_STREAM (RFC 9113 6.4). A backend may refuse as many streams as it
// likes.
func (s *Session) rstStream(h Header, p []byte) Event {
	switch {
	case len(p) != 4:
		return s.fail(FrameSizeError)
	case s.idle(h.Stream):
		return s.fail(ProtocolError)
	}
	st := s.find(h.Stream)
	if st == nil {
		s.spend(FloodClosed, 1)
		return Event{}
	}
	if !st.localEnd && s.o.Role == Server {
		s.spend(FloodResets, 1)
	}
	s.closed.reset(h.Stream, byPeer)
	s.close(st)
	return Event{Kind: Aborted, Code: Code(binary.BigEndian.Uint32(p)), Stream: st}
}

// ping handles PING (RFC 9113 6.7).
func (s *Session) ping(h Header, p []byte) Event {
	switch {
	case len(p) != 8:
		return s.fail(FrameSizeError)
	case h.Stream != 0:
		return s.fail(ProtocolError)
	case h.Flags&FlagAck != 0:
		s.spend(FloodPings, 1)
		return Event{Kind: Ponged, Bytes: p}
	}
	s.spend(FloodPings, 1)
	s.out = AppendPing(s.out, true, [8]byte(p))
	return Event{}
}

// goAway handles GOAWAY (RFC 9113 6.8). A second one may only lower the last stream.
func (s *Session) goAway(h Header, p []byte) Event {
	switch {
	case h.Stream != 0:
		return s.fail(ProtocolError)
	case len(p) < 8:
		return s.fail(FrameSizeError)
	}
	last := binary.BigEndian.Uint32(p) & idMax
	if s.away {
		s.spend(FloodSettings, 1)
		last = min(last, s.awayLast)
	}
	s.away, s.awayLast, s.sweep = true, last, s.o.Role == Client
	return Event{Kind: Leaving, Last: last, Code: Code(binary.BigEndian.Uint32(p[4:]))}
}

// unheard closes and reports the next stream that the peer's GOAWAY left out.
func (s *Session) unheard() (ev Event) {
	for st := range s.All {
		if st.ID == 0 || st.ID > s.awayLast {
			if st.ID != 0 {
				s.closed.reset(st.ID, byPeer)
			}
			s.close(st)
			return Event{Kind: Unheard, Code: RefusedStream, Stream: st}
		}
	}
	s.sweep = false
	return Event{}
}

// settings handles SETTINGS and its ACK (RFC 9113 6.5). If a setting comes twice, the last one counts.
func (s *Session) settings(h Header, p []byte) Event {
	ack := h.Flags&FlagAck != 0
	switch {
	case h.Stream != 0:
		return s.fail(ProtocolError)
	case ack && len(p) > 0 || len(p)%6 != 0:
		return s.fail(FrameSizeError)
	}
	s.spend(FloodSettings, 1)
	if ack {
		return s.agreed()
	}
	before := s.peerWindow
	for ; len(p) > 0; p = p[6:] {
		if c := s.setting(Setting(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])); c != NoError {
			return s.fail(c)
		}
	}
	if s.peerWindow != before && !s.moveWindows(int64(s.peerWindow)-int64(before)) {
		return s.fail(FlowControlError)
	}
	s.settled = true
	s.out = AppendHeader(s.out, Header{0, Settings, FlagAck, 0})
	return Event{Kind: Changed}
}

// setting takes one setting of the peer's, and returns the error in it (RFC 9113 6.5.2). Those
// that limit what we never do are not kept: our encoder has no table, and our frames are as
// small as any peer must take.
func (s *Session) setting(id Setting, v uint32) Code {
	switch id {
	case EnablePush:
		if v > 1 || v == 1 && s.o.Role == Client {
			return ProtocolError
		}
	case MaxConcurrentStreams:
		s.peerMax = v
	case InitialWindowSize:
		if v > windowMax {
			return FlowControlError
		}
		s.peerWindow = int32(v)
	case MaxFrameSize:
		if v < FrameMax || v > 1<<24-1 {
			return ProtocolError
		}
	case EnableConnectProtocol: // RFC 8441 3
		if v > 1 || v == 0 && s.connects {
			return ProtocolError
		}
		s.connects = v == 1
	case NoRFC7540Priorities: // RFC 9218 2.1
		if v > 1 {
			return ProtocolError
		}
	}
	return NoError
}

// moveWindows changes the send windows of all streams, and reports whether it could (RFC
// 9113 6.9.2). They may come below 0.
func (s *Session) moveWindows(delta int64) bool {
	for st := range s.All {
		if int64(st.send)+delta > windowMax {
			return false
		}
		st.send += int32(delta)
	}
	return true
}

// agreed notes that the peer obeys our SETTINGS from now on.
func (s *Session) agreed() Event {
	if s.ackSince == 0 {
		return Event{}
	}
	s.ackSince = 0
	for st := range s.All {
		st.recv += int32(s.o.Window - windowInitial)
	}
	return Event{Kind: Agreed}
}

// windowUpdate handles WINDOW_UPDATE (RFC 9113 6.9).
func (s *Session) windowUpdate(h Header, p []byte) Event {
	if len(p) != 4 {
		return s.fail(FrameSizeError)
	}
	s.spend(FloodWindow, 1)
	n := int64(binary.BigEndian.Uint32(p) & idMax)
	if h.Stream == 0 {
		before := s.send
		switch {
		case n == 0:
			return s.fail(ProtocolError)
		case int64(before)+n > windowMax:
			return s.fail(FlowControlError)
		}
		if s.send += int32(n); before > 0 {
			return Event{}
		}
		return Event{Kind: Opened}
	}
	st := s.find(h.Stream)
	switch {
	case st == nil && s.idle(h.Stream):
		return s.fail(ProtocolError)
	case st == nil:
		return Event{} // closed (RFC 9113 5.1)
	case n == 0:
		return s.fault(st, ProtocolError)
	case int64(st.send)+n > windowMax:
		return s.fault(st, FlowControlError)
	}
	before := st.send
	if st.send += int32(n); before > 0 || st.send <= 0 || st.localEnd {
		return Event{}
	}
	return Event{Kind: Opened, Stream: st}
}
