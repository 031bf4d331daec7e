package tlsconn

import (
	"errors"
	"runtime"
	"sync"

	"lb/arena"
	"lb/loop"
)

// waitingMax is how many handshakes of a loop may wait to be begun.
const waitingMax = 1024

// ErrBusy is the error of a handshake that was not begun because too many wait.
var ErrBusy = errors.New("too many handshakes wait")

// Shaker runs the handshakes of one loop. All methods are called on that loop.
type Shaker struct {
	loop   *loop.Loop
	arena  *arena.Arena
	shared []byte // the conns read into it
	spare  []byte // for the content of a record
	batch  []byte // records to be sent together

	free  []*coroutine  // the thread's: they wait for a handshake
	ended chan struct{} // closed when the thread has ended; nil before it begins

	bell   bell // rings when there is something for the thread
	mu     sync.Mutex
	begun  []*handshake // to be gone on with, or let go of
	fresh  []*handshake // to be begun
	done   []*handshake // returned by the thread
	closed bool
}

// NewShaker returns a Shaker for the handshakes of l. Slabs come from a.
func NewShaker(l *loop.Loop, a *arena.Arena) *Shaker {
	return &Shaker{loop: l, arena: a, bell: newBell(), shared: make([]byte, sharedBytes), spare: make([]byte, plainMax)}
}

// Close ends the thread. Handshakes that have not ended are dropped.
func (s *Shaker) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.bell.ring()
	if s.ended != nil {
		<-s.ended
	}
}

// push hands h to the thread. It reports whether there was room.
func (s *Shaker) push(h *handshake) bool {
	if !s.enqueue(h) {
		return false
	}
	if s.ended == nil {
		s.ended = make(chan struct{})
		go s.run()
	}
	s.bell.ring()
	return true
}

// enqueue is push without the thread.
func (s *Shaker) enqueue(h *handshake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false
	case h.begun:
		s.begun = append(s.begun, h)
	case len(s.fresh) >= waitingMax:
		return false
	default:
		s.fresh = append(s.fresh, h)
	}
	return true
}

// run is the thread. It stays locked to its goroutine, so that it ends with it: its
// priority is its own.
func (s *Shaker) run() {
	defer close(s.ended)
	runtime.LockOSThread()
	lowerPriority()
	waiting := make(map[*handshake]struct{}) // for records
	for h := s.next(); h != nil; h = s.next() {
		if s.step(h) {
			waiting[h] = struct{}{}
		} else {
			delete(waiting, h)
		}
		s.giveBack(h)
	}
	for h := range waiting {
		h.on.stop()
	}
	for _, c := range s.free {
		c.stop()
	}
}

// next waits for a handshake, and returns nil at the end.
func (s *Shaker) next() (h *handshake) {
	for {
		h, closed := s.dequeue()
		if h != nil || closed {
			return h
		}
		s.bell.wait()
	}
}

// dequeue returns the next handshake, or nil if there is none. It reports whether it is the
// end.
func (s *Shaker) dequeue() (h *handshake, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.begun)+len(s.fresh) == 0 {
		return nil, s.closed
	}
	queue := &s.begun
	if len(*queue) == 0 {
		queue = &s.fresh
	}
	h = (*queue)[0]
	(*queue)[0] = nil
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil
	}
	return h, false
}

// giveBack returns h to the loop.
func (s *Shaker) giveBack(h *handshake) {
	s.mu.Lock()
	s.done = append(s.done, h)
	first := len(s.done) == 1
	s.mu.Unlock()
	if first {
		s.loop.Post(s.takeBack)
	}
}

// takeBack goes on with the handshakes that the thread has returned.
func (s *Shaker) takeBack() {
	s.mu.Lock()
	done := s.done
	s.done = nil
	s.mu.Unlock()
	for _, h := range done {
		switch {
		case !h.dropped.Load(): // by this loop
			h.t.returned()
		case !h.over: // it was dropped within a step
			s.push(h)
		}
	}
}
