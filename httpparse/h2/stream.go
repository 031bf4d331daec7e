package h2

import (
	"math/bits"

	"lb/httpparse/h2/heads"
	"lb/internal/invariant"
)

// Stream is one stream of a conn, from its head until Release. It is made by Shared.New,
// and may be a part of what Owner points to.
type Stream struct {
	Owner any    // for the caller, who sets it in Shared.New; never changed here
	ID    uint32 // 0: of a client, not yet sent
	heads.Priority

	closed    bool
	localEnd  bool
	remoteEnd bool
	answered  bool // the peer's final head has come; clients only
	bodiless  bool // the answer has no body: the method is HEAD; clients only

	send int32 // what we may send, in bytes; below 0 after SETTINGS (RFC 9113 6.9.2)
	recv int32 // what the peer may send
	owed int32 // taken, and not yet given back to the peer
	held int32 // handed out, and not yet taken
	left int64 // what Content-Length leaves of the body, or -1

	next, prev *Stream // of the session
}

// Closed reports whether neither side may send any more in the stream. A closed stream
// gets no events.
func (st *Stream) Closed() bool { return st.closed }

// RemoteEnded reports whether the peer has ended its side, with END_STREAM or otherwise.
func (st *Stream) RemoteEnded() bool { return st.remoteEnd }

// LocalEnded reports whether we have ended our side, with END_STREAM or otherwise.
func (st *Stream) LocalEnded() bool { return st.localEnd }

// Held returns how many bytes were handed out and not yet taken.
func (st *Stream) Held() int { return int(st.held) }

// Window returns how many bytes of a body the stream's own window has room for; below 0 after
// SETTINGS.
func (st *Stream) Window() int { return int(st.send) }

// take returns a stream that belongs to s, as its newest.
func (s *Session) take() *Stream {
	st := s.shared.stream()
	*st = Stream{Owner: st.Owner, Priority: heads.DefaultPriority, left: -1, prev: s.last}
	st.send, st.recv = s.peerWindow, int32(s.o.Window)
	if s.ackSince != 0 { // the peer has not heard of our window yet, or has not said so
		st.recv = windowInitial
	}
	if s.last == nil {
		s.first = st
	} else {
		s.last.next = st
	}
	s.last = st
	s.active++
	return st
}

// Active returns the number of streams that are not yet released.
func (s *Session) Active() int { return s.active }

// All calls yield with each stream that is not closed, oldest first, until it returns
// false. yield may close or release that stream.
func (s *Session) All(yield func(*Stream) bool) {
	for st := s.first; st != nil; {
		next := st.next
		if !st.closed && !yield(st) {
			return
		}
		st = next
	}
}

// Release gives st, which the owner no longer uses, to the next request; it resets a
// stream that is not closed, with CANCEL. Bytes that were not taken open the conn's window
// again. It must be called exactly once for each stream.
func (s *Session) Release(out []byte, st *Stream) []byte {
	invariant.Check(st == s.first || st.prev != nil && st.prev.next == st, "h2: Release of a stream that is not the session's")
	out = s.Reset(out, st, Cancel)
	s.owed += st.held
	if st.prev == nil {
		s.first = st.next
	} else {
		st.prev.next = st.next
	}
	if st.next == nil {
		s.last = st.prev
	} else {
		st.next.prev = st.prev
	}
	s.active--
	st.held, st.ID, st.prev = 0, 0, nil
	s.shared.keep(st)
	return s.openConn(out)
}

// Reset ends st: it appends RST_STREAM with code, unless st is closed or the peer has not
// heard of it. After it the peer's frames for the stream are ignored.
func (s *Session) Reset(out []byte, st *Stream, code Code) []byte {
	if st.closed {
		return out
	}
	if st.ID != 0 {
		out = AppendReset(out, st.ID, code)
		s.closed.reset(st.ID, byUs)
	}
	s.close(st)
	return out
}

// close takes st, which has ended on both sides, out of the table.
func (s *Session) close(st *Stream) {
	st.closed, st.localEnd, st.remoteEnd = true, true, true
	if st.ID != 0 {
		s.remove(st.ID)
	} else {
		s.unsent--
	}
	if s.part == st {
		s.part = nil
	}
}

// endLocal ends our side of st, and endRemote the peer's. A stream that has ended well is
// worth some of what a peer may do to us.
func (s *Session) endLocal(st *Stream) {
	st.localEnd = true
	s.endIfBoth(st)
}

