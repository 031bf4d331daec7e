package h2

import (
	"lb/internal/invariant"
	"lb/loop/tick"
)

// connWindow returns the window of the conn for what the peer sends: those of all
// streams, and one more for what is not given back yet.
func (o *Options) connWindow() int {
	return int(min(int64(o.Streams+1)*int64(o.Window), windowMax))
}

// AppendStart appends what we send first: as a client the preface, then SETTINGS, and a
// WINDOW_UPDATE for the conn. It is some 100 bytes. A client's encoder and both tables of
// HPACK are what RFC 9113 6.5.2 has at the beginning.
func (s *Session) AppendStart(out []byte, now tick.Instant) []byte {
	s.ackSince, s.now = now, now
	s.budgets.reset(s.o.Role, now)
	if s.o.Role == Client {
		out = append(out, Preface...)
	}
	at := len(out)
	out = AppendHeader(out, Header{0, Settings, 0, 0})
	if s.o.Role == Client {
		out = AppendSetting(out, EnablePush, 0)
	} else {
		out = AppendSetting(out, MaxConcurrentStreams, uint32(s.o.Streams))
		out = AppendSetting(out, NoRFC7540Priorities, 1)
		if s.o.Connect {
			out = AppendSetting(out, EnableConnectProtocol, 1)
		}
		if s.o.HeadList > 0 {
			out = AppendSetting(out, MaxHeaderListSize, uint32(s.o.HeadList))
		}
	}
	if s.o.Window != windowInitial {
		out = AppendSetting(out, InitialWindowSize, uint32(s.o.Window))
	}
	out[at+2] = byte(len(out) - at - HeaderLen)
	if more := s.o.connWindow() - windowInitial; more > 0 {
		s.recv += int32(more)
		out = AppendWindowUpdate(out, 0, more)
	}
	return out
}

// Take notes that the owner has no further use for n bytes that Part has handed out for
// st. It appends WINDOW_UPDATE for the stream and the conn when it is worth it.
func (s *Session) Take(out []byte, st *Stream, n int) []byte {
	invariant.Check(n >= 0 && n <= st.Held(), "h2: Take of more than is held")
	st.held -= int32(n)
	st.owed += int32(n)
	s.owed += int32(n)
	return s.openConn(s.openStream(out, st))
}

// openStream gives the window of st back once half of it is owed, unless the peer needs
// no more of it.
func (s *Session) openStream(out []byte, st *Stream) []byte {
	if int(st.owed)*2 < s.o.Window || st.remoteEnd || s.failed || st.left >= 0 && st.left <= int64(st.recv) {
		return out
	}
	out = AppendWindowUpdate(out, st.ID, int(st.owed))
	st.recv, st.owed = st.recv+st.owed, 0
	return out
}

// openConn gives the window of the conn back, once more than that of a stream is owed.
func (s *Session) openConn(out []byte) []byte {
	if int(s.owed) < s.o.Window || s.failed {
		return out
	}
	out = AppendWindowUpdate(out, 0, int(s.owed))
	s.recv, s.owed = s.recv+s.owed, 0
	return out
}

// Sendable returns how many bytes of a body one DATA frame of st may have now, at most
// FrameMax; 0 if a window is shut or our side of st has ended. A client sends none before the
// SETTINGS of the server have come: many a server resets a stream that goes by the initial
// window where its own is smaller (RFC 9113 6.9.2).
func (s *Session) Sendable(st *Stream) int {
	if st.localEnd || st.ID == 0 || !s.settled && s.o.Role == Client {
		return 0
	}
	return int(max(0, min(st.send, s.send, FrameMax)))
}

// sliver is the size in bytes below which a DATA frame costs more than it is worth, if a
// window makes it so small.
const sliver = 256

// AppendData appends the header of a DATA frame with n bytes of payload, which the caller
// puts after it; n is at most Sendable, and may be 0 with end, which ends our side of st.
func (s *Session) AppendData(out []byte, st *Stream, n int, end bool) []byte {
	invariant.Check(n <= max(0, s.Sendable(st)) && !st.localEnd, "h2: DATA that may not be sent")
	st.send -= int32(n)
	s.send -= int32(n)
	flags := uint8(0)
	if end {
		flags = FlagEndStream
	}
	out = AppendHeader(out, Header{n, Data, flags, st.ID})
	s.budgets.earn(FloodPings, 1, s.o.Role)
	if n < sliver && !end && (st.send == 0 || s.send == 0) {
		s.spend(FloodSlivers, 1)
	} else {
		s.budgets.earn(FloodWindow, 2+n/sliver, s.o.Role)
		if n >= sliver {
			s.budgets.earn(FloodSlivers, 1, s.o.Role)
		}
	}
	if end {
		s.endLocal(st)
	}
	return out
}
