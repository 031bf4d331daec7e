package mux

import (
	"errors"
	"io"

	"lb/arena"
	"lb/httpparse/h2"
	"lb/proxy/lane"
)

// User is what runs on a stream.
type User interface {
	// Ready is called on the conn's loop when something has come in the stream, or room
	// was made, or the stream is Gone. It may be called for nothing.
	Ready()
}

// ErrGone is the end of a stream that was reset, or whose conn has gone.
var ErrGone = errors.New("mux: the stream has gone")

// Stream is one stream of a conn: what the client's side of an exchange and the backend's
// side of an attempt have in common. It is to be embedded in its user's struct, and made by
// NewStream. From its head (of a server), or Open (of a client), to Release it belongs to one
// conn.
type Stream struct {
	h2.Stream
	In    lane.Inbox // what Fill has brought and its user has not used up
	Code  h2.Code    // why it is Gone
	Heard h2.Kind    // the event that has made it Gone: Aborted, Faulted or Unheard; else 0
	Early bool       // a part of the body that has room in In goes there, after the head

	user     User
	c        *Conn
	links    [lists]link
	rx       lane.Inbox  // what has come and Fill has not brought: a backend's heads as text, and body
	trailers *arena.Slab // or nil
	texts    int         // bytes of heads in rx
	sent     int         // bytes of frames that Flush has added to the output, up to a point
	over     bool        // the peer's side has ended
	gone     bool
	blocked  bool // a window was shut when there was something to send
}

// NewStream makes s, a part of user, a stream for h2.Shared.New.
func NewStream(s *Stream, user User) *h2.Stream {
	s.user, s.Owner = user, s
	return &s.Stream
}

// begin makes s a stream of c.
func (s *Stream) begin(c *Conn) {
	s.c, s.Code, s.Heard = c, h2.NoError, 0
	s.texts, s.sent, s.over, s.gone, s.blocked = 0, 0, false, false, false
	c.rested = false
}

// OpenStream returns a new stream of a client; CanOpen has said that there may be one more.
// It gets its id, and the backend hears of it, when its first head is flushed.
func (c *Conn) OpenStream() *Stream {
	s := c.Session.Open().Owner.(*Stream)
	s.begin(c)
	return s
}

// User returns what runs on s, as NewStream was told.
func (s *Stream) User() User { return s.user }

// Text returns memory for the text of a head, or of trailers, of up to n bytes, to append to. It is
// shared by all conns of the Side.
func (d *Side) Text(n int) []byte {
	if cap(d.text) < n {
		d.text = make([]byte, 0, n)
	}
	return d.text[:0:n]
}

// roomMax is how many large slabs a stream may have filled before there is no room for more: a
// backend's head may be as long as one of them, and the window of the stream comes after it.
const roomMax = 2

// PutText adds text to in, such as a head to In. It returns false if there is no room for it.
func (s *Stream) PutText(in *lane.Inbox, text []byte) bool {
	a := s.c.side.Arena
	for len(text) > 0 {
		room := in.Room(a, len(text) > lane.SlabBytes)
		if room == nil {
			if in.Len() > roomMax*a.LargeBytes() {
				return false
			}
			wide := a.Keep(make([]byte, 2*in.Len()))
			wide.W = copy(wide.B, in.Bytes())
			a.Put(in.Slab)
			in.Slab = wide
			continue
		}
		n := copy(room, text)
		in.Put(n)
		text = text[n:]
	}
	return true
}

// PutHead puts a backend's head where Fill finds it. A stream without room for it is reset.
func (s *Stream) PutHead(text []byte) {
	if !s.PutText(&s.rx, text) {
		s.Reset(h2.EnhanceYourCalm)
		return
	}
	s.texts += len(text)
}

// SetTrailers keeps the field lines of trailers for Over.
func (s *Stream) SetTrailers(lines []byte) {
	if len(lines) == 0 || s.trailers != nil {
		return
	}
	k := s.c.side.Arena.Keep(lines)
	if len(k.Room()) < len(crlf) {
		s.c.side.Arena.Put(k)
		k = s.c.side.Arena.Keep(append(append(make([]byte, 0, len(lines)+len(crlf)), lines...), crlf...))
	} else {
		k.W += copy(k.Room(), crlf)
	}
	s.trailers = k
}

const crlf = "\r\n"

// receive takes a part of the body.
func (s *Stream) receive(b []byte) {
	c := s.c
	if s.Early && s.In.Slab != nil && len(s.In.Slab.Room()) >= len(b) {
		s.In.Put(copy(s.In.Slab.Room(), b))
		c.take(s, len(b))
		return
	}
	s.Early = false
	if !s.PutText(&s.rx, b) { // a backend's heads have filled it
		s.Reset(h2.EnhanceYourCalm)
	}
}

// take opens the windows again for n bytes of s.
func (c *Conn) take(s *Stream, n int) {
	if n > 0 && c.state == stateOpen {
		c.owe(c.Session.Take(c.few(), &s.Stream, n))
	}
}

// lose notes that s has ended before its time.
func (s *Stream) lose(ev *h2.Event) {
	s.gone, s.Code, s.Heard = true, ev.Code, ev.Kind
	s.c.unqueue(s)
}

