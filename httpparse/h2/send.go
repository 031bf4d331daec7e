package h2

import (
	"lb/httpparse"
	"lb/httpparse/h2/heads"
	"lb/httpparse/h2/hpack"
)

// HeadRoom returns how many bytes AppendRequest, AppendResponse and AppendTrailers append
// at most for n bytes of text.
func HeadRoom(n int) int { return n + n/64 + HeaderLen*(2+n/FrameMax) + 64 }

// AppendRequest appends HEADERS, and CONTINUATION where needed, for st, which Open has
// returned: text is a request's whole head as HTTP/1.1 text, whose target begins with a
// slash or is "*". Host becomes :authority; fields that belong to an HTTP/1 conn are left
// out; names become lower case. The scheme is "http" or "https". end says that there is no
// body.
func (s *Session) AppendRequest(out []byte, st *Stream, text []byte, scheme string, end bool) []byte {
	st.ID, s.newest = s.nextID, s.nextID
	s.nextID += 2
	s.unsent--
	st.send = s.peerWindow
	s.insert(st)
	st.bodiless = len(text) > 4 && string(text[:5]) == "HEAD "
	at := len(out)
	out = heads.AppendRequest(s.beginBlock(out), text, scheme)
	return s.endBlock(out, at, st, end)
}

// AppendResponse appends HEADERS, and CONTINUATION where needed, for an answer's or an
// interim answer's whole head as HTTP/1.1 text. Fields that belong to an HTTP/1 conn are
// left out. A 101 becomes the 200 that answers an extended CONNECT.
func (s *Session) AppendResponse(out []byte, st *Stream, text []byte, end bool) []byte {
	at := len(out)
	out = heads.AppendResponse(s.beginBlock(out), text)
	return s.endBlock(out, at, st, end)
}

// AppendTrailers appends HEADERS with END_STREAM for trailers: lines are field lines,
// which may be followed by the empty line.
func (s *Session) AppendTrailers(out []byte, st *Stream, lines []byte) []byte {
	at := len(out)
	out = heads.AppendTrailers(s.beginBlock(out), lines)
	return s.endBlock(out, at, st, true)
}

// beginBlock appends room for the header of HEADERS, and what the first block of a conn
// begins with: that our encoder uses no table, so the peer needs none.
func (s *Session) beginBlock(out []byte) []byte {
	out = append(out, make([]byte, HeaderLen)...)
	if !s.sized {
		s.sized = true
		out = hpack.AppendSizeUpdate(out, 0)
	}
	return out
}

// endBlock writes the header of the HEADERS frame that begins at out[at:], and moves what
// is too long for it into CONTINUATION frames (RFC 9113 4.3).
func (s *Session) endBlock(out []byte, at int, st *Stream, end bool) []byte {
	size := len(out) - at - HeaderLen
	more := 0
	if size > FrameMax {
		more = (size - 1) / FrameMax
		out = append(out, make([]byte, more*HeaderLen)...)
	}
	for k := more; k > 0; k-- { // the last one first: each makes room for those before it
		from := at + HeaderLen + k*FrameMax
		n := min(size-k*FrameMax, FrameMax)
		to := from + k*HeaderLen
		copy(out[to:to+n], out[from:from+n])
		h := Header{n, Continuation, 0, st.ID}
		if k == more {
			h.Flags = FlagEndHeaders
		}
		AppendHeader(out[:to-HeaderLen], h)
	}
	h := Header{min(size, FrameMax), Headers, 0, st.ID}
	if more == 0 {
		h.Flags |= FlagEndHeaders
	}
	if end {
		h.Flags |= FlagEndStream
	}
	AppendHeader(out[:at], h)
	s.budgets.earn(FloodPings, 1, s.o.Role)
	if end {
		s.endLocal(st)
	}
	return out
}

// What the reading of a block has found: see package heads.
type (
	Verdict = heads.Verdict
	Result  = heads.Result
)

// The verdicts on a block: see package heads.
const (
	Whole     = heads.Whole     // it is text now
	TooLarge  = heads.TooLarge  // beyond the limits: 431; the stream goes on
	Malformed = heads.Malformed // see Reason: Reset with ProtocolError, after a 400 without END_STREAM or none (RFC 9113 8.1.1)
	Corrupt   = heads.Corrupt   // the conn is at its end: Next returns Broken
)

// ReadRequest decodes the block of the Head that Next has just returned into a request's
// head as HTTP/1.1 text, including the empty line, and appends it to dst: at most
// l.HeadBytes bytes, and never more than dst has room for. The text is for
// httpparse.RequestParser, which checks what HTTP/1 and HTTP/2 have in common. Unless the
// verdict is Whole, dst comes back as it was.
//
// The text has one Host line, from :authority or host, and one Cookie line at most. An
// extended CONNECT for websocket (RFC 8441) becomes a GET with "connection: upgrade",
// "upgrade: websocket" and "sec-websocket-key: " + key.
func (s *Session) ReadRequest(dst []byte, l *httpparse.Limits, key string) ([]byte, Result) {
	st := s.head
	dst, r := s.shared.reader.Request(dst, &s.table, s.block, l, key, s.o.Connect)
	st.Priority = r.Priority
	if !r.WebSocket {
		st.left = r.Length
	}
	return s.judge(dst, &r, st.remoteEnd && r.Length > 0)
}

// Malformed notes that the text of a head that ReadRequest has found Whole is no request. The
// stream is to be Reset.
func (s *Session) Malformed() { s.spend(FloodFaults, 1) }

// ReadResponse is as ReadRequest, for an answer's head: "HTTP/1.1 200 \r\n" and its lines.
func (s *Session) ReadResponse(dst []byte, l *httpparse.Limits) ([]byte, Result) {
	st := s.head
	dst, r := s.shared.reader.Response(dst, &s.table, s.block, l)
	if r.Verdict == Whole && r.Status < 200 {
		return s.judge(dst, &r, st.remoteEnd)
	}
	st.answered = true
	if st.bodiless || r.Status == 204 || r.Status == 304 {
		st.left = 0
		return s.judge(dst, &r, false)
	}
	st.left = r.Length
	return s.judge(dst, &r, st.remoteEnd && r.Length > 0)
}

// ReadTrailers is as ReadRequest, for trailers: field lines, without the empty line.
func (s *Session) ReadTrailers(dst []byte, l *httpparse.Limits) ([]byte, Result) {
	dst, r := s.shared.reader.Trailers(dst, &s.table, s.block, l)
	return s.judge(dst, &r, false)
}

// judge completes the verdict on a block; short says that the stream has ended too early.
func (s *Session) judge(dst []byte, r *Result, short bool) ([]byte, Result) {
	s.blockRead(r.Verdict != Corrupt)
	if r.Verdict == Whole && short {
		r.Verdict, r.Reason = Malformed, heads.EndedEarly
	}
	if r.Excess > 0 {
		s.spend(FloodHeads, r.Excess)
	}
	if r.Verdict == Malformed {
		s.spend(FloodFaults, 1)
	}
	if s.failed {
		r.Verdict = Corrupt
	}
	return dst, *r
}