func (s *Session) endRemote(st *Stream) {
	st.remoteEnd = true
	s.endIfBoth(st)
}

func (s *Session) endIfBoth(st *Stream) {
	if !st.localEnd || !st.remoteEnd || st.closed {
		return
	}
	s.closed.end(st.ID)
	s.close(st)
	s.budgets.earn(FloodResets, 1, s.o.Role)
	s.budgets.earn(FloodPriority, 2, s.o.Role)
	s.budgets.earn(FloodWindow, 4, s.o.Role)
}

// find returns the stream of that id which is not closed, or nil. The table has a place
// for each id, and the next one where that is taken. Half of it is empty at least, and
// places are spread: ids come one after another, and without gaps a removal would have to
// look at all that follow.
func (s *Session) find(id uint32) *Stream {
	if s.filled == 0 {
		return nil
	}
	mask := uint32(len(s.slots) - 1)
	for i := placeOf(id, mask); ; i = (i + 1) & mask {
		if st := s.slots[i]; st == nil || st.ID == id {
			return st
		}
	}
}

// placeOf returns the place of id in a table of mask+1 slots, a power of 2 above 1.
func placeOf(id, mask uint32) uint32 { return (id >> 1) * 0x9e3779b1 >> bits.LeadingZeros32(mask) }

// insert puts st into the table.
func (s *Session) insert(st *Stream) {
	if s.filled*2 >= len(s.slots) {
		old := s.slots
		s.slots = make([]*Stream, max(8, 2*len(old)))
		for _, o := range old {
			if o != nil {
				s.put(o)
			}
		}
	}
	s.put(st)
	s.filled++
}

func (s *Session) put(st *Stream) {
	mask := uint32(len(s.slots) - 1)
	i := placeOf(st.ID, mask)
	for s.slots[i] != nil {
		i = (i + 1) & mask
	}
	s.slots[i] = st
}

// remove takes the stream of that id out of the table, and moves up those that stand
// after it because their place was taken.
func (s *Session) remove(id uint32) {
	if s.filled == 0 {
		return // after Drop
	}
	mask := uint32(len(s.slots) - 1)
	i := placeOf(id, mask)
	for s.slots[i].ID != id {
		i = (i + 1) & mask
	}
	for k := (i + 1) & mask; s.slots[k] != nil; k = (k + 1) & mask {
		if (k-placeOf(s.slots[k].ID, mask))&mask >= (k-i)&mask {
			s.slots[i], i = s.slots[k], k
		}
	}
	s.slots[i] = nil
	s.filled--
}

// idle reports whether no stream of that id was ever opened (RFC 9113 5.1).
func (s *Session) idle(id uint32) bool { return id&1 == 0 || id > s.newest }

// How a stream was closed.
type closing uint8

const (
	longAgo closing = iota // not known any more
	byUs                   // we have reset it
	byPeer                 // the peer has reset it
	byEnds                 // END_STREAM on both sides
)

// closedMax is how many streams that were reset are remembered: as many as we may have
// reset at once by default.
const closedMax = 128

// closedIDs remembers how the last streams were closed, since what may follow depends on
// it (RFC 9113 5.1). Its memory comes with the first stream that is reset.
type closedIDs struct {
	ended  [4]uint32
	resets []uint32 // the topmost bit says that the peer did it
	at     uint8
	endAt  uint8
}

const peerBit = 1 << 31

func (c *closedIDs) reset(id uint32, how closing) {
	if c.resets == nil {
		c.resets = make([]uint32, closedMax)
	}
	if how == byPeer {
		id |= peerBit
	}
	c.resets[c.at] = id
	c.at = (c.at + 1) % closedMax
}

func (c *closedIDs) end(id uint32) {
	c.ended[c.endAt] = id
	c.endAt = (c.endAt + 1) % uint8(len(c.ended))
}

func (c *closedIDs) how(id uint32) closing {
	for _, x := range c.ended {
		if x == id {
			return byEnds
		}
	}
	for _, x := range c.resets {
		if x&idMax == id {
			if x&peerBit != 0 {
				return byPeer
			}
			return byUs
		}
	}
	return longAgo
}

func (c *closedIDs) rest() { c.resets, c.at = nil, 0 }