// Fill brings what has come into In: the slab as it is if In is empty. n is the number of
// bytes, 0 with a nil error if none have come. io.EOF is the end of the peer's side, ErrGone
// another end. bulk is for the like of conns.
func (s *Stream) Fill(bulk bool) (n int, err error) {
	switch n = s.rx.Len(); {
	case n > 0:
	case s.over:
		return 0, io.EOF
	case s.gone:
		return 0, ErrGone
	default:
		s.In.Drop(s.c.side.Arena)
		return 0, nil
	}
	if a := s.c.side.Arena; s.In.Len() == 0 {
		s.In.Drop(a)
		s.In, s.rx = s.rx, lane.Inbox{}
	} else {
		room := s.In.Room(a, n > lane.SlabBytes/2)
		n = copy(room, s.rx.Bytes())
		s.In.Put(n)
		s.rx.Take(n)
		s.rx.Drop(a)
	}
	texts := min(n, s.texts)
	s.texts -= texts
	s.c.take(s, n-texts)
	return n, nil
}

// More reports whether Fill would return something.
func (s *Stream) More() bool { return s.rx.Len() > 0 || s.over || s.gone }

// Over reports whether Fill has brought the last byte, and returns the trailer section with
// the empty line that ends it, or nothing.
func (s *Stream) Over() (section []byte, over bool) {
	if !s.over || s.rx.Len() > 0 {
		return nil, false
	}
	if s.trailers != nil {
		section = s.trailers.Bytes()
	}
	return section, true
}

// Gone reports whether the stream, or its conn, has ended before its time: nothing can be
// sent, and nothing more comes.
func (s *Stream) Gone() bool { return s.gone }

// PeerEnded reports whether the peer has ended its side. Bytes that it sent before may not have
// been brought yet.
func (s *Stream) PeerEnded() bool { return s.over }

// Takes reports whether Flush would take a good part of what a body has. If not, the user is
// run when it does.
func (s *Stream) Takes() bool {
	c := s.c
	switch {
	case s.gone:
		return true
	case c.Sendable(&s.Stream) == 0 && s.ID != 0:
		s.block(true)
		return false
	case c.left(s) < shareBytes && c.out != nil:
		c.enqueue(s)
		return false
	}
	return true
}

// Behind reports whether s waits for what other streams of the conn have taken, room or the
// conn's window, and the peer has taken some of the output within Side.Write.
func (s *Stream) Behind() bool {
	c := s.c
	return (s.links[waiting].in != nil || s.blocked && s.Window() > 0) && c.side.Loop.Now().Sub(c.moved) < c.side.Write
}

// resume has s wait for room again, after a window was shut.
func (s *Stream) resume() {
	if s.blocked && !s.gone && s.c.Sendable(&s.Stream) > 0 {
		s.block(false)
		s.c.enqueue(s)
	}
}

// block notes whether s waits for a window.
func (s *Stream) block(on bool) {
	switch {
	case on && !s.blocked:
		s.c.shut++
	case !on && s.blocked:
		s.c.shut--
	}
	s.blocked = on
}

// ShutdownWrite ends our side.
func (s *Stream) ShutdownWrite() error {
	if s.gone {
		return ErrGone
	}
	s.Finish()
	return nil
}

// Finish ends our side, unless it has ended.
func (s *Stream) Finish() {
	if c := s.c; !s.LocalEnded() && s.ID != 0 {
		c.put(c.AppendData(c.room(h2.HeaderLen), &s.Stream, 0, true))
	}
}

// Reset ends s with RST_STREAM, unless it has ended on both sides. It is Gone.
func (s *Stream) Reset(code h2.Code) {
	c := s.c
	if !s.gone && c.state == stateOpen {
		c.put(c.Session.Reset(c.room(h2.OutMax), &s.Stream, code))
		s.Code = code
	}
	c.unqueue(s)
	s.gone, s.over = true, false // what has come is not the whole
}

// Release ends the life of s, which its user does not use any more. A stream that has not
// ended is reset.
func (s *Stream) Release() {
	c, a := s.c, s.c.side.Arena
	s.In.Release(a)
	s.rx.Release(a)
	a.Put(s.trailers)
	s.trailers = nil
	s.let()
	if c.state == stateOpen {
		c.owe(c.Session.Release(c.few(), &s.Stream))
	} else {
		c.Session.Release(nil, &s.Stream)
	}
	c.released()
}

// Forget is Release after a panic: the memory is left to the collector. The conn is to be
// Abandoned after it.
func (s *Stream) Forget() {
	c, a := s.c, s.c.side.Arena
	s.In.Forget(a)
	s.rx.Forget(a)
	a.Forget(s.trailers)
	s.trailers = nil
	s.let()
	c.Session.Release(nil, &s.Stream)
	c.released()
}

// let takes s out of the lists of its conn.
func (s *Stream) let() {
	if s.c.turn == s {
		s.c.turn = nil
	}
	s.c.unqueue(s)
	s.drop(touched)
	s.block(false)
	s.c, s.Early = nil, false
}

// released notes that a stream was released.
func (c *Conn) released() {
	if c.Active() > 0 {
		return
	}
	c.quiet = c.side.Loop.Now()
	if c.state == stateOpen {
		c.asks()
	}
	c.let()
}
