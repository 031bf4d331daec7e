package relay

import (
	"fmt"
	"io"
	"os"

	"lb/arena"
	"lb/loop"
)

// piecesMax is how many pieces one direction moves before others have their turn.
const piecesMax = 8

// pair is a client, its backend, and what lies between them.
type pair struct {
	relay           *Relay
	client, backend side
	up              bool // the backend conn is connected
}

// side is one of the two conns of a pair.
type side struct {
	loop.Conn
	pair  *pair
	held  *arena.Slab // what is still to be written to this side; usually nil
	ended bool        // its bytes have ended
	shut  bool        // it was told that the other's bytes have ended
}

// newPair returns a pair that is not connected.
func (r *Relay) newPair() *pair {
	if n := len(r.free); n > 0 {
		p := r.free[n-1]
		r.free = r.free[:n-1]
		return p
	}
	p := &pair{relay: r}
	p.client.pair, p.backend.pair = p, p
	return p
}

// end closes both sides. Nothing of p may be used after it.
func (p *pair) end(reset bool) {
	r := p.relay
	for _, s := range []*side{&p.client, &p.backend} {
		s.Close(reset)
		r.slabs.Put(s.held)
		*s = side{pair: p}
	}
	p.up = false
	delete(r.pairs, p)
	r.free = append(r.free, p)
}

// Ready moves what can be moved, both ways.
func (s *side) Ready() {
	p := s.pair
	if s.Hangup() {
		p.end(true)
		return
	}
	if !p.up {
		if !p.backend.Writable() {
			return // what the client sends waits in its socket
		}
		if p.backend.DialResult() != nil {
			p.end(true)
			return
		}
		p.up = true
	}
	if err := p.backend.take(&p.client); err != nil {
		p.end(true)
		return
	}
	if err := p.client.take(&p.backend); err != nil {
		p.end(true)
		return
	}
	if p.client.shut && p.backend.shut {
		p.end(false)
	}
}

// Panicked lets go of the pair; its slabs are left to the collector.
func (s *side) Panicked(value any, stack []byte) {
	fmt.Fprintf(os.Stderr, "relay: panic: %v\n%s", value, stack)
	p := s.pair
	for _, s := range []*side{&p.client, &p.backend} {
		s.Close(true)
		p.relay.slabs.Forget(s.held)
	}
	delete(p.relay.pairs, p)
}

// take writes what from has to s: first what is held, and no more is read
// before that is gone.
func (s *side) take(from *side) error {
	for range piecesMax {
		if s.held != nil && !s.flush() {
			return nil
		}
		if from.ended && !s.shut {
			s.shut = true
			return s.ShutdownWrite()
		}
		if !from.Readable() {
			return nil
		}
		b := s.pair.relay.piece[:]
		n, err := from.Read(b)
		switch {
		case err == io.EOF:
			from.ended = true
		case err != nil:
			return err
		case n > 0:
			if err := s.put(b[:n]); err != nil {
				return err
			}
		}
	}
	from.Again()
	return nil
}

// put writes b and holds what is not taken.
func (s *side) put(b []byte) error {
	n, err := s.Write(b)
	if err != nil || n == len(b) {
		return err
	}
	s.held = s.pair.relay.slabs.Get()
	s.held.W = copy(s.held.B, b[n:])
	return nil
}

// flush writes what is held and reports whether all of it was taken. An error of
// the conn shows as Hangup, or at the next write.
func (s *side) flush() bool {
	if !s.Writable() {
		return false
	}
	n, _ := s.Write(s.held.Bytes())
	s.held.Take(max(n, 0))
	if s.held.Len() > 0 {
		return false
	}
	s.pair.relay.slabs.Put(s.held)
	s.held = nil
	return true
}
